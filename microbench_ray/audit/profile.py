"""What drift is measured on: every model's accuracy, and its estimate by every audited list, together and per subtask."""

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
from microbench_ray.methods.selectors.fixed import Fixed

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
        By the label of a list, (n_models, 1 + n_subtasks) weighted means over its items, NaN where the list has none that the
        model answered, and for the models that the list was built from.
    sizes
        By the label of a list, its number of items.
    """

    benchmark: str
    model_ids: NDArray[np.object_]
    subtasks: tuple[str, ...]
    units: int
    sums: NDArray[np.int64]
    answered: NDArray[np.int64]
    estimates: Mapping[str, FloatArray]
    sizes: Mapping[str, int]

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.model_ids)

    @cached_property
    def accuracy(self) -> FloatArray:
        """(n_models, 1 + n_subtasks) accuracies, NaN where nothing was answered."""
        accuracy = np.full(self.sums.shape, np.nan)
        np.divide(self.sums, self.answered * self.units, out=accuracy, where=self.answered > 0)
        return accuracy

    def take(self, models: Positions) -> Profile:
        """Some of the models, in the order given."""
        return replace(
            self,
            model_ids=self.model_ids[models],
            sums=self.sums[models],
            answered=self.answered[models],
            estimates={label: values[models] for label, values in self.estimates.items()},
        )


def profiles(baseline: Benchmark, tonight: Benchmark, lists: Mapping[str, Fixed]) -> tuple[Profile, Profile]:
    """Both nights on the items that both have, in the subtasks of the baseline: like is compared with like.

    Parameters
    ----------
    baseline, tonight
        The two leaderboards.
    lists
        Audited lists by label; of a list only the items that both nights have count.

    Raises
    ------
    DataError
        No item is in both, or no item of a list is.
    """
    there = {item: place for place, item in enumerate(tonight.item_ids)}
    before = np.array([place for place, item in enumerate(baseline.item_ids) if item in there], dtype=np.intp)
    if not before.size:
        raise DataError(
            "Tonight's benchmark and the baseline have no item in common.",
            where=f"'{tonight.name}'",
            got=f"items such as {tonight.item_ids[0]} tonight, {baseline.item_ids[0]} in the baseline",
            hint="compare with a baseline of the same benchmark",
        )
    ids = baseline.item_ids[before]
    now = np.array([there[item] for item in ids], dtype=np.intp)
    codes, names = baseline.subtask_codes[before], baseline.subtask_names
    one = _profile(baseline, before, codes, names, ids, lists)
    return one, _profile(tonight, now, codes, names, ids, lists)


def profile(benchmark: Benchmark, lists: Mapping[str, Fixed]) -> Profile:
    """One leaderboard on all of its items; errors as for `profiles`."""
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
            there = scores != benchmark.missing
            answered[:, column] = np.count_nonzero(there, axis=1)
            sums[:, column] = np.where(there, scores, 0).sum(axis=1, dtype=np.int64)
        else:
            answered[:, column] = group.size
            sums[:, column] = scores.sum(axis=1, dtype=np.int64)
    sums[:, 0], answered[:, 0] = sums[:, 1:].sum(axis=1), answered[:, 1:].sum(axis=1)
    place = {item: position for position, item in enumerate(ids)}
    column_of = np.searchsorted(present, codes) + 1
    estimates = {label: _estimates(benchmark, label, chosen, items, column_of, place) for label, chosen in lists.items()}
    sizes = {label: sum(item in place for item in chosen.items) for label, chosen in lists.items()}
    subtasks = tuple(names[code] for code in present)
    return Profile(benchmark.name, benchmark.model_ids, subtasks, benchmark.units, sums, answered, estimates, sizes)


def _columns(matrix: NDArray[Any], items: Positions) -> NDArray[Any]:
    """Columns of a matrix; a view where they lie side by side, as a subtask's mostly do."""
    if items[-1] - items[0] + 1 == items.size and bool((np.diff(items) == 1).all()):
        return matrix[:, items[0] : items[-1] + 1]
    return matrix[:, items]


def _estimates(
    benchmark: Benchmark,
    label: str,
    chosen: Fixed,
    items: Positions,
    column_of: Positions,
    place: Mapping[str, int],
) -> FloatArray:
    """(n_models, 1 + n_subtasks) weighted means over the listed items, together and per subtask."""
    listed = [k for k, item in enumerate(chosen.items) if item in place]
    if not listed:
        raise DataError(
            f"None of the items of '{label}' is in both tonight's benchmark and the baseline.",
            where=f"audit list '{label}'",
            got=", ".join(chosen.items[:3]),
            hint=f"use the benchmark's item ids, such as {next(iter(place))}",
        )
    where = np.array([place[chosen.items[k]] for k in listed], dtype=np.intp)
    share = np.ones(where.size) if chosen.weights is None else np.array(chosen.weights)[listed]
    weights = np.zeros((where.size, 1 + int(column_of.max())))
    weights[:, 0] = share
    weights[np.arange(where.size), column_of[where]] = share
    scores = benchmark.scores[:, items[where]]
    there = scores != benchmark.missing
    with one_thread():  # products of matrices change bits with the number of threads
        total, right = there.astype(np.float64) @ weights, np.where(there, scores, 0) @ weights
    estimates = np.full(total.shape, np.nan)
    np.divide(right, total * benchmark.units, out=estimates, where=total > 0)
    if chosen.built_from:
        estimates[np.isin(benchmark.model_ids.astype(str), np.array(chosen.built_from, dtype=str))] = np.nan
    return estimates
