"""The accepted benchmarks of an audit: the baseline that a night is compared with, and the pool that methods are swept on."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from microbench_ray.audit.history import NIGHT
from microbench_ray.core.errors import DataError, StoreError
from microbench_ray.core.storage.folders import io_error
from microbench_ray.core.storage.replace import remove
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark

logger = logging.getLogger(__name__)

BASELINE_FILE = "baseline.json"
FROZEN = "frozen"
DIGEST = re.compile("[0-9a-f]{32}")
Part = Literal["baseline", "pool"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class AcceptedBenchmark:
    """An accepted benchmark: its night, and the digest of its content."""

    night: str
    digest: str


@dataclass(frozen=True)
class References:
    """The accepted benchmarks of an audit.

    Attributes
    ----------
    baseline
        The benchmark that drift is measured against.
    pool
        The benchmark whose models are the sources and targets of the methods.
    """

    baseline: AcceptedBenchmark
    pool: AcceptedBenchmark


def read_references(store: Store) -> References | None:
    """Read what has been accepted in an audit's folder; None if nothing has.

    Raises
    ------
    StoreError
        The file is damaged or cannot be read.
    """
    try:
        content = json.loads(store.folder.read(BASELINE_FILE))
        return References(baseline=_accepted(content["baseline"]), pool=_accepted(content["pool"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "check the permissions of the folder"
        raise io_error(store.folder, BASELINE_FILE, error, "The baseline cannot be read.", hint) from None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(
            "The baseline file is damaged.",
            where=store.at(BASELINE_FILE),
            got=f"{type(error).__name__}: {error}",
            hint="restore the file from a copy",
        ) from None


def _accepted(content: Any) -> AcceptedBenchmark:
    """One part of the file; ValueError, TypeError or KeyError if it is damaged."""
    night, digest = content["night"], content["digest"]
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"digest {digest[:40]!r}")
    if not NIGHT.fullmatch(night):
        raise ValueError(f"night {night[:40]!r}")
    return AcceptedBenchmark(night=night, digest=digest)


def accept(store: Store, benchmark: Benchmark, night: str, parts: Sequence[Part]) -> References:
    """Freeze a benchmark and accept it as the baseline, the pool, or both; as both if nothing was accepted before."""
    accepted = AcceptedBenchmark(night=night, digest=benchmark.digest)
    freeze(store, benchmark)
    before = read_references(store)
    if before is None:
        references = References(baseline=accepted, pool=accepted)
    else:
        references = replace(before, **dict.fromkeys(parts, accepted))
    if references != before:
        store.write(BASELINE_FILE, (json.dumps(asdict(references), indent=2) + "\n").encode())
    return references


def freeze(store: Store, benchmark: Benchmark) -> None:
    """Save a benchmark in the audit's folder, under its digest."""
    folder = frozen_folder(store, benchmark.digest)
    if not folder.exists():
        benchmark.save(folder)


def remove_unused(folder: Path, used: Collection[str]) -> None:
    """Remove the subfolders that are named after digests of benchmarks other than the used ones."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and DIGEST.fullmatch(path.name) and path.name not in used:
            try:
                remove(path)
            except OSError as error:
                logger.warning("Cannot remove the unused folder %s: %s", path, error)


def open_frozen(store: Store, digest: str) -> Benchmark:
    """Open a frozen benchmark; StoreError if its content no longer has this digest."""
    folder = frozen_folder(store, digest)
    try:
        benchmark = Benchmark.open(folder)
        actual = benchmark.digest
    except DataError as error:
        raise _altered(folder, error.got or error.what) from None
    if actual != digest:
        raise _altered(folder, f"digest {actual} instead of {digest}")
    return benchmark


def frozen_folder(store: Store, digest: str) -> Path:
    """The folder of a frozen benchmark."""
    return Path(store.at(FROZEN)) / digest


def _altered(folder: Path, got: str) -> StoreError:
    return StoreError(
        "The frozen benchmark has been altered.",
        where=str(folder),
        got=got,
        hint="restore the folder from a copy, or start a new audit with another out=DIR",
    )
