"""From a grid to shards: everything is checked here, before any work.

A cell is (benchmark, method, size, n_source, run); a shard is what one task computes: all cells that share a fit, for one run or,
where the fit is light, for a block of runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from math import isqrt

import numpy as np

from microbench_ray.core.errors import GridError
from microbench_ray.core.schemas import SCHEMA_VERSION
from microbench_ray.data import Benchmark, match_models
from microbench_ray.data.split import seen_counts
from microbench_ray.methods import Fixed, Method
from microbench_ray.sweeps.fits import by_fit, fits_of
from microbench_ray.sweeps.grid import Grid, Targets, Unseen

RUNS_PER_LIGHT_SHARD = 10
LIGHT_FIT_SECONDS = 0.1
SECONDS_PER_RUN = 0.002
SECONDS_PER_CELL = 0.0004


@dataclass(frozen=True)
class Shard:
    """One task: all it needs, but for the matrices.

    Attributes
    ----------
    benchmark, digest
        Name and content of the benchmark.
    subtask
        The one subtask that is looked at; None for all of them together.
    targets, n_target, group
        Label of the target models, how many there are, and the positions of a fixed group (None: drawn in each run).
    unseen, n_source, runs, sizes, methods
        The cells: `sizes` are (count, fraction or None).
    seed
        The root seed.
    keep_estimates
        Whether every target's estimate is returned beside the counts.
    model_resamples
        Bootstrap draws over models, for a shard that has no runs; else 0.
    seconds
        CPU seconds that it is expected to take; no number depends on it.
    """

    benchmark: str
    digest: str
    subtask: str | None
    targets: str
    n_target: int
    group: tuple[int, ...] | None
    unseen: Unseen
    n_source: int
    runs: tuple[int, ...]
    sizes: tuple[tuple[int, float | None], ...]
    methods: tuple[Method, ...]
    seed: int
    keep_estimates: bool = False
    model_resamples: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def label(self) -> str:
        """The value of `benchmark` in the tables."""
        return self.benchmark if self.subtask is None else f"{self.benchmark}/{self.subtask}"

    @property
    def n_cells(self) -> int:
        """Cells computed."""
        return len(self.runs) * len(self.sizes) * len(self.methods)

    @cached_property
    def id(self) -> str:
        """Hash of everything that its numbers depend on."""
        companions = ("estimates",) * self.keep_estimates + ("resamples",) * bool(self.model_resamples)
        return shard_id(self.base, tuple(map(method_hash, self.methods)), self.sizes, self.runs, companions)

    @cached_property
    def base(self) -> str:
        """Hash of everything that its numbers depend on beside methods, sizes and runs: cells of equal bases go together."""
        apart = ("methods", "sizes", "runs", "keep_estimates", "seconds")
        parts = {key: getattr(self, key) for key in self.__dataclass_fields__ if key not in apart}
        return _hash(parts | {"schema": SCHEMA_VERSION})

    @cached_property
    def partition(self) -> str:
        """Equal for shards that differ only in runs: together they hold whole groups of cells."""
        return _hash({"base": self.base, "methods": [method_hash(each) for each in self.methods], "sizes": self.sizes})


def method_hash(method: Method) -> str:
    """Hash of a method with its label and all its parameters."""
    return _hash(method.identity())


def shard_id(
    base: str,
    methods: Sequence[str],
    sizes: Sequence[tuple[int, float | None]],
    runs: Sequence[int],
    companions: Sequence[str],
) -> str:
    """A shard's id from its base, the hashes of its methods, its sizes and runs, and the tables that it returns beside cells."""
    return _hash({"base": base, "methods": methods, "sizes": sizes, "runs": runs, "companions": companions})


@dataclass(frozen=True)
class Host:
    """A machine that computes: its name, the shards computed there at a time, and the bytes that are free."""

    machine: str
    workers: int
    free: int


@dataclass(frozen=True)
class Plan:
    """The shards of a sweep, in the order of their keys, and what they will take.

    Attributes
    ----------
    shards
        The tasks.
    input_bytes
        Bytes of the benchmarks, which all workers share.
    worker_bytes, heaviest
        Bytes that one worker needs of its own for its largest fits, and the methods that need them.
    """

    shards: tuple[Shard, ...]
    input_bytes: int
    worker_bytes: int
    heaviest: tuple[Method, ...] = ()

    @property
    def n_cells(self) -> int:
        """Cells of all shards."""
        return sum(shard.n_cells for shard in self.shards)

    @property
    def seconds(self) -> float:
        """CPU seconds that all shards are expected to take."""
        return sum(shard.seconds for shard in self.shards)


def plan_sweep(
    benchmarks: Sequence[Benchmark],
    methods: Sequence[Method],
    grid: Grid,
    targets: Targets,
    *,
    also_targets: Sequence[Targets] = (),
    own_sizes: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    keep_estimates: bool = False,
    model_resamples: int = 1000,
    sizes_apart: bool = False,
) -> Plan:
    """Divide a grid into shards.

    Parameters
    ----------
    benchmarks, methods, grid, targets
        What to sweep.
    also_targets
        More groups of targets, each swept like the first.
    own_sizes
        By the name of a benchmark: the sizes that stand for the grid's there.
    seed
        The root seed.
    keep_estimates
        Whether to keep every target's estimate.
    model_resamples
        Bootstrap draws over models for `fixed` lists.
    sizes_apart
        One size per shard: more and smaller tasks; the numbers stay the same.

    Raises
    ------
    GridError
        A size over the seen items, too few models, two methods, benchmarks or groups of targets of one name.
    """
    _unique("benchmark name", [benchmark.name for benchmark in benchmarks])
    _unique("method label", [method.label for method in methods])
    fixed = [method for method in methods if isinstance(method.selector, Fixed)]
    drawn = [method for method in methods if not isinstance(method.selector, Fixed)]
    _unique("label of targets", ["all" if fixed and each == Targets() else each.label for each in (targets, *also_targets)])
    shards: list[Shard] = []
    worker_bytes, heaviest = 0, tuple[Method, ...]()
    for benchmark, among in ((benchmark, among) for benchmark in benchmarks for among in (targets, *also_targets)):
        group = among.positions(benchmark)
        shards.extend(_fixed_shard(benchmark, each, among.label, group, seed, keep_estimates, model_resamples) for each in fixed)
        if not drawn:
            continue
        check_models(benchmark, grid, group)
        for subtask in benchmark.subtask_names if grid.subtasks == "apart" else [None]:
            codes = benchmark.subtask_codes
            if subtask is not None:
                codes = codes[codes == benchmark.subtask_names.index(subtask)]
            n_seen = count_seen(codes, grid.unseen)
            own = (own_sizes or {}).get(benchmark.name)
            sizes = (grid if own is None else replace(grid, sizes=own)).sizes_of(len(codes))
            where = "grid.sizes" if own is None else "benchmark.sizes"
            check_sizes(benchmark.name if subtask is None else f"{benchmark.name}/{subtask}", sizes, n_seen, where)
            for n_source in grid.n_source:
                for shared in by_fit(drawn, benchmark):
                    parts = fits_of(shared, benchmark)
                    fit_seconds = sum(part.fit_seconds(n_source, n_seen) for part in parts)
                    needed = sum(part.fit_bytes(n_source, n_seen, max(count for count, _ in sizes)) for part in parts)
                    if needed > worker_bytes:
                        worker_bytes, heaviest = needed, shared
                    block = RUNS_PER_LIGHT_SHARD if fit_seconds <= LIGHT_FIT_SECONDS else 1
                    blocks = [tuple(range(start, min(start + block, grid.runs))) for start in range(0, grid.runs, block)]
                    run_seconds = SECONDS_PER_RUN + fit_seconds
                    shards.extend(
                        Shard(
                            benchmark=benchmark.name,
                            digest=benchmark.digest,
                            subtask=subtask,
                            targets=among.label,
                            n_target=grid.n_target if group is None else len(group),
                            group=group,
                            unseen=grid.unseen,
                            n_source=n_source,
                            runs=runs,
                            sizes=some_sizes,
                            methods=shared,
                            seed=seed,
                            keep_estimates=keep_estimates,
                            seconds=len(runs) * (run_seconds + SECONDS_PER_CELL * len(shared) * len(some_sizes)),
                        )
                        for some_sizes in ([(size,) for size in sizes] if sizes_apart else [sizes])
                        for runs in blocks
                    )
    input_bytes = sum(benchmark.nbytes for benchmark in benchmarks)
    return Plan(tuple(shards), input_bytes, worker_bytes, heaviest)


def check_memory(plan: Plan, hosts: Sequence[Host]) -> None:
    """Raise GridError where the workers' fits do not fit into the free bytes of a machine.

    Parameters
    ----------
    plan
        What is to be done.
    rooms
        The machines that compute.
    """
    for host in hosts:
        left = host.free - plan.input_bytes
        if host.workers * plan.worker_bytes > left:
            raise _too_large(plan, host, left)


def _too_large(plan: Plan, host: Host, left: int) -> GridError:
    bounded = any("max_items" in vars(method.selector) for method in plan.heaviest)
    n_items = isqrt(max(0, left) // (16 * host.workers))  # a quarter for the distances: the responses take room too
    return GridError(
        f"The fit of {', '.join(method.label for method in plan.heaviest)} does not fit into memory.",
        where=f"{host.machine}, {host.workers} worker{'s' if host.workers > 1 else ''}",
        got=f"{plan.worker_bytes:,} bytes needed in each, and {plan.input_bytes:,} for the scores; {host.free:,} bytes are free",
        hint=(
            "bound the items that are fitted: methods=[{method: …, selector: {max_items: " + f"{n_items}" + "}}]; or fewer "
            if bounded
            else "fewer "
        )
        + "workers (engine.workers=1), or fewer source models",
    )


def count_seen(subtask_codes: np.ndarray, unseen: Unseen) -> int:
    """How many items the method sees."""
    return len(subtask_codes) if unseen == "none" else int(seen_counts(np.bincount(subtask_codes)).sum())


def check_sizes(label: str, sizes: Sequence[tuple[int, float | None]], n_seen: int, where: str = "grid.sizes") -> None:
    """Raise GridError where a size is over the seen items, or two sizes are one."""
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
            f"Two of the sizes come to the same number of items of '{label}'.",
            where=f"{where} and grid.fractions",
            got=str(counts),
            hint="leave one of them out",
        )


def check_models(benchmark: Benchmark, grid: Grid, group: tuple[int, ...] | None) -> None:
    """Raise GridError where there are too few models for the targets and sources asked for."""
    n_target = grid.n_target if group is None else len(group)
    most = max(grid.n_source)
    if n_target < 2:
        raise GridError(
            f"A group of {n_target} target models has no pair.", where="targets", hint="choose a group of at least 2 models"
        )
    if n_target + most > benchmark.n_models:
        host = benchmark.n_models - n_target
        raise GridError(
            f"{n_target} target and {most} source models > {benchmark.n_models} models of '{benchmark.name}'.",
            where="grid.n_source, grid.n_target",
            got=f"n_source {list(grid.n_source)}, n_target {n_target}",
            hint=f"use n_source of at most {host}" if host >= 1 else f"use n_target under {benchmark.n_models}, and fewer sources",
        )


def _fixed_shard(
    benchmark: Benchmark,
    method: Method,
    label: str,
    group: tuple[int, ...] | None,
    seed: int,
    keep_estimates: bool,
    model_resamples: int,
) -> Shard:
    selector = method.selector
    assert isinstance(selector, Fixed)
    selector.positions(list(benchmark.item_ids))
    pool = range(benchmark.n_models) if group is None else group
    built_from = set(match_models(benchmark, names=list(selector.built_from))) if selector.built_from else set()
    audited = tuple(model for model in pool if model not in built_from)
    if len(audited) < 2:
        raise GridError(
            f"fixed: {len(audited)} target models are left to audit '{method.label}' on.",
            where="built_from, targets",
            hint="leave at least 2 models that the list was not built from",
        )
    return Shard(
        benchmark=benchmark.name,
        digest=benchmark.digest,
        subtask=None,
        targets="all" if group is None else label,
        n_target=len(audited),
        group=audited,
        unseen="none",
        n_source=0,
        runs=(0,),
        sizes=((len(selector.items), None),),
        methods=(method,),
        seed=seed,
        keep_estimates=keep_estimates,
        model_resamples=model_resamples,
        seconds=1e-8 * model_resamples * len(audited) ** 2,
    )


def _unique(kind: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise GridError(f"Two have the same {kind}.", got=", ".join(twice), hint="give one of them another label or name")


def _hash(parts: dict[str, object]) -> str:
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()
