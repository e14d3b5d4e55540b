"""Groups of known models that are not independent of one another: runs and copies of a model, or a family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.data.names import first_few
from microbench_ray.methods.kernels.copies import compared_items, groups_of_copies

Positions = NDArray[np.intp]

COLUMN, FAMILY = "group", "family"
"""Columns of the metadata: groups by the user, and what is used in their absence."""
MIN_FAMILIES = 19
"""Families from which on they are the groups: an interval of fewer units has no distribution-free level of 95 %."""


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
    """(n_models,) position of the first of the models that are copies of one another, by their responses (`groups_of_copies`)."""
    scores = benchmark.scores[:, compared_items(benchmark.n_items)]
    return groups_of_copies(np.where(scores == benchmark.missing, np.nan, scores / benchmark.units).astype(np.float32))


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
