"""A sweep from end to end: plan, skip what is done, run, store, reduce. The driver is the only one that writes."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from threadpoolctl import threadpool_limits

from microbench_ray.data import Benchmark
from microbench_ray.engine.base import Engine, Failure
from microbench_ray.engine.progress import SweepProgress
from microbench_ray.errors import StoreError
from microbench_ray.grid import Grid, Targets
from microbench_ray.manifest import check_manifest, check_schema, describe, now
from microbench_ray.methods import Method
from microbench_ray.plan import Plan, Shard, check_memory, plan_sweep
from microbench_ray.reduce import Rules, reduce_partitions
from microbench_ray.store import Store
from microbench_ray.tables import rows_table

MIXED = "Machines that differ have computed this sweep: the last bits of its numbers may depend on which did what."
Say = Callable[[str], None]
Argument = TypeVar("Argument")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Sweep:
    """All that a sweep is made of.

    Attributes
    ----------
    benchmarks, methods, grid, targets, rules
        What is computed, and how it is reduced.
    engine
        What computes it.
    out
        The output folder.
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
    """

    benchmarks: tuple[Benchmark, ...]
    methods: tuple[Method, ...]
    grid: Grid
    targets: Targets
    rules: Rules
    engine: Engine
    out: Path
    own_sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    keep_estimates: bool = False
    sizes_apart: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Check the grid against the benchmarks, and divide it into shards."""
        return plan_sweep(
            self.benchmarks,
            self.methods,
            self.grid,
            self.targets,
            own_sizes=self.own_sizes,
            seed=self.seed,
            keep_estimates=self.keep_estimates,
            model_resamples=self.rules.n_resamples,
            sizes_apart=self.sizes_apart,
        )


@dataclass(frozen=True)
class Outcome:
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


def run_sweep(sweep: Sweep, plan: Plan, say: Say) -> Outcome:
    """Compute what is not done yet, and reduce all of it.

    Parameters
    ----------
    sweep, plan
        What to do.
    say
        Is told, in sentences, what happens.

    Raises
    ------
    GridError
        The fits do not fit into this machine's memory.
    StoreError
        The output folder cannot be written, or holds a sweep that this one does not go with.
    """
    store = Store(sweep.out)
    check_manifest(store, sweep.benchmarks, sweep.seed)
    done = store.done()
    waiting = [shard for shard in plan.shards if shard.id not in done]
    if waiting:
        check_memory(plan, sweep.engine.room())
    store.prepare()
    reused = plan.n_cells - sum(shard.n_cells for shard in waiting)
    if reused:
        say(f"{reused:,} of {plan.n_cells:,} cells are done already in {sweep.out}")
    manifest = describe(plan, sweep.benchmarks, seed=sweep.seed, engine=sweep.engine.description, config=sweep.config)
    store.write_manifest(manifest)
    started = time.monotonic()
    failures = compute(sweep, store, waiting)
    failed = sum(shard.n_cells for shard, _ in failures)
    store.write_table("failures", failure_table(failures))
    computed_at = time.monotonic()
    tables = reduce_store(store, manifest["partitions"], sweep.rules, sweep.seed)
    seconds = {"compute": computed_at - started, "reduce": time.monotonic() - computed_at}
    counts = {"computed": plan.n_cells - reused - failed, "reused": reused, "failed": failed}
    machines = sorted(sweep.engine.machines) if waiting else []
    if len(machines) > 1:
        say(MIXED + "".join(f"\n  {machine}" for machine in machines))
    lost = dict(sweep.engine.lost) if waiting else {}
    if lost:
        kinds = ", ".join(f"{count} by {kind}" for kind, count in sorted(lost.items()))
        say(f"{sum(lost.values())} attempts at shards were lost ({kinds}), and made again where that was allowed")
    about = {"seconds": seconds, "cells": counts, "machines": machines, "lost_attempts": lost}
    store.write_manifest(manifest | about | {"finished": now()})
    return Outcome({**tables, "failures": failure_table(failures)}, **counts, seconds=seconds)


def compute(sweep: Sweep, store: Store, shards: Sequence[Shard]) -> list[tuple[Shard, Failure]]:
    """Run shards, the longest first, and store each as it comes; return those that failed. Without shards no engine is started."""
    failures: list[tuple[Shard, Failure]] = []
    if not shards:
        return failures
    benchmarks = {benchmark.name: benchmark for benchmark in sweep.benchmarks}
    with (
        SweepProgress(sum(shard.n_cells for shard in shards)) as progress,
        contextlib.closing(sweep.engine.run(benchmarks, sorted(shards, key=lambda shard: -shard.seconds))) as results,
    ):
        for shard, result in results:
            if isinstance(result, Failure):
                failures.append((shard, result))
            else:
                store.write_shard(shard.id, result)
            progress.advance(shard.n_cells, failed=isinstance(result, Failure))
    order = {shard.id: place for place, shard in enumerate(shards)}
    return sorted(failures, key=lambda pair: order[pair[0].id])


def run_reduce(out: Path, rules: Rules) -> Mapping[str, pa.Table]:
    """New tables from the cells of a finished sweep, without computing any.

    Raises
    ------
    StoreError
        There is no sweep in the folder, or one of another version.
    """
    store = Store(out)
    manifest = store.manifest()
    if manifest is None:
        raise StoreError(
            "There is no sweep to reduce.", where=str(out), got="no manifest.json", mend="microbench sweep out=DIR first"
        )
    check_schema(store, manifest)
    if "finished" not in manifest:
        raise StoreError(
            "The sweep in this folder is not finished.",
            where=str(out),
            got=f"{len(store.done()):,} shards there",
            mend="run the same microbench sweep again: it goes on from here",
        )
    store.prepare()
    tables = reduce_store(store, manifest["partitions"], rules, manifest["seed"])
    return {**tables, "failures": store.read_table("failures")}


def reduce_store(store: Store, partitions: Sequence[Sequence[str]], rules: Rules, seed: int) -> dict[str, pa.Table]:
    """Reduce the shards of a sweep, a partition in memory at a time, and write the tables."""

    def read(shard_ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
        return store.read_shards("cells", shard_ids), store.read_shards("resamples", shard_ids)

    with threadpool_limits(1):  # the products are too small for more
        tables = reduce_partitions(ahead(read, partitions), rules, seed)
    for name, table in tables.items():
        store.write_table(name, table)
    return tables


def ahead(read: Callable[[Argument], Value], arguments: Iterable[Argument]) -> Iterator[Value]:
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
