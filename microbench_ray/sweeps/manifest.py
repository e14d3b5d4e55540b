"""What an output folder says of itself: what was computed, from what and with what; and whether a sweep goes with it."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import StoreError
from microbench_ray.core.host import blas, cpu
from microbench_ray.core.schemas import SCHEMA_VERSION
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.results import SweepStore
from microbench_ray.sweeps.reuse import Wanted

PACKAGES = ("microbench-ray", "numpy", "scipy", "scikit-learn", "pyarrow", "ray")


def check_manifest(store: SweepStore, benchmarks: Sequence[Benchmark], seed: int) -> None:
    """Raise StoreError where the folder holds a sweep of another seed, other data of the same name, or another version."""
    manifest = store.manifest()
    if manifest is None:
        return
    check_schema(store, manifest)
    if manifest["seed"] != seed:
        raise _another(store, "root seed", manifest["seed"], seed)
    for benchmark in benchmarks:
        before = manifest["benchmarks"].get(benchmark.name)
        if before is not None and before["digest"] != benchmark.digest:
            raise _another(store, f"content of benchmark '{benchmark.name}'", before["digest"], benchmark.digest)


def check_schema(store: SweepStore, manifest: Mapping[str, Any]) -> None:
    """Raise StoreError where a manifest is of another version, or none of ours."""
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise _another(store, "schema version", manifest.get("schema_version"), SCHEMA_VERSION)
    lacking = [key for key in ("seed", "benchmarks", "partitions") if key not in manifest]
    if lacking:
        raise StoreError(
            "The manifest is not that of a sweep.",
            where=store.at("manifest.json"),
            got=f"no {lacking[0]}",
            hint="out=DIR with another folder",
        )


def describe(
    partitions: Sequence[Sequence[Wanted]], benchmarks: Sequence[Benchmark], *, seed: int, engine: str, config: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest: what is computed, from what, with what, and which cells of which files are its."""
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": seed,
        "config": dict(config),
        "benchmarks": {
            benchmark.name: {
                "digest": benchmark.digest,
                "n_models": benchmark.n_models,
                "n_items": benchmark.n_items,
                "notes": list(benchmark.notes),
            }
            for benchmark in benchmarks
        },
        "partitions": [[wanted.content() for wanted in partition] for partition in partitions],
        "engine": engine,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git_commit": _git_commit(),
        "machine": {"cpu": cpu(), "blas": blas()},
        "started": now(),
    }


def partitions_of(manifest: Mapping[str, Any]) -> list[list[Wanted]]:
    """Which cells of which files are a manifest's, in lists to be read together."""
    return [[Wanted.read(content) for content in partition] for partition in manifest["partitions"]]


def now() -> str:
    """The time, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _another(store: SweepStore, what: str, before: object, now: object) -> StoreError:
    return StoreError(
        f"The output folder holds a sweep with another {what}.",
        where=store.at(),
        got=f"{before} there, {now} asked for",
        hint="out=DIR with another folder, or what that sweep was run with",
    )


def _git_commit() -> str | None:
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
