"""The manifest of an output folder: its contents, their provenance, and whether another sweep is compatible with them."""

from __future__ import annotations

import logging
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import StoreError
from microbench_ray.core.host import blas, cpu
from microbench_ray.core.schemas import SCHEMA_VERSION
from microbench_ray.data import Benchmark
from microbench_ray.methods import plugins
from microbench_ray.sweeps.results import SweepStore
from microbench_ray.sweeps.reuse import CellSelection, Identity

logger = logging.getLogger(__name__)

PACKAGES = ("microbench-ray", "numpy", "scipy", "scikit-learn", "pyarrow", "ray")


def check_manifest(store: SweepStore, benchmarks: Sequence[Benchmark], seed: int) -> None:
    """Raise StoreError if the folder holds a sweep with another seed, another version, or other data of the same name."""
    manifest = store.manifest()
    if manifest is None:
        return
    check_schema(store, manifest)
    if manifest["seed"] != seed:
        raise _incompatible(store, "root seed", manifest["seed"], seed)
    for benchmark in benchmarks:
        stored = manifest["benchmarks"].get(benchmark.name)
        if stored is not None and stored.get("truth", "micro") != benchmark.truth:
            raise _incompatible(store, f"truth of benchmark '{benchmark.name}'", stored.get("truth", "micro"), benchmark.truth)
        if stored is not None and stored["digest"] != benchmark.digest:
            raise _incompatible(store, f"content of benchmark '{benchmark.name}'", stored["digest"], benchmark.digest)


def check_schema(store: SweepStore, manifest: Mapping[str, Any]) -> None:
    """Raise StoreError if a manifest has another version or is not that of a sweep."""
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise _incompatible(store, "schema version", manifest.get("schema_version"), SCHEMA_VERSION)
    missing = [key for key in ("seed", "benchmarks", "partitions") if key not in manifest]
    if missing:
        raise StoreError(
            "The manifest is not that of a sweep.",
            where=store.at("manifest.json"),
            got=f"no key {', '.join(missing)}",
            hint="use another folder: out=DIR",
        )


def describe(
    partitions: Sequence[Sequence[CellSelection]],
    benchmarks: Sequence[Benchmark],
    *,
    seed: int,
    engine: str,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest of a sweep that starts: its configuration, data, software and machine, and the files of its cells."""
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
                **({} if benchmark.truth == "micro" else {"truth": benchmark.truth}),
            }
            for benchmark in benchmarks
        },
        "partitions": [[selection.content() for selection in partition] for partition in partitions],
        "engine": engine,
        "versions": dict(_versions()),
        "git_commit": _git_commit(),
        "machine": {"cpu": cpu(), "blas": list(blas())},
        "started": now(),
    }


def computed_before(manifest: Mapping[str, Any] | None, identities: Iterable[Identity]) -> list[dict[str, Any]]:
    """The manifest's entries `runs` about intact shard files: which run computed them.

    A run writes its manifest before it computes, and which files it computed once it has finished. Files that no run has claimed
    are therefore those of the last one if it was interrupted.

    Parameters
    ----------
    manifest
        The manifest of the last run; None if there is none.
    identities
        The intact shard files.

    Returns
    -------
    list of dict
        As `run_entry` makes them, in the order of their times; a time is null where the manifest does not tell it.
    """
    last, started_of = None, {}
    try:
        if manifest is not None:
            started_of = {str(file): str(run["started"]) for run in manifest["runs"] for file in run["files"]}
            last = None if "finished" in manifest else str(manifest["started"])
    except (KeyError, TypeError) as error:  # written by an earlier version, or edited by hand
        logger.debug("The manifest does not tell which run computed which cells: %r", error)
    files: dict[str | None, list[Identity]] = {}
    for identity in identities:
        files.setdefault(started_of.get(identity.id, last), []).append(identity)
    return [run_entry(started, files[started]) for started in sorted(files, key=lambda started: started or "")]


def run_entry(started: str | None, files: Sequence[Identity]) -> dict[str, Any]:
    """An entry of the manifest's `runs`: when a run started, and how many cells it computed into which files."""
    return {
        "started": started,
        "cells": sum(file.n_cells for file in files),
        "files": sorted(file.id for file in files),
    }


def partitions_of(manifest: Mapping[str, Any]) -> list[list[CellSelection]]:
    """The cell selections of a manifest; each list is read together."""
    return [[CellSelection.read(content) for content in partition] for partition in manifest["partitions"]]


def now() -> str:
    """The current time in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _incompatible(store: SweepStore, key: str, stored: object, requested: object) -> StoreError:
    return StoreError(
        f"The output folder holds a sweep with another {key}.",
        where=store.at(),
        got=f"{stored} in the folder, {requested} requested",
        hint=f"use another folder (out=DIR), or the {key} of that sweep",
    )


@cache
def _versions() -> dict[str, str]:
    """Versions of Python, of the installed ones of `PACKAGES`, and of the packages that register methods."""
    installed = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[name] = version(name)
    return {"python": platform.python_version(), **installed, **plugins.packages()}


@cache
def _git_commit() -> str | None:
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        completed = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.debug("The git commit of %s is unknown: %s", folder, error)
        return None
    return completed.stdout.strip()
