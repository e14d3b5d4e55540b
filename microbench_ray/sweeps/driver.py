"""Run a sweep from end to end: plan, skip finished cells, compute, store, reduce. Only the driver writes to the output folder."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from microbench_ray.core.errors import StoreError
from microbench_ray.core.progress import WorkProgress
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.sweeps.engine.base import Engine, Failure
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.inventory import scan_shard_files, set_aside
from microbench_ray.sweeps.manifest import check_manifest, check_schema, computed_before, describe, now, partitions_of, run_entry
from microbench_ray.sweeps.paired import check_baseline
from microbench_ray.sweeps.reduce import COMPANIONS, OPTIONAL, Partition, Rules, reduce_partitions
from microbench_ray.sweeps.results import DIGESTS, DamagedFiles, SweepStore
from microbench_ray.sweeps.reuse import CellSelection, Identity, assign
from microbench_ray.sweeps.shards import Plan, Shard, check_memory, plan_sweep
from microbench_ray.sweeps.tables import rows_table

logger = logging.getLogger(__name__)

MAX_ROUNDS = 3
"""How often a sweep computes and reduces, if files turn out to be damaged, before it gives up."""
Argument = TypeVar("Argument")
Value = TypeVar("Value")


@dataclass(frozen=True)
class SweepJob:
    """A sweep to run.

    Attributes
    ----------
    benchmarks, methods, grid, targets
        What to compute.
    rules
        How cells become tables.
    engine
        Where to compute.
    out
        The output folder: a path, or the URL of a folder in an object store.
    extra_targets
        Further groups of targets, each swept like the first.
    benchmark_sizes
        By benchmark name: sizes that replace those of the grid.
    seed
        The root seed.
    keep_estimates
        Whether to keep every target's estimate.
    verdicts
        Whether to read pairs of targets item by item until there is a verdict.
    sizes_apart
        Whether every shard holds one size.
    config
        The user's configuration as plain values, for the manifest.
    wait_for_out
        Seconds to wait while another driver uses the output folder.
    """

    benchmarks: tuple[Benchmark, ...]
    methods: tuple[Method, ...]
    grid: Grid
    targets: Targets
    rules: Rules
    engine: Engine
    out: Path | str
    extra_targets: tuple[Targets, ...] = ()
    benchmark_sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    keep_estimates: bool = False
    verdicts: bool = False
    sizes_apart: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    wait_for_out: float = 0.0

    def plan(self) -> Plan:
        """Check the grid against the benchmarks and divide it into shards."""
        return plan_sweep(
            self.benchmarks,
            self.methods,
            self.grid,
            self.targets,
            extra_targets=self.extra_targets,
            benchmark_sizes=self.benchmark_sizes,
            seed=self.seed,
            keep_estimates=self.keep_estimates,
            model_resamples=self.rules.n_resamples,
            sizes_apart=self.sizes_apart,
            verdicts=self.verdicts,
        )


@dataclass(frozen=True)
class SweepOutcome:
    """The result of a sweep.

    Attributes
    ----------
    tables
        `agreement`, `mdad`, `summary` and `failures`; `paired` if there is a baseline; `verdicts` and `stopping` if asked for.
    computed, reused, failed
        Numbers of cells computed by this run, reused from earlier runs, and failed.
    seconds
        Wall time by stage: `compute` (including the start of the engine) and `reduce`.
    """

    tables: Mapping[str, pa.Table]
    computed: int
    reused: int
    failed: int
    seconds: Mapping[str, float]


class FailedShard(NamedTuple):
    """A shard and why it failed."""

    shard: Shard
    failure: Failure


def run_sweep(job: SweepJob, plan: Plan) -> SweepOutcome:
    """Compute the missing cells of a sweep and reduce all of them.

    Parameters
    ----------
    job, plan
        The sweep and its plan.

    Raises
    ------
    GridError
        The machines do not have enough memory for the fits.
    EngineError
        The engine cannot be started or reached.
    StoreError
        The output folder cannot be written, is in use, or holds an incompatible sweep.
    """
    store = SweepStore(job.out)
    try:
        check_manifest(store, job.benchmarks, job.seed)  # before anything is written
    except DamagedFiles as error:
        logger.debug("%s is damaged; it is set aside once the folder is locked: %s", error.where, error.got)
    if not {shard.id for shard in plan.shards} <= set(store.shard_files("cells")):
        check_memory(plan, job.engine.hosts())
    with store.locked(job.wait_for_out):
        try:
            check_manifest(store, job.benchmarks, job.seed)  # another driver may have written one in the meantime
        except DamagedFiles as error:
            set_aside(store, error.files)
        return _compute_and_reduce(job, plan, store)


def _compute_and_reduce(job: SweepJob, plan: Plan, store: SweepStore) -> SweepOutcome:
    """Compute the missing cells and reduce all; repeat if files turn out to be damaged. The caller holds the folder's lock."""
    seconds = {"compute": 0.0, "reduce": 0.0}
    reused = plan.n_cells
    for rounds_left in reversed(range(MAX_ROUNDS)):
        existing = scan_shard_files(store, estimates=job.keep_estimates, verdicts=job.verdicts)
        assignment = assign(plan.shards, existing)
        n_missing = sum(shard.n_cells for shard in assignment.missing)
        reused = min(reused, plan.n_cells - n_missing)
        if rounds_left == MAX_ROUNDS - 1 and reused:
            logger.info("%s: %s of %s cells are already done", store.at(), f"{reused:,}", f"{plan.n_cells:,}")
        manifest = describe(assignment.partitions, job.benchmarks, seed=job.seed, engine=job.engine.description, config=job.config)
        earlier = store.manifest()
        store.expect_digests(earlier)
        manifest["runs"] = computed_before(earlier, existing)
        manifest[DIGESTS] = dict(store.digests)
        manifest["verdicts"] = job.verdicts
        store.write_manifest(manifest)
        started = time.monotonic()
        failures = compute(job, store, assignment.missing)
        failed_ids = {failed.shard.id for failed in failures}
        n_failed = sum(failed.shard.n_cells for failed in failures)
        store.write_table("failures", failure_table(failures))
        computed_at = time.monotonic()
        try:
            tables = reduce_store(store, assignment.partitions, job.rules, job.seed, failed_ids, verdicts=job.verdicts)
        except DamagedFiles as error:
            if not rounds_left:
                raise
            set_aside(store, error.files)
            continue
        finally:
            seconds["compute"] += computed_at - started
            seconds["reduce"] += time.monotonic() - computed_at
        break
    n_computed = plan.n_cells - reused - n_failed
    new_files = [Identity.of(shard) for shard in assignment.missing if shard.id not in failed_ids]
    if new_files:
        manifest["runs"].append(run_entry(manifest["started"], new_files))
    present = store.shard_files("cells")
    manifest |= {
        DIGESTS: {shard_id: digest for shard_id, digest in store.digests.items() if shard_id in present},
        "seconds": seconds,
        "cells": {"computed": n_computed, "reused": reused, "failed": n_failed},
        "finished": now(),
    }
    if reused < plan.n_cells:
        manifest |= engine_report(job.engine)
    store.write_manifest(manifest)
    return SweepOutcome(
        tables={**tables, "failures": failure_table(failures)},
        computed=n_computed,
        reused=reused,
        failed=n_failed,
        seconds=seconds,
    )


def engine_report(engine: Engine) -> dict[str, Any]:
    """The manifest's entries about the engine, its machines and lost attempts. Logs a warning where the last two matter."""
    machines, lost = sorted(engine.machines), dict(engine.lost)
    if len(machines) > 1:
        logger.warning(
            "This sweep ran on different types of machines, which may compute different last bits:%s",
            "".join(f"\n  {machine}" for machine in machines),
        )
    if lost:
        kinds = ", ".join(f"{count} by {kind}" for kind, count in sorted(lost.items()))
        logger.warning("%d attempts at shards were lost (%s) and retried up to engine.max_retries times", sum(lost.values()), kinds)
    return {"engine": engine.description, "machines": machines, "lost_attempts": lost}


def compute(job: SweepJob, store: SweepStore, shards: Sequence[Shard]) -> list[FailedShard]:
    """Run shards, longest first, and store each result as it arrives; without shards, do not start the engine.

    Returns
    -------
    The failed shards, in the order of `shards`.
    """
    failures: list[FailedShard] = []
    if not shards:
        return failures
    benchmarks = {benchmark.name: benchmark for benchmark in job.benchmarks}
    with (
        WorkProgress(sum(shard.n_cells for shard in shards)) as progress,
        contextlib.closing(job.engine.run(benchmarks, sorted(shards, key=lambda shard: -shard.seconds))) as results,
    ):
        for shard, result in results:
            if isinstance(result, Failure):
                failures.append(FailedShard(shard=shard, failure=result))
            else:
                store.write_shard(shard, result)
            progress.advance(shard.n_cells, failed=isinstance(result, Failure))
    order = {shard.id: position for position, shard in enumerate(shards)}
    return sorted(failures, key=lambda failed: order[failed.shard.id])


def run_reduce(out: Path | str, rules: Rules, *, wait_for_out: float = 0.0) -> Mapping[str, pa.Table]:
    """Reduce the cells of a finished sweep again, without computing any.

    Parameters
    ----------
    out
        The output folder: a path or a URL.
    rules
        How cells become tables.
    wait_for_out
        Seconds to wait while another driver uses the folder.

    Returns
    -------
    The new tables, and `failures` as it was.

    Raises
    ------
    StoreError
        The folder holds no finished sweep of this version, or another driver uses it.
    """
    store = SweepStore(out)
    finished_manifest(store)  # before anything is written
    with store.locked(wait_for_out):
        manifest = finished_manifest(store)
        store.expect_digests(manifest)
        failures = store.read_table("failures")
        failed = set(failures["shard"].to_pylist())
        verdicts = bool(manifest.get("verdicts"))
        tables = reduce_store(store, partitions_of(manifest), rules, manifest["seed"], failed, verdicts=verdicts)
    return {**tables, "failures": failures}


def finished_manifest(store: SweepStore) -> dict[str, Any]:
    """The manifest of a finished sweep; StoreError if the folder holds none."""
    manifest = store.manifest()
    if manifest is None:
        raise StoreError(
            "No sweep found in this folder.", where=store.at(), got="no manifest.json", hint="run microbench sweep out=DIR first"
        )
    check_schema(store, manifest)
    if "finished" not in manifest:
        raise StoreError(
            "The sweep in this folder is not finished.",
            where=store.at(),
            got=f"{len(store.shard_files('cells')):,} finished shards",
            hint="rerun the same microbench sweep to resume it",
        )
    return manifest


def reduce_store(
    store: SweepStore,
    partitions: Sequence[Sequence[CellSelection]],
    rules: Rules,
    seed: int,
    failed: Collection[str] = (),
    *,
    verdicts: bool = False,
) -> dict[str, pa.Table]:
    """Reduce the cells of a sweep and write the tables.

    At most two partitions are in memory: one is reduced while the next is read.

    Parameters
    ----------
    store
        The output folder.
    partitions
        Which cells to read together.
    rules
        How cells become tables.
    seed
        The root seed.
    failed
        Ids of failed shards, which have no file.
    verdicts
        Whether the sweep has verdicts; stops of others in the same folder are not read.
    """
    files = {name: store.shard_files(name) for name in COMPANIONS if verdicts or name != "stops"}

    def read(partition: Sequence[CellSelection]) -> Partition:
        present = {name: [selection for selection in partition if selection.file in ids] for name, ids in files.items()}
        cells = store.read_selected("cells", partition, failed)
        return Partition(cells, **{name: store.read_selected(name, selected) for name, selected in present.items()})

    with one_thread():  # the products are too small to gain from more
        tables = reduce_partitions(prefetch(read, partitions), rules, seed)
    if not failed:  # with failures, the baseline's cells may be missing
        check_baseline(rules.baseline, tables["mdad"]["method"].unique().to_pylist())
    for name in OPTIONAL:
        if name not in tables:
            store.remove(f"{name}.parquet")  # left by a reduction with a baseline, or a sweep with verdicts
    for name, table in tables.items():
        store.write_table(name, table)
    return tables


def prefetch(read: Callable[[Argument], Value], arguments: Iterable[Argument]) -> Iterator[Value]:
    """`map(read, arguments)` that reads the next value in a thread while the caller uses the current one."""
    with ThreadPoolExecutor(1) as reader:
        pending: deque[Future[Value]] = deque()
        for argument in arguments:
            pending.append(reader.submit(read, argument))
            if len(pending) > 1:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def failure_table(failures: Sequence[FailedShard]) -> pa.Table:
    """The `failures` table: one row per failed shard."""
    return rows_table(
        "failures",
        [
            {
                "shard": shard.id,
                "benchmark": shard.label,
                "methods": ", ".join(method.label for method in shard.methods),
                "n_source": shard.n_source,
                "sizes": ", ".join(str(size) for size, _ in shard.sizes),
                "targets": shard.targets,
                "n_target": shard.n_target,
                "unseen": shard.unseen,
                "runs": f"{shard.runs[0]}-{shard.runs[-1]}",
                "error": failure.error,
                "traceback": failure.traceback,
            }
            for shard, failure in failures
        ],
    )
