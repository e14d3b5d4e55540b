"""A sweep from end to end: plan, skip what is done, run, store, reduce. The driver is the only one that writes."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from microbench_ray.core.errors import StoreError
from microbench_ray.core.progress import WorkProgress
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.sweeps.engine.base import Engine, Failure
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.inventory import scan_shard_files, set_aside
from microbench_ray.sweeps.manifest import check_manifest, check_schema, describe, now, partitions_of
from microbench_ray.sweeps.paired import check_baseline
from microbench_ray.sweeps.reduce import Rules, reduce_partitions
from microbench_ray.sweeps.results import DamagedFiles, SweepStore
from microbench_ray.sweeps.reuse import Wanted, assign
from microbench_ray.sweeps.shards import Plan, Shard, check_memory, plan_sweep
from microbench_ray.sweeps.tables import rows_table

logger = logging.getLogger(__name__)

MIXED = "Machines that differ have computed this sweep: the last bits of its numbers may depend on which did what."
MAX_ROUNDS = 3
"""How often cells whose files turn out to be damaged are computed again before a sweep gives up."""
Argument = TypeVar("Argument")
Value = TypeVar("Value")


@dataclass(frozen=True)
class SweepJob:
    """All that a sweep is made of.

    Attributes
    ----------
    benchmarks, methods, grid, targets, rules
        What is computed, and how it is reduced.
    engine
        What computes it.
    out
        The output folder: a path, or the URL of one in an object store.
    also_targets
        More groups of targets, each swept like the first.
    own_sizes
        By benchmark: the sizes that stand for the grid's there.
    seed
        The root seed.
    keep_estimates
        Whether every target's estimate is kept.
    sizes_apart
        One size per shard.
    config
        What the user asked for, as plain values: for the manifest.
    wait_for_out
        Seconds to wait for another driver at work in the output folder.
    """

    benchmarks: tuple[Benchmark, ...]
    methods: tuple[Method, ...]
    grid: Grid
    targets: Targets
    rules: Rules
    engine: Engine
    out: Path | str
    also_targets: tuple[Targets, ...] = ()
    own_sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    keep_estimates: bool = False
    sizes_apart: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    wait_for_out: float = 0.0

    def plan(self) -> Plan:
        """Check the grid against the benchmarks, and divide it into shards."""
        return plan_sweep(
            self.benchmarks,
            self.methods,
            self.grid,
            self.targets,
            also_targets=self.also_targets,
            own_sizes=self.own_sizes,
            seed=self.seed,
            keep_estimates=self.keep_estimates,
            model_resamples=self.rules.n_resamples,
            sizes_apart=self.sizes_apart,
        )


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep did.

    Attributes
    ----------
    tables
        `agreement`, `mdad`, `summary` and `failures`.
    computed, reused, failed
        Cells computed now, found done, and failed.
    seconds
        Wall time of computing (starting the engine included) and of reducing.
    """

    tables: Mapping[str, pa.Table]
    computed: int
    reused: int
    failed: int
    seconds: Mapping[str, float]


def run_sweep(sweep: SweepJob, plan: Plan) -> SweepOutcome:
    """Compute what is not done yet, and reduce all of it.

    Parameters
    ----------
    sweep, plan
        What to do.

    Raises
    ------
    GridError
        The fits do not fit into the memory of the machines that compute.
    EngineError
        The engine cannot be started or reached.
    StoreError
        The output folder cannot be written, or holds a sweep that this one does not go with.
    """
    store = SweepStore(sweep.out)
    with contextlib.suppress(DamagedFiles):  # before anything is written; it is set aside once the folder is ours
        check_manifest(store, sweep.benchmarks, sweep.seed)
    if not {shard.id for shard in plan.shards} <= set(store.shard_files("cells")):
        check_memory(plan, sweep.engine.hosts())
    with store.held(sweep.wait_for_out):
        try:
            check_manifest(store, sweep.benchmarks, sweep.seed)  # which may be another by now
        except DamagedFiles as error:
            set_aside(store, error.files)
        return _sweep(sweep, plan, store)


def _sweep(sweep: SweepJob, plan: Plan, store: SweepStore) -> SweepOutcome:
    """In a folder that is ours: compute what is missing, and reduce; again where files turn out to be damaged."""
    seconds = {"compute": 0.0, "reduce": 0.0}
    reused = plan.n_cells
    for left in reversed(range(MAX_ROUNDS)):
        found = assign(plan.shards, scan_shard_files(store, estimates=sweep.keep_estimates))
        missing = sum(shard.n_cells for shard in found.missing)
        reused = min(reused, plan.n_cells - missing)
        if left == MAX_ROUNDS - 1 and reused:
            logger.info("%s: %s of %s cells are already done", store.at(), f"{reused:,}", f"{plan.n_cells:,}")
        manifest = describe(
            found.partitions, sweep.benchmarks, seed=sweep.seed, engine=sweep.engine.description, config=sweep.config
        )
        store.write_manifest(manifest)
        started = time.monotonic()
        failures = compute(sweep, store, found.missing)
        failed = sum(shard.n_cells for shard, _ in failures)
        store.write_table("failures", failure_table(failures))
        computed_at = time.monotonic()
        try:
            tables = reduce_store(store, found.partitions, sweep.rules, sweep.seed, {shard.id for shard, _ in failures})
        except DamagedFiles as error:
            if not left:
                raise
            set_aside(store, error.files)
            continue
        finally:
            seconds["compute"] += computed_at - started
            seconds["reduce"] += time.monotonic() - computed_at
        break
    counts = {"computed": plan.n_cells - reused - failed, "reused": reused, "failed": failed}
    about = {"seconds": seconds, "cells": counts, "finished": now()}
    if reused < plan.n_cells:
        about |= how_it_went(sweep.engine)
    store.write_manifest(manifest | about)
    return SweepOutcome({**tables, "failures": failure_table(failures)}, **counts, seconds=seconds)


def how_it_went(engine: Engine) -> dict[str, Any]:
    """What the manifest keeps of the workers: the machines, and the attempts that were lost; both are told where they matter."""
    machines, lost = sorted(engine.machines), dict(engine.lost)
    if len(machines) > 1:
        logger.warning("%s", MIXED + "".join(f"\n  {machine}" for machine in machines))
    if lost:
        kinds = ", ".join(f"{count} by {kind}" for kind, count in sorted(lost.items()))
        logger.warning("%d attempts at shards were lost (%s) and retried where allowed", sum(lost.values()), kinds)
    return {"machines": machines, "lost_attempts": lost}


def compute(sweep: SweepJob, store: SweepStore, shards: Sequence[Shard]) -> list[tuple[Shard, Failure]]:
    """Run shards, the longest first, and store each as it comes; return those that failed. Without shards no engine is started."""
    failures: list[tuple[Shard, Failure]] = []
    if not shards:
        return failures
    benchmarks = {benchmark.name: benchmark for benchmark in sweep.benchmarks}
    with (
        WorkProgress(sum(shard.n_cells for shard in shards)) as progress,
        contextlib.closing(sweep.engine.run(benchmarks, sorted(shards, key=lambda shard: -shard.seconds))) as results,
    ):
        for shard, result in results:
            if isinstance(result, Failure):
                failures.append((shard, result))
            else:
                store.write_shard(shard, result)
            progress.advance(shard.n_cells, failed=isinstance(result, Failure))
    order = {shard.id: place for place, shard in enumerate(shards)}
    return sorted(failures, key=lambda pair: order[pair[0].id])


def run_reduce(out: Path | str, rules: Rules, *, wait_for_out: float = 0.0) -> Mapping[str, pa.Table]:
    """New tables from the cells of a finished sweep, without computing any.

    Parameters
    ----------
    out
        The output folder: a path or a URL.
    rules
        How cells become tables.
    wait_for_out
        Seconds to wait for another driver at work there.
    say
        Is told, in sentences, what happens.

    Raises
    ------
    StoreError
        There is no sweep in the folder, or one of another version, or another driver is at work there.
    """
    store = SweepStore(out)
    finished_manifest(store)  # before anything is written
    with store.held(wait_for_out):
        manifest = finished_manifest(store)
        failures = store.read_table("failures")
        failed = set(failures["shard"].to_pylist())
        tables = reduce_store(store, partitions_of(manifest), rules, manifest["seed"], failed)
    return {**tables, "failures": failures}


def finished_manifest(store: SweepStore) -> dict[str, Any]:
    """The manifest of a finished sweep; StoreError where there is none."""
    manifest = store.manifest()
    if manifest is None:
        raise StoreError(
            "There is no sweep to reduce.", where=store.at(), got="no manifest.json", hint="microbench sweep out=DIR first"
        )
    check_schema(store, manifest)
    if "finished" not in manifest:
        raise StoreError(
            "The sweep in this folder is not finished.",
            where=store.at(),
            got=f"{len(store.shard_files('cells')):,} shards there",
            hint="run the same microbench sweep again: it goes on from here",
        )
    return manifest


def reduce_store(
    store: SweepStore, partitions: Sequence[Sequence[Wanted]], rules: Rules, seed: int, failed: Collection[str] = ()
) -> dict[str, pa.Table]:
    """Reduce the cells of a sweep, a partition in memory at a time, and write the tables; `failed` shards have no file."""
    with_resamples = store.shard_files("resamples")

    def read(wanted: Sequence[Wanted]) -> tuple[pa.Table, pa.Table]:
        resampled = [each for each in wanted if each.file in with_resamples]
        return store.read_wanted("cells", wanted, failed), store.read_wanted("resamples", resampled)

    with one_thread():  # the products are too small for more
        tables = reduce_partitions(prefetch(read, partitions), rules, seed)
    if not failed:  # else its cells may be what failed
        check_baseline(rules.baseline, tables["mdad"]["method"].unique().to_pylist())
    if "paired" not in tables:
        store.remove("paired.parquet")  # of other rules
    for name, table in tables.items():
        store.write_table(name, table)
    return tables


def prefetch(read: Callable[[Argument], Value], arguments: Iterable[Argument]) -> Iterator[Value]:
    """`map(read, arguments)`, with the next value read while the last one is in use."""
    with ThreadPoolExecutor(1) as reader:
        waiting: deque[Future[Value]] = deque()
        for argument in arguments:
            waiting.append(reader.submit(read, argument))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def failure_table(failures: Sequence[tuple[Shard, Failure]]) -> pa.Table:
    """A row per shard that failed."""
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
