"""What lies in an output folder when a sweep starts: whole files of shards are used again, others are set aside and told."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.folders import io_error
from microbench_ray.core.storage.store import READ
from microbench_ray.sweeps.results import IDENTITY, SweepStore
from microbench_ray.sweeps.reuse import Identity

logger = logging.getLogger(__name__)

SURVEYORS = 16
MAX_TOLD = 10


def scan_shard_files(store: SweepStore, *, estimates: bool) -> list[Identity]:
    """Look at the footers of all shard files.

    Parameters
    ----------
    store
        A folder that is held.
    say
        Is told of every file that is set aside: one that is cut short, of another form, under another name than its own, or without
        the tables that were written beside it.
    estimates
        Whether every target's estimate is wanted: files that were written without are then left where they are, and not used.

    Returns
    -------
    list of Identity
        Of the files whose cells may be used.
    """
    there = {name: store.shard_files(name) for name in ("cells", "estimates", "resamples")}
    needed = {"resamples", "estimates"} if estimates else {"resamples"}
    looked_at = sorted((name, shard_id) for name in ("cells", *needed) for shard_id in there[name])
    with ThreadPoolExecutor(SURVEYORS) as surveyors:
        found = dict(zip(looked_at, surveyors.map(lambda file: _look_at(store, *file), looked_at), strict=True))
    usable: list[Identity] = []
    problems: dict[str, str] = {}
    for (name, shard_id), identity in found.items():
        file = f"{name}/{shard_id}.parquet"
        if isinstance(identity, str):
            problems[file] = identity
        elif name != "cells":
            if shard_id not in there["cells"]:
                problems[file] = "its cells are not there"
        else:
            lacking = [
                each for each in identity.companions if each in needed and not isinstance(found.get((each, shard_id)), Identity)
            ]
            if lacking:
                problems[file] = f"without its {lacking[0]}"
            elif not estimates or "estimates" in identity.companions:
                usable.append(identity)
    set_aside(store, problems)
    return usable


def set_aside(store: SweepStore, files: Mapping[str, str]) -> None:
    """Move damaged files away and tell of each, by name: what is wrong, and where it is now. Their cells are computed again."""
    for place, (file, problem) in enumerate(files.items()):
        if problem == "no such file":
            continue
        new = store.set_aside(file)
        if place < MAX_TOLD:
            logger.warning("%s is set aside as %s: %s", store.at(file), new, problem)
    if len(files) > MAX_TOLD:
        logger.warning("… and %s more files", f"{len(files) - MAX_TOLD:,}")


def _look_at(store: SweepStore, name: str, shard_id: str) -> Identity | str:
    """A file's identity, or what is wrong with it."""
    file = f"{name}/{shard_id}.parquet"
    try:
        with store.folder.open(file) as source:
            return _identity(source, name, shard_id)
    except FileNotFoundError:
        return "no such file"
    except (pa.ArrowException, OSError, ValueError):
        pass  # is it the file, or the way to it?
    try:
        content = store.folder.read(file)
    except OSError as error:
        raise io_error(store.folder, file, error, READ, "out=DIR with another folder") from None
    try:
        return _identity(pa.BufferReader(content), name, shard_id)
    except (pa.ArrowException, OSError, ValueError) as error:
        return (str(error).splitlines() or [type(error).__name__])[0]


def _identity(source: pa.NativeFile, name: str, shard_id: str) -> Identity:
    with pq.ParquetFile(source) as file:
        schema, n_rows = file.schema_arrow, file.metadata.num_rows
    head = (schema.metadata or {}).get(IDENTITY)
    if head is None or not schema.equals(SCHEMAS[name]):
        raise ValueError(f"no file of {name} of this program" if head is None else f"not of the form of {name}")
    identity = Identity.read(json.loads(head))
    if identity.id != shard_id:
        raise ValueError(f"it is the file of shard {identity.id}")
    if n_rows == 0 or n_rows % identity.n_cells:
        raise ValueError(f"{n_rows} rows for {identity.n_cells} cells")
    return identity
