"""What tonight is compared with: a benchmark, frozen when it was accepted, and the pool of models that methods are swept on."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from microbench_ray.core.errors import DataError, StoreError
from microbench_ray.core.storage.folders import io_error
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark

FILE = "baseline.json"
FROZEN = "frozen"
DIGEST = re.compile("[0-9a-f]{32}")
What = Literal["baseline", "pool"]
WHATS: tuple[What, ...] = get_args(What)


@dataclass(frozen=True)
class Accepted:
    """A benchmark that was accepted: the night, and the digest of its content."""

    night: str
    digest: str


@dataclass(frozen=True)
class Accepts:
    """What has been accepted.

    Attributes
    ----------
    baseline
        What drift is measured from.
    pool
        The models that methods are swept on: sources and targets.
    """

    baseline: Accepted
    pool: Accepted


def accepted(store: Store) -> Accepts | None:
    """What has been accepted in an audit's folder; None where nothing has."""
    try:
        content = json.loads(store.folder.read(FILE))
        return Accepts(*(Accepted(**content[key]) for key in WHATS))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise io_error(store.folder, FILE, error, "The baseline cannot be read.", "see that the folder can be read") from None
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            "The baseline is damaged.", where=store.at(FILE), got=str(error), hint="put the file back from a copy"
        ) from None


def accept(store: Store, benchmark: Benchmark, night: str, what: Sequence[What]) -> Accepts:
    """Freeze a benchmark as the baseline, as the pool, or as both; the first time always as both."""
    now = Accepted(night, benchmark.digest)
    freeze(store, benchmark)
    before = accepted(store)
    made = Accepts(now, now) if before is None else replace(before, **dict.fromkeys(what, now))
    if made != before:
        store.write(FILE, (json.dumps(asdict(made), indent=2) + "\n").encode())
    return made


def freeze(store: Store, benchmark: Benchmark) -> None:
    """Keep a benchmark as it is, under its digest."""
    folder = frozen_folder(store, benchmark.digest)
    if not folder.exists():
        benchmark.save(folder)


def forget(folder: Path, kept: Collection[str]) -> None:
    """Remove the folders below, named after digests of benchmarks, of those that are compared with no more."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and DIGEST.fullmatch(path.name) and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def frozen(store: Store, which: Accepted) -> Benchmark:
    """The benchmark as it was when it was accepted; StoreError where it is no longer that."""
    folder = frozen_folder(store, which.digest)
    try:
        benchmark = Benchmark.open(folder)
        digest = benchmark.digest
    except DataError as error:
        raise _altered(folder, error.got or error.what) from None
    if digest != which.digest:
        raise _altered(folder, f"digest {digest}, {which.digest} was accepted")
    return benchmark


def frozen_folder(store: Store, digest: str) -> Path:
    """Where a benchmark is frozen."""
    return Path(store.at(FROZEN)) / digest


def _altered(folder: Path, got: str) -> StoreError:
    return StoreError(
        "The frozen benchmark is not what was accepted.",
        where=str(folder),
        got=got,
        hint="put the folder back from a copy; or begin anew with out=DIR of its own",
    )
