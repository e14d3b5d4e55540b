"""Choose the parts of a grid that the user left open, so that they fit the benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from microbench_ray.core.shown import escape_controls
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.sweeps.bounds import count_seen
from microbench_ray.sweeps.grid import Grid, Targets

DEFAULT = Grid()
OPEN_KEYS = ("sizes", "n_source", "n_target")
"""Keys of a grid that may be left open."""
SMALL_SIZE = 5
"""Added where fewer than `FEW_SIZES` of the default sizes fit."""
FEW_SIZES = 3


def open_keys(given: Mapping[str, Any], methods: Iterable[Method]) -> tuple[str, ...]:
    """The keys with None, which `fit_grid` chooses; none where all methods are lists of items, which have no sources."""
    if all(isinstance(each.selector, Fixed) for each in methods):
        return ()
    return tuple(key for key in OPEN_KEYS if given[key] is None)


class FittedGrid(NamedTuple):
    """A grid without open keys.

    Attributes
    ----------
    grid
        The grid; its sizes are those of the first benchmark.
    sizes
        By name, the sizes of benchmarks that need others than the first.
    lines
        Sentences for the log, one per benchmark: what was chosen, and how to change it; empty where nothing was open.
    """

    grid: Grid
    sizes: Mapping[str, tuple[int, ...]]
    lines: Sequence[str]


def fit_grid(
    grid: Grid,
    open_keys: Collection[str],
    benchmarks: Sequence[Benchmark],
    targets: Sequence[Targets],
    own_sizes: Mapping[str, tuple[int, ...]] | None = None,
) -> FittedGrid:
    """Choose the open keys of a grid. Others are never changed, also where they do not fit.

    - `sizes`: those of the default grid that the seen items allow (of the smallest subtask, where subtasks are separate), with
      `SMALL_SIZE` where fewer than `FEW_SIZES` do; half of fewer than `SMALL_SIZE` seen items.
    - `n_target`: a third of the models, from 2 to 50; with given numbers of sources, all other models, up to 50.
    - `n_source`: all other models, up to 100.

    On 150 models and 1,000 items or more this is the default grid: sizes 10 to 500, 100 source and 50 target models. The numbers of
    models are the same for all benchmarks and groups of targets, and fit the one with the fewest models.

    Parameters
    ----------
    grid
        The grid, with any values in place of the open ones.
    open_keys
        Some of `OPEN_KEYS`.
    benchmarks, targets
        What is swept: at least one each.
    own_sizes
        By name, the sizes that a benchmark's own configuration gives: no others are chosen for it.

    Raises
    ------
    ConfigError
        A group of targets does not match the benchmark's models.
    """
    if not open_keys:
        return FittedGrid(grid, {}, ())
    n_target, n_source = grid.n_target, grid.n_source
    groups = [(each.n_models, group.positions(each)) for each in benchmarks for group in targets]
    drawn_from = [n_models for n_models, positions in groups if positions is None]
    if "n_target" in open_keys and drawn_from:
        fewest = min(drawn_from)
        others = fewest // 3 if "n_source" in open_keys else fewest - max(n_source)
        n_target = min(DEFAULT.n_target, max(2, others))
    if "n_source" in open_keys:
        rest = min(n_models - (n_target if positions is None else len(positions)) for n_models, positions in groups)
        n_source = (min(max(DEFAULT.n_source), max(1, rest)),)
    own_sizes = own_sizes or {}
    sizes = {
        each.name: own_sizes.get(each.name) or (_sizes(each, grid) if "sizes" in open_keys else grid.sizes) for each in benchmarks
    }
    first = sizes[benchmarks[0].name]
    fitted = replace(grid, sizes=first, n_source=n_source, n_target=n_target)
    lines = []
    for each in benchmarks:
        chosen = [key for key in OPEN_KEYS if key in open_keys and not (key == "sizes" and each.name in own_sizes)]
        values = {"sizes": list(sizes[each.name]), "n_source": list(n_source), "n_target": n_target}
        if not drawn_from:
            del values["n_target"]
        shown = " ".join(f"grid.{key}={values[key]}".replace(", ", ",") for key in chosen if key in values)
        if shown:
            about = f"{escape_controls(each.name)}: {each.n_models:,} models, {each.n_items:,} items"
            lines.append(f"{about}; chosen to fit them, and changed by giving other values: {shown}")
    return FittedGrid(fitted, {name: own for name, own in sizes.items() if own != first}, lines)


def _sizes(benchmark: Benchmark, grid: Grid) -> tuple[int, ...]:
    codes = benchmark.subtask_codes
    parts = [codes[codes == code] for code in set(codes.tolist())] if grid.subtasks == "separate" else [codes]
    n_seen = min(count_seen(part, grid.unseen) for part in parts)
    fitting = tuple(size for size in DEFAULT.sizes if size <= n_seen)
    if n_seen < SMALL_SIZE:
        return (max(1, n_seen // 2),)
    return (SMALL_SIZE, *fitting) if len(fitting) < FEW_SIZES else fitting
