"""Divide a grid into shards, after checking it against the benchmarks.

A cell is (benchmark, method, size, n_source, run). A shard is the work of one task: all cells that share a fit, for one run or, if
the fit is cheap, for a block of runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from math import isqrt

from microbench_ray.core.errors import GridError
from microbench_ray.core.schemas import SCHEMA_VERSION
from microbench_ray.data import Benchmark, match_models
from microbench_ray.methods import Fixed, Method
from microbench_ray.methods.registry import check_costs, check_weighted
from microbench_ray.sweeps.bounds import check_bounds, check_models, check_sizes, count_seen
from microbench_ray.sweeps.fits import distinct_fits, group_by_fit
from microbench_ray.sweeps.grid import Grid, Targets, Unseen
from microbench_ray.sweeps.stops import check_verdicts, reading_seconds

RUNS_PER_CHEAP_SHARD = 10
CHEAP_FIT_SECONDS = 0.1
SECONDS_PER_RUN = 0.002
SECONDS_PER_CELL = 0.0004


@dataclass(frozen=True)
class Shard:
    """The description of one task, without the benchmark's matrices.

    Attributes
    ----------
    benchmark, digest
        Name and content hash of the benchmark.
    subtask
        The subtask to evaluate; None for all subtasks pooled.
    targets, n_target, group
        Label and number of the target models, and the positions of a fixed group (None: drawn in each run).
    unseen, n_source, runs, sizes, methods
        The cells; each size is (count, fraction or None).
    seed
        The root seed.
    keep_estimates
        Whether to return every target's estimate along with the counts.
    model_resamples
        Bootstrap draws over models, for a shard without runs; 0 otherwise.
    costs
        Whether to return what the selected items cost.
    verdicts
        Whether to read pairs of targets item by item until there is a verdict.
    seconds
        Expected CPU seconds. No result depends on it.
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
    costs: bool = False
    verdicts: bool = False
    seconds: float = field(default=0.0, compare=False)

    @property
    def label(self) -> str:
        """The value of `benchmark` in the tables."""
        return self.benchmark if self.subtask is None else f"{self.benchmark}/{self.subtask}"

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.runs) * len(self.sizes) * len(self.methods)

    @cached_property
    def id(self) -> str:
        """Hash of everything that the shard's results depend on."""
        return shard_id(self.base, tuple(map(method_hash, self.methods)), self.sizes, self.runs, self.companions)

    @property
    def companions(self) -> tuple[str, ...]:
        """Names of the tables that it returns besides `cells`."""
        wanted = {
            "estimates": self.keep_estimates,
            "resamples": self.model_resamples > 0,
            "costs": self.costs,
            "stops": self.verdicts,
        }
        return tuple(name for name, returned in wanted.items() if returned)

    @cached_property
    def base(self) -> str:
        """Hash of everything that the results depend on except methods, sizes and runs: shards of one base share their cells."""
        excluded = ("methods", "sizes", "runs", "keep_estimates", "costs", "verdicts", "seconds")
        parts = {key: getattr(self, key) for key in self.__dataclass_fields__ if key not in excluded}
        return _hash(parts | {"schema": SCHEMA_VERSION})

    @cached_property
    def partition(self) -> str:
        """Hash that is equal for shards that differ only in runs; the shards of one partition hold complete groups of cells."""
        return _hash({"base": self.base, "methods": [method_hash(each) for each in self.methods], "sizes": self.sizes})


def method_hash(method: Method) -> str:
    """Hash of a method's label and all its parameters."""
    return _hash(method.identity())


def shard_id(
    base: str,
    methods: Sequence[str],
    sizes: Sequence[tuple[int, float | None]],
    runs: Sequence[int],
    companions: Sequence[str],
) -> str:
    """A shard's id from its base, the hashes of its methods, its sizes, its runs, and the tables it returns besides `cells`."""
    return _hash({"base": base, "methods": methods, "sizes": sizes, "runs": runs, "companions": companions})


@dataclass(frozen=True)
class Host:
    """A machine that computes shards: its name, how many shards it computes at a time, and its free memory in bytes."""

    machine: str
    workers: int
    free: int


@dataclass(frozen=True)
class Plan:
    """The shards of a sweep, ordered by their keys, and the resources they need.

    Attributes
    ----------
    shards
        The tasks.
    input_bytes
        Bytes of the benchmarks, shared by all workers on a machine.
    worker_bytes, heaviest
        Bytes that each worker needs in addition for its largest fit, and the methods of that fit.
    """

    shards: tuple[Shard, ...]
    input_bytes: int
    worker_bytes: int
    heaviest: tuple[Method, ...] = ()

    @property
    def n_cells(self) -> int:
        """Number of cells in all shards."""
        return sum(shard.n_cells for shard in self.shards)

    @property
    def seconds(self) -> float:
        """Expected CPU seconds of all shards."""
        return sum(shard.seconds for shard in self.shards)


def plan_sweep(
    benchmarks: Sequence[Benchmark],
    methods: Sequence[Method],
    grid: Grid,
    targets: Targets,
    *,
    extra_targets: Sequence[Targets] = (),
    benchmark_sizes: Mapping[str, tuple[int, ...]] | None = None,
    seed: int = 0,
    keep_estimates: bool = False,
    model_resamples: int = 1000,
    sizes_apart: bool = False,
    verdicts: bool = False,
) -> Plan:
    """Divide a grid into shards.

    Parameters
    ----------
    benchmarks, methods, grid, targets
        The sweep.
    extra_targets
        Further groups of targets, each swept like the first.
    benchmark_sizes
        By benchmark name: sizes that replace those of the grid.
    seed
        The root seed.
    keep_estimates
        Whether to keep every target's estimate.
    model_resamples
        Bootstrap draws over models for `fixed` lists.
    sizes_apart
        Whether every shard holds one size: more, smaller tasks with the same results.
    verdicts
        Whether to read pairs of targets item by item until there is a verdict, in the methods that have an order.

    Raises
    ------
    GridError
        A size exceeds the seen items, there are too few models, two methods, benchmarks or groups of targets share a name, or the
        grid is too large to plan, see `bounds`.
    ConfigError
        An estimator that cannot estimate the accuracies by which a benchmark ranks its models (`Benchmark.truth`); a method that
        reads costs, which a benchmark lacks.
    """
    _unique("benchmark name", [benchmark.name for benchmark in benchmarks])
    _unique("method label", [method.label for method in methods])
    fixed = [method for method in methods if isinstance(method.selector, Fixed)]
    drawn = [method for method in methods if not isinstance(method.selector, Fixed)]
    target_groups = (targets, *extra_targets)
    _unique("label of targets", ["all" if fixed and each == Targets() else each.label for each in target_groups])
    check_bounds(benchmarks, len(drawn), grid, len(target_groups), benchmark_sizes or {}, sizes_apart=sizes_apart)
    for benchmark in benchmarks:
        check_weighted(methods, benchmark.truth)
        check_costs(methods, known=benchmark.costs is not None)
    if verdicts:
        check_verdicts(methods, benchmarks)
    shards: list[Shard] = []
    worker_bytes, heaviest = 0, tuple[Method, ...]()
    for benchmark, target_models in ((benchmark, each) for benchmark in benchmarks for each in target_groups):
        group = target_models.positions(benchmark)
        shards.extend(
            _fixed_shard(benchmark, method, target_models.label, group, seed, keep_estimates, model_resamples, verdicts=verdicts)
            for method in fixed
        )
        if not drawn:
            continue
        check_models(benchmark, grid, group)
        for subtask in benchmark.subtask_names if grid.subtasks == "separate" else [None]:
            codes = benchmark.subtask_codes
            if subtask is not None:
                codes = codes[codes == benchmark.subtask_names.index(subtask)]
            n_seen = count_seen(codes, grid.unseen)
            replacement = (benchmark_sizes or {}).get(benchmark.name)
            sizes = (grid if replacement is None else replace(grid, sizes=replacement)).sizes_of(len(codes))
            where = "grid.sizes" if replacement is None else "benchmark.sizes"
            check_sizes(benchmark.name if subtask is None else f"{benchmark.name}/{subtask}", sizes, n_seen, where)
            for n_source in grid.n_source:
                for fit_methods in group_by_fit(drawn, benchmark):
                    fits = distinct_fits(fit_methods, benchmark)
                    fit_seconds = sum(fit.fit_seconds(n_source, n_seen) for fit in fits)
                    fit_bytes = sum(fit.fit_bytes(n_source, n_seen, max(count for count, _ in sizes)) for fit in fits)
                    if fit_bytes > worker_bytes:
                        worker_bytes, heaviest = fit_bytes, fit_methods
                    block = RUNS_PER_CHEAP_SHARD if fit_seconds <= CHEAP_FIT_SECONDS else 1
                    blocks = [tuple(range(start, min(start + block, grid.runs))) for start in range(0, grid.runs, block)]
                    run_seconds = SECONDS_PER_RUN + fit_seconds
                    n_target = grid.n_target if group is None else len(group)
                    shards.extend(
                        Shard(
                            benchmark=benchmark.name,
                            digest=benchmark.digest,
                            subtask=subtask,
                            targets=target_models.label,
                            n_target=n_target,
                            group=group,
                            unseen=grid.unseen,
                            n_source=n_source,
                            runs=runs,
                            sizes=shard_sizes,
                            methods=fit_methods,
                            seed=seed,
                            keep_estimates=keep_estimates,
                            costs=benchmark.costs is not None,
                            verdicts=verdicts,
                            seconds=len(runs)
                            * (
                                run_seconds
                                + SECONDS_PER_CELL * len(fit_methods) * len(shard_sizes)
                                + verdicts * reading_seconds(fit_methods, shard_sizes, n_target)
                            ),
                        )
                        for shard_sizes in ([(size,) for size in sizes] if sizes_apart else [sizes])
                        for runs in blocks
                    )
    input_bytes = sum(benchmark.nbytes for benchmark in benchmarks)
    return Plan(shards=tuple(shards), input_bytes=input_bytes, worker_bytes=worker_bytes, heaviest=heaviest)


def check_memory(plan: Plan, hosts: Sequence[Host]) -> None:
    """Raise GridError if the workers of a machine need more memory than it has free.

    Parameters
    ----------
    plan
        The work to do.
    hosts
        The machines that do it.
    """
    for host in hosts:
        available = host.free - plan.input_bytes
        if host.workers * plan.worker_bytes > available:
            raise _out_of_memory(plan, host, available)


def _out_of_memory(plan: Plan, host: Host, available: int) -> GridError:
    has_max_items = any("max_items" in vars(method.selector) for method in plan.heaviest)
    max_items = isqrt(max(0, available) // (16 * host.workers))  # a quarter for the distances: the responses need memory too
    hint = "use fewer workers (engine.workers=1) or fewer source models"
    if has_max_items:
        hint += f", or fit fewer items: 'methods=[{{method: …, selector: {{max_items: {max_items}}}}}]'"
    return GridError(
        f"The fit of {', '.join(method.label for method in plan.heaviest)} does not fit into memory.",
        where=f"{host.machine}, {host.workers} worker{'s' if host.workers > 1 else ''}",
        got=f"{plan.worker_bytes:,} bytes needed per worker and {plan.input_bytes:,} for the scores; {host.free:,} bytes free",
        hint=hint,
    )


def _fixed_shard(
    benchmark: Benchmark,
    method: Method,
    label: str,
    group: tuple[int, ...] | None,
    seed: int,
    keep_estimates: bool,
    model_resamples: int,
    *,
    verdicts: bool,
) -> Shard:
    selector = method.selector
    assert isinstance(selector, Fixed)
    selector.positions(list(benchmark.item_ids))
    pool = range(benchmark.n_models) if group is None else group
    built_from = set(match_models(benchmark, names=list(selector.built_from))) if selector.built_from else set()
    audited = tuple(model for model in pool if model not in built_from)
    if len(audited) < 2:
        raise GridError(
            f"At least 2 target models are needed to audit '{method.label}'.",
            where="built_from, targets",
            got=f"{len(audited)} target models that the list was not built from",
            hint="include at least 2 target models that the list was not built from",
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
        costs=benchmark.costs is not None,
        verdicts=verdicts,
        seconds=1e-8 * model_resamples * len(audited) ** 2,
    )


def _unique(kind: str, names: list[str]) -> None:
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise GridError(f"Duplicate {kind}.", got=", ".join(duplicates), hint="give each a different label or name")


def _hash(parts: dict[str, object]) -> str:
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return blake2b(text.encode(), digest_size=16).hexdigest()
