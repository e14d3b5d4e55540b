"""Scan an output folder when a sweep starts: intact shard files are reused, damaged ones are moved away and reported."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from microbench_ray.core.lazy_arrow import pq
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.folders import io_error
from microbench_ray.core.storage.store import CANNOT_READ
from microbench_ray.sweeps.results import NO_SUCH_FILE, SweepStore
from microbench_ray.sweeps.reuse import Identity
from microbench_ray.sweeps.shard_files import IDENTITY, SHARDED

logger = logging.getLogger(__name__)

SCAN_THREADS = 16
MAX_REPORTED = 10


def scan_shard_files(store: SweepStore, *, estimates: bool, verdicts: bool = False) -> list[Identity]:
    """Read the metadata of all shard files and move damaged files to `set_aside/`.

    A file is damaged if it is truncated, has another schema, belongs to another shard, or lacks one of its companion tables. A
    companion without cells, which are written last, is left by an interrupted write and deleted.

    Parameters
    ----------
    store
        The output folder, locked by the caller.
    estimates
        Whether the sweep keeps every target's estimate. Files without estimates are then neither used nor moved.
    verdicts
        The same of `stops`, which verdicts are reduced from.

    Returns
    -------
    The identities of the files whose cells can be reused.
    """
    shard_ids = {name: store.shard_files(name) for name in SHARDED}
    wanted = {name for name, asked in (("estimates", estimates), ("stops", verdicts)) if asked}
    needed = {"resamples", "costs", *wanted}
    files = sorted((name, shard_id) for name in ("cells", *needed) for shard_id in shard_ids[name])
    with ThreadPoolExecutor(SCAN_THREADS) as scanners:
        identities = dict(zip(files, scanners.map(lambda file: _scan(store, *file), files), strict=True))
    usable: list[Identity] = []
    problems: dict[str, str] = {}
    unfinished: list[str] = []
    for (name, shard_id), identity in identities.items():
        file = f"{name}/{shard_id}.parquet"
        if isinstance(identity, str):
            problems[file] = identity
        elif name != "cells":
            if shard_id not in shard_ids["cells"]:
                unfinished.append(file)
        else:
            missing = [
                companion
                for companion in identity.companions
                if companion in needed and not isinstance(identities.get((companion, shard_id)), Identity)
            ]
            if missing:
                problems[file] = f"its {missing[0]} are missing or damaged"
            elif wanted <= set(identity.companions):
                usable.append(identity)
    set_aside(store, problems)
    for file in unfinished:
        logger.debug("Deleting %s: its shard was interrupted before its cells were written", store.at(file))
        store.remove(file)
    return usable


def set_aside(store: SweepStore, files: Mapping[str, str]) -> None:
    """Move damaged files to `set_aside/` and log each one's problem. Their cells are computed again."""
    for position, (file, problem) in enumerate(files.items()):
        if problem == NO_SUCH_FILE:
            continue
        new = store.set_aside(file)
        if position < MAX_REPORTED:
            logger.warning("Moved %s to %s: %s", store.at(file), new, problem)
    if len(files) > MAX_REPORTED:
        logger.warning("… and %s more files", f"{len(files) - MAX_REPORTED:,}")


def _scan(store: SweepStore, name: str, shard_id: str) -> Identity | str:
    """A file's identity, or its problem."""
    file = f"{name}/{shard_id}.parquet"
    try:
        with store.folder.open(file) as source:
            return _identity(source, name, shard_id)
    except FileNotFoundError:
        return NO_SUCH_FILE
    except (pa.ArrowException, OSError, ValueError) as error:  # a damaged file, or a failed connection: the full read tells
        logger.debug("The footer of %s cannot be read, reading the whole file: %s", store.at(file), error)
    try:
        content = store.folder.read(file)
    except OSError as error:
        raise io_error(store.folder, file, error, CANNOT_READ, "out=DIR with another folder") from None
    try:
        return _identity(pa.BufferReader(content), name, shard_id)
    except (pa.ArrowException, OSError, ValueError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]


def _identity(source: pa.NativeFile, name: str, shard_id: str) -> Identity:
    with pq.ParquetFile(source) as file:
        schema, n_rows = file.schema_arrow, file.metadata.num_rows
    metadata = (schema.metadata or {}).get(IDENTITY)
    if metadata is None:
        raise ValueError(f"not a file of {name} written by microbench_ray")
    if not schema.equals(SCHEMAS[name]):
        raise ValueError(f"not the schema of {name}")
    identity = Identity.read(json.loads(metadata))
    if identity.id != shard_id:
        raise ValueError(f"it belongs to shard {identity.id}")
    if name != "stops" and (n_rows == 0 or n_rows % identity.n_cells):  # methods without an order have no row there
        raise ValueError(f"{n_rows} rows, not a multiple of its {identity.n_cells} cells")
    return identity
