"""A sweep from end to end: plan, skip what is done, run, store, reduce. The driver is the only one that writes."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
from threadpoolctl import threadpool_info

from microbench_ray.data import Benchmark
from microbench_ray.engine.base import Engine, Failure
from microbench_ray.engine.progress import SweepProgress
from microbench_ray.errors import StoreError
from microbench_ray.methods import Method
from microbench_ray.plan import Grid, Plan, Shard, Targets, plan_sweep
from microbench_ray.reduce import Rules, reduce_partitions
from microbench_ray.schemas import SCHEMA_VERSION
from microbench_ray.store import Store
from microbench_ray.tables import rows_table

PACKAGES = ("microbench-ray", "numpy", "scipy", "scikit-learn", "pyarrow", "ray")
Say = Callable[[str], None]


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
    StoreError
        The output folder cannot be written, or holds a sweep that this one does not go with.
    """
    store = Store(sweep.out)
    check_manifest(store, sweep)
    store.prepare()
    done = store.done()
    waiting = [shard for shard in plan.shards if shard.id not in done]
    reused = plan.n_cells - sum(shard.n_cells for shard in waiting)
    if reused:
        say(f"{reused:,} of {plan.n_cells:,} cells are done already in {sweep.out}")
    manifest = describe(sweep, plan)
    store.write_manifest(manifest)
    started = time.monotonic()
    failures = compute(sweep, store, waiting)
    failed = sum(shard.n_cells for shard, _ in failures)
    store.write_table("failures", failure_table(failures))
    computed_at = time.monotonic()
    tables = reduce_store(store, manifest["partitions"], sweep.rules, sweep.seed)
    seconds = {"compute": computed_at - started, "reduce": time.monotonic() - computed_at}
    counts = {"computed": plan.n_cells - reused - failed, "reused": reused, "failed": failed}
    store.write_manifest(manifest | {"seconds": seconds, "cells": counts, "finished": _now()})
    return Outcome({**tables, "failures": failure_table(failures)}, **counts, seconds=seconds)


def compute(sweep: Sweep, store: Store, shards: Sequence[Shard]) -> list[tuple[Shard, Failure]]:
    """Run shards and store each as it comes; return those that failed. Without shards no engine is started."""
    failures: list[tuple[Shard, Failure]] = []
    if not shards:
        return failures
    benchmarks = {benchmark.name: benchmark for benchmark in sweep.benchmarks}
    with (
        SweepProgress(sum(shard.n_cells for shard in shards)) as progress,
        contextlib.closing(sweep.engine.run(benchmarks, shards)) as results,
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

    def read() -> Iterator[tuple[pa.Table, pa.Table]]:
        for shard_ids in partitions:
            yield store.read_shards("cells", shard_ids), store.read_shards("resamples", shard_ids)

    tables = reduce_partitions(read(), rules, seed)
    for name, table in tables.items():
        store.write_table(name, table)
    return tables


def check_manifest(store: Store, sweep: Sweep) -> None:
    """Raise StoreError where the folder holds a sweep of another seed, other data of the same name, or another version."""
    manifest = store.manifest()
    if manifest is None:
        return
    check_schema(store, manifest)
    if manifest["seed"] != sweep.seed:
        raise _another(store, "root seed", manifest["seed"], sweep.seed)
    for benchmark in sweep.benchmarks:
        before = manifest["benchmarks"].get(benchmark.name)
        if before is not None and before["digest"] != benchmark.digest:
            raise _another(store, f"content of benchmark '{benchmark.name}'", before["digest"], benchmark.digest)


def check_schema(store: Store, manifest: Mapping[str, Any]) -> None:
    """Raise StoreError where a manifest is of another version, or none of ours."""
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise _another(store, "schema version", manifest.get("schema_version"), SCHEMA_VERSION)
    lacking = [key for key in ("seed", "benchmarks", "partitions") if key not in manifest]
    if lacking:
        raise StoreError(
            "The manifest is not that of a sweep.",
            where=str(store.root / "manifest.json"),
            got=f"no {lacking[0]}",
            mend="out=DIR with another folder",
        )


def describe(sweep: Sweep, plan: Plan) -> dict[str, Any]:
    """The manifest: what is computed, from what, with what, and which shards hold it."""
    by_partition = groupby(sorted(plan.shards, key=lambda shard: (shard.partition, shard.runs)), key=lambda shard: shard.partition)
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": sweep.seed,
        "config": dict(sweep.config),
        "benchmarks": {
            benchmark.name: {
                "digest": benchmark.digest,
                "n_models": benchmark.n_models,
                "n_items": benchmark.n_items,
                "notes": list(benchmark.notes),
            }
            for benchmark in sweep.benchmarks
        },
        "partitions": [[shard.id for shard in shards] for _, shards in by_partition],
        "engine": sweep.engine.description,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git_commit": _git_commit(),
        "machine": {"cpu": _cpu(), "blas": sorted({f"{lib['internal_api']} {lib['version']}" for lib in threadpool_info()})},
        "started": _now(),
    }


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


def _another(store: Store, what: str, before: object, now: object) -> StoreError:
    return StoreError(
        f"The output folder holds a sweep with another {what}.",
        where=str(store.root),
        got=f"{before} there, {now} asked for",
        mend="out=DIR with another folder, or what that sweep was run with",
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _git_commit() -> str | None:
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
