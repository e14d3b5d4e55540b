"""What a grid may be: the largest one that is planned, as a mistyped number of runs must not fill the memory; sizes and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from microbench_ray.core.errors import GridError
from microbench_ray.data import Benchmark
from microbench_ray.data.split import seen_counts
from microbench_ray.sweeps.grid import Grid, Unseen

MAX_CELLS, MAX_DRAWS = 10_000_000, 1_000_000
"""Cells of a sweep; and draws, each of which is a run of one benchmark, group of targets and number of sources."""
MIN_MODELS = 3
"""Of a swept benchmark: a pair of targets and a source."""


def check_bounds(
    benchmarks: Sequence[Benchmark],
    n_methods: int,
    grid: Grid,
    n_groups: int,
    benchmark_sizes: Mapping[str, tuple[int, ...]],
    *,
    sizes_apart: bool,
) -> None:
    """Raise GridError for a grid that is too large to plan, from the numbers alone."""
    n_draws = n_cells = 0
    for benchmark in benchmarks:
        n_subtasks = len(benchmark.subtask_names) if grid.subtasks == "separate" else 1
        n_sizes = len(benchmark_sizes.get(benchmark.name) or (*grid.sizes, *grid.fractions))
        per_size = n_groups * n_subtasks * len(grid.n_source) * grid.runs
        n_cells += per_size * n_methods * n_sizes
        n_draws += per_size * bool(n_methods) * (n_sizes if sizes_apart else 1)
    for what, count, limit in (("cells", n_cells, MAX_CELLS), ("draws", n_draws, MAX_DRAWS)):
        if count > limit:
            raise GridError(
                f"The grid has more than {limit:,} {what}.",
                where="grid",
                got=f"{count:,} {what}, with {grid.runs:,} runs",
                hint="fewer runs (grid.runs=50), sizes or methods; or several sweeps",
            )


def count_seen(subtask_codes: np.ndarray, unseen: Unseen) -> int:
    """Number of items that the method sees."""
    return len(subtask_codes) if unseen == "none" else int(seen_counts(np.bincount(subtask_codes)).sum())


def check_sizes(label: str, sizes: Sequence[tuple[int, float | None]], n_seen: int, where: str = "grid.sizes") -> None:
    """Raise GridError if a size exceeds the seen items or two sizes give the same count."""
    counts = [count for count, _ in sizes]
    too_large = [count for count in counts if count > n_seen]
    if too_large:
        fitting = [count for count, fraction in sizes if count <= n_seen and fraction is None]
        raise GridError(
            f"size {too_large[0]} > {n_seen} seen items of '{label}'.",
            where=where if sizes[counts.index(too_large[0])][1] is None else "grid.fractions",
            got=str([count if fraction is None else fraction for count, fraction in sizes]),
            hint=f"use {where}=[{','.join(map(str, fitting))}]" if fitting else f"use sizes of at most {n_seen}",
        )
    if len(set(counts)) < len(counts):
        raise GridError(
            f"Two sizes give the same number of items of '{label}'.",
            where=f"{where} and grid.fractions",
            got=str(counts),
            hint="remove one of them",
        )


def check_models(benchmark: Benchmark, grid: Grid, group: tuple[int, ...] | None) -> None:
    """Raise GridError if the benchmark has too few models for the requested targets and sources."""
    n_target = grid.n_target if group is None else len(group)
    max_source = max(grid.n_source)
    if n_target < 2:
        raise GridError(
            f"At least 2 target models are needed to form a pair on '{benchmark.name}'.",
            where="targets",
            got=f"{n_target} target models",
            hint="choose a group of at least 2 models",
        )
    if benchmark.n_models < min(MIN_MODELS, n_target + max_source):
        raise GridError(
            f"A sweep needs at least {MIN_MODELS} models: 2 targets and a source.",
            where=f"'{benchmark.name}'",
            got=f"{benchmark.n_models} models",
            hint="add models",
        )
    if n_target + max_source > benchmark.n_models:
        available = benchmark.n_models - n_target
        raise GridError(
            f"{n_target} target and {max_source} source models > {benchmark.n_models} models of '{benchmark.name}'.",
            where="grid.n_source, grid.n_target",
            got=f"n_source {list(grid.n_source)}, n_target {n_target}",
            hint=(
                f"use n_source of at most {available}"
                if available >= 1
                else f"use n_target under {benchmark.n_models}, and fewer sources"
            )
            + ", or leave both out: they are then chosen to fit",
        )
