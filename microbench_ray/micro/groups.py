"""Groups of known models that are not independent of one another: runs and copies of a model, or a family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.data.names import first_few

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]

COLUMN, FAMILY = "group", "family"
"""Columns of the metadata: groups by the user, and what is used in their absence."""
MIN_FAMILIES = 19
"""Families from which on they are the groups: an interval of fewer units has no distribution-free level of 95 %."""
DUPLICATE = 0.5
"""Correlation of two models' responses, with the items' means and the models' own taken off, from which on they are
near-duplicates:
at least half of what the items' difficulty leaves open is common to both."""
DEVIATIONS = 4.0
"""The correlation must also be this many standard errors above 0, which matters below 64 items."""
MAX_ITEMS = 2000
"""Items compared, evenly spaced: enough for a standard error of .02."""


class Grouping(NamedTuple):
    """Groups of a benchmark's models.

    Attributes
    ----------
    first
        (n_models,) position of the first model of each model's group; a model by itself has its own position.
    notes
        Sentences: which groups were taken, and which models are near-duplicates.
    """

    first: Positions
    notes: tuple[str, ...] = ()


def grouping_of(benchmark: Benchmark) -> Grouping:
    """Group the models that are copies of one another.

    The metadata column `group` decides, where there is one: models of one value are a group, models without a value are by
    themselves. Otherwise near-duplicates are groups, joined with the families of the column `family` where there are at least
    `MIN_FAMILIES`.

    Raises
    ------
    DataError
        Fewer than two groups.
    """
    by_responses, notes = near_duplicates(benchmark), []
    if COLUMN in benchmark.models.column_names:
        first = by_column(benchmark, COLUMN)
        notes.append(f"groups: {np.unique(first).size} of {benchmark.n_models} models, by the metadata column {COLUMN!r}")
    else:
        first = by_responses
        families = by_column(benchmark, FAMILY) if FAMILY in benchmark.models.column_names else np.arange(benchmark.n_models)
        if MIN_FAMILIES <= np.unique(families).size < benchmark.n_models:
            first = joined(families, list(enumerate(by_responses.tolist())))
            notes.append(f"groups: {np.unique(first).size} of {benchmark.n_models} models, by the metadata column {FAMILY!r}")
    n_groups = np.unique(first).size
    if n_groups < 2:
        raise DataError(
            "The known models must be of at least two groups, so that some can be held out.",
            where=benchmark.name,
            got=f"{benchmark.n_models} models in one group",
            hint=f"a column {COLUMN!r} of the models' metadata, with one value for the runs and copies of one model",
        )
    found = [members(benchmark, by_responses, value) for value in np.unique(by_responses)]
    copies = [names for names in found if len(names) > 1]
    if copies:
        listed = "; ".join(first_few(names) for names in copies[:3])
        more = f"; and {len(copies) - 3} more groups" if len(copies) > 3 else ""
        held = "held out together" if COLUMN not in benchmark.models.column_names else f"grouped as the column {COLUMN!r} has it"
        notes.append(f"near-duplicates, {held}: {sum(map(len, copies))} models in {len(copies)} groups: {listed}{more}")
    return Grouping(first=first, notes=tuple(notes))


def near_duplicates(benchmark: Benchmark) -> Positions:
    """(n_models,) position of the first of the models whose responses all agree with one another as those of copies do.

    That is far beyond what the items' difficulty and the models' accuracies explain. Groups are joined in the order of their most
    similar models, and only where all of their models are alike (complete linkage): no chain of similar models makes one group.
    """
    columns = np.unique(np.linspace(0, benchmark.n_items - 1, min(benchmark.n_items, MAX_ITEMS)).astype(np.intp))
    scores = benchmark.scores[:, columns]
    responses = np.where(scores == benchmark.missing, np.nan, scores / benchmark.units).astype(np.float32)
    alike = residual_correlation(responses)
    limit = max(DUPLICATE, DEVIATIONS / math.sqrt(columns.size))
    one, other = np.nonzero(np.triu(alike > limit, 1))
    order = np.argsort(-alike[one, other], kind="stable")
    group_of = [[model] for model in range(benchmark.n_models)]
    for low, high in zip(one[order].tolist(), other[order].tolist(), strict=True):
        left, right = group_of[low], group_of[high]
        if left is not right and float(alike[np.ix_(left, right)].min()) > limit:
            left += right
            for model in right:
                group_of[model] = left
    return np.array([min(group) for group in group_of], np.intp)


def residual_correlation(responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_models, n_models) correlations of responses without the items' and the models' means; 0 for a model without a variance.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing, which counts as the mean.
    """
    answered = ~np.isnan(responses)
    filled = np.where(answered, responses, 0)
    residuals = filled - filled.sum(axis=0) / np.maximum(answered.sum(axis=0), 1)
    residuals *= answered
    residuals -= residuals.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(residuals).sum(axis=1, keepdims=True))
    residuals /= np.where(length > 0, length, 1)
    correlation: NDArray[np.float32] = (residuals @ residuals.T).astype(np.float32)
    return correlation


def by_column(benchmark: Benchmark, column: str) -> Positions:
    """(n_models,) position of the first model with the same value; models without a value are by themselves."""
    position_of: dict[object, int] = {}
    values = benchmark.models.column(column).to_pylist()
    return np.array([k if value is None else position_of.setdefault(value, k) for k, value in enumerate(values)], np.intp)


def joined(first: Positions, pairs: Sequence[tuple[int, int]]) -> Positions:
    """The groups, with those of each pair of models made one."""
    parent = first.tolist()

    def root(model: int) -> int:
        while parent[model] != model:
            model = parent[model]
        return int(model)

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(model) for model in range(len(parent))], np.intp)


def members(benchmark: Benchmark, first: Positions, value: int) -> list[str]:
    """Ids of the models of one group."""
    return [str(name) for name in benchmark.model_ids[first == value]]
