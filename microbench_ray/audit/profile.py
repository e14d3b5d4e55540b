"""Profiles of a leaderboard: the accuracy of each model and its estimate by each audited list, overall and per subtask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import weighted_accuracies
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.metrics.pairs import Totals, totals_of

Positions = NDArray[np.intp]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Profile:
    """A leaderboard reduced to a few numbers per model. Column 0 is all items, column 1 + t is subtask t.

    Attributes
    ----------
    benchmark
        Its name.
    model_ids
        (n_models,) names.
    subtasks
        (n_subtasks,) names.
    units
        Scores are in units of 1/units.
    sums, answered
        (n_models, 1 + n_subtasks) sum of the scores in these units, and items answered.
    estimates
        By label of a list, (n_models, 1 + n_subtasks) weighted means over its items; NaN if the model answered none of them, and
        for the models that the list was built from.
    sizes
        By label of a list, its number of items.
    truth
        (n_models,) the accuracies on all items where these count differently (`Benchmark.truth`), NaN without a response; None
        where they are those of `sums`.
    """

    benchmark: str
    model_ids: NDArray[np.object_]
    subtasks: tuple[str, ...]
    units: int
    sums: NDArray[np.int64]
    answered: NDArray[np.int64]
    estimates: Mapping[str, FloatArray]
    sizes: Mapping[str, int]
    truth: FloatArray | None = None

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.model_ids)

    @cached_property
    def accuracy(self) -> FloatArray:
        """(n_models, 1 + n_subtasks) accuracies, NaN without a response."""
        accuracy = np.full(self.sums.shape, np.nan)
        np.divide(self.sums, self.answered * self.units, out=accuracy, where=self.answered > 0)
        if self.truth is not None:
            accuracy[:, 0] = self.truth
        return accuracy

    def totals(self, column: int = 0) -> Totals:
        """The accuracies of a column as quotients of whole numbers."""
        if column == 0 and self.truth is not None:
            return totals_of(self.truth)
        return Totals(self.sums[:, column], self.answered[:, column], self.units)

    def take(self, models: Positions) -> Profile:
        """Some of the models, in the order given."""
        return replace(
            self,
            model_ids=self.model_ids[models],
            sums=self.sums[models],
            answered=self.answered[models],
            estimates={label: values[models] for label, values in self.estimates.items()},
            truth=None if self.truth is None else self.truth[models],
        )


def profiles(baseline: Benchmark, tonight: Benchmark, lists: Mapping[str, Fixed]) -> tuple[Profile, Profile]:
    """Profile two nights on the items that both have, in the subtasks of the baseline.

    Parameters
    ----------
    baseline, tonight
        The two leaderboards.
    lists
        Audited lists by label, of which only the items of both nights are used.

    Raises
    ------
    DataError
        The nights have no item in common, or none of a list; or one ranks models by another number.
    """
    if baseline.truth != tonight.truth:
        raise DataError(
            "Tonight's models are ranked by another number than the baseline's.",
            where=f"'{tonight.name}', benchmark.truth",
            got=f"{tonight.truth} tonight, {baseline.truth} in the baseline",
            hint=f"benchmark.truth={baseline.truth}, or accept tonight's benchmark as the baseline of another folder",
        )
    position = {item: k for k, item in enumerate(tonight.item_ids)}
    baseline_items = np.array([k for k, item in enumerate(baseline.item_ids) if item in position], dtype=np.intp)
    if not baseline_items.size:
        raise DataError(
            "Tonight's benchmark and the baseline have no items in common.",
            where=f"'{tonight.name}'",
            got=f"items such as {tonight.item_ids[0]} tonight and {baseline.item_ids[0]} in the baseline",
            hint="compare with a baseline of the same benchmark",
        )
    ids = baseline.item_ids[baseline_items]
    tonight_items = np.array([position[item] for item in ids], dtype=np.intp)
    codes, names = baseline.subtask_codes[baseline_items], baseline.subtask_names
    before = _profile(baseline, baseline_items, codes, names, ids, lists)
    return before, _profile(tonight, tonight_items, codes, names, ids, lists)


def profile(benchmark: Benchmark, lists: Mapping[str, Fixed]) -> Profile:
    """Profile a leaderboard on all of its items; errors as for `profiles`."""
    items = np.arange(benchmark.n_items)
    return _profile(benchmark, items, benchmark.subtask_codes, benchmark.subtask_names, benchmark.item_ids, lists)


def _profile(
    benchmark: Benchmark,
    items: Positions,
    codes: NDArray[np.int32],
    names: Sequence[str],
    ids: NDArray[np.object_],
    lists: Mapping[str, Fixed],
) -> Profile:
    present = np.unique(codes)
    groups = [items[codes == code] for code in present]
    sums = np.zeros((benchmark.n_models, 1 + len(groups)), np.int64)
    answered = np.zeros_like(sums)
    for column, group in enumerate(groups, start=1):
        scores = _columns(benchmark.scores, group)
        if benchmark.has_missing:
            known = scores != benchmark.missing
            answered[:, column] = np.count_nonzero(known, axis=1)
            sums[:, column] = np.where(known, scores, 0).sum(axis=1, dtype=np.int64)
        else:
            answered[:, column] = group.size
            sums[:, column] = scores.sum(axis=1, dtype=np.int64)
    sums[:, 0], answered[:, 0] = sums[:, 1:].sum(axis=1), answered[:, 1:].sum(axis=1)
    truth = None
    if benchmark.truth == "macro" and len(groups) > 1:
        known = answered[:, 1:] > 0
        means = np.divide(sums[:, 1:], answered[:, 1:] * benchmark.units, out=np.zeros(known.shape), where=known)
        with np.errstate(invalid="ignore"):
            truth = means.sum(axis=1) / known.sum(axis=1)
    elif benchmark.truth == "weights":
        truth = weighted_accuracies(benchmark, np.arange(benchmark.n_models), items)
    position = {item: k for k, item in enumerate(ids)}
    column_of = np.searchsorted(present, codes) + 1
    return Profile(
        benchmark=benchmark.name,
        model_ids=benchmark.model_ids,
        subtasks=tuple(names[code] for code in present),
        units=benchmark.units,
        sums=sums,
        answered=answered,
        estimates={label: _estimates(benchmark, label, chosen, items, column_of, position) for label, chosen in lists.items()},
        sizes={label: sum(item in position for item in chosen.items) for label, chosen in lists.items()},
        truth=truth,
    )


def _columns(matrix: NDArray[Any], items: Positions) -> NDArray[Any]:
    """Columns of a matrix; a view if they are adjacent, as those of a subtask mostly are."""
    if items[-1] - items[0] + 1 == items.size and bool((np.diff(items) == 1).all()):
        return matrix[:, items[0] : items[-1] + 1]
    return matrix[:, items]


def _estimates(
    benchmark: Benchmark,
    label: str,
    chosen: Fixed,
    items: Positions,
    column_of: Positions,
    position: Mapping[str, int],
) -> FloatArray:
    """(n_models, 1 + n_subtasks) weighted means over the listed items, overall and per subtask."""
    listed = [k for k, item in enumerate(chosen.items) if item in position]
    if not listed:
        raise DataError(
            f"None of the items of '{label}' is in both tonight's benchmark and the baseline.",
            where=f"audit list '{label}'",
            got=", ".join(chosen.items[:3]),
            hint=f"use the benchmark's item ids, such as {next(iter(position))}",
        )
    listed_positions = np.array([position[chosen.items[k]] for k in listed], dtype=np.intp)
    share = np.ones(listed_positions.size) if chosen.weights is None else np.array(chosen.weights)[listed]
    weights = np.zeros((listed_positions.size, 1 + int(column_of.max())))
    weights[:, 0] = share
    weights[np.arange(listed_positions.size), column_of[listed_positions]] = share
    scores = benchmark.scores[:, items[listed_positions]]
    known = scores != benchmark.missing
    with one_thread():  # the number of threads changes the last bits of matrix products
        total, right = known.astype(np.float64) @ weights, np.where(known, scores, 0) @ weights
    estimates = np.full(total.shape, np.nan)
    np.divide(right, total * benchmark.units, out=estimates, where=total > 0)
    if chosen.built_from:
        estimates[np.isin(benchmark.model_ids.astype(str), np.array(chosen.built_from, dtype=str))] = np.nan
    return estimates
