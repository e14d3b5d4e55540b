"""The largest grids that are planned: the plan is in memory, and a mistyped number of runs must not fill it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from microbench_ray.core.errors import GridError
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.grid import Grid

MAX_CELLS, MAX_DRAWS = 10_000_000, 1_000_000
"""Cells of a sweep; and draws, each of which is a run of one benchmark, group of targets and number of sources."""


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
