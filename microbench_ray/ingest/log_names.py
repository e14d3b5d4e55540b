"""Names of logs in a folder of responses, and logs whose files have moved since they were ingested."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.names import show_name, storable
from microbench_ray.data.responses import LogRecord
from microbench_ray.ingest.base import ModelLog


class FoundLog(NamedTuple):
    """A log with its name and the size and time of its files."""

    name: str
    log: ModelLog
    record: LogRecord


def log_name(log: ModelLog) -> str:
    """The name of a log: its absolute path, followed by `#` and its part if it has one."""
    return log.files[0].resolve().as_posix() + (f"#{log.part}" if log.part else "")


def file_stamps(log: ModelLog) -> dict[str, tuple[int, int]]:
    """Size in bytes and modification time in nanoseconds of a log's files, by path."""
    stamps = {}
    folders: dict[str, str] = {}
    for path in log.files:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError("A log cannot be read.", where=str(path), got=str(error)) from None
        stamps[_real_path(str(path if path.is_absolute() else path.absolute()), folders)] = (status.st_size, status.st_mtime_ns)
    return stamps


def _real_path(path: str, folders: dict[str, str]) -> str:
    """What `os.path.realpath` gives, which looks at every folder above every file; `folders` holds those that are known."""
    folder, _, name = path.rpartition("/")
    if not folder or name in ("", "..") or stat.S_ISLNK(os.lstat(path).st_mode):
        return os.path.realpath(path)
    if folder not in folders:
        folders[folder] = _real_path(folder, folders)
    return f"{folders[folder].rstrip('/')}/{name}"


def check_names(found: FoundLog) -> None:
    """Check that the names and facts of a log can be stored.

    Raises
    ------
    DataError
        One of them is empty or not valid Unicode.
    """
    texts = [("model name", found.log.model), ("path", found.name), ("revision", found.log.revision or "-")]
    texts += [(f"fact {name!a}", value) for name, value in found.log.facts.items() if isinstance(value, str)]
    texts += [("name of a fact", name) for name in found.log.facts]
    for kind, text in texts:
        if not storable(text):
            raise DataError(
                f"The {kind} of a log is empty or not valid Unicode.",
                where=show_name(found.name),
                got=ascii(text),
                hint="rename it, or write the log again",
            )


def moved_logs(found: Iterable[FoundLog], ingested: Mapping[str, LogRecord]) -> dict[str, list[str]]:
    """Find ingested logs of which the files are gone and that may be logs found elsewhere now.

    Returns
    -------
    dict
        For the names of found logs that are not ingested, the names of ingested ones with the same file name and part.
    """
    found = list(found)
    names = {each.name for each in found}
    gone = {name for name in ingested if name not in names and not _exists(name, ingested[name])}
    candidates = {
        each.name: [name for name in sorted(gone) if _tail(name, each.log) == _tail(each.name, each.log)]
        for each in found
        if each.name not in ingested
    }
    return {name: old for name, old in candidates.items() if old}


def same_files(first: LogRecord, second: LogRecord) -> bool:
    """Whether files have the same names, sizes and times, in whatever folder."""
    stamps, others = (sorted((Path(path).name, *map(int, stamp)) for path, stamp in each.files.items()) for each in (first, second))
    return stamps == others


def same_responses(responses: pa.Table, log: str, read: pa.Table) -> bool:
    """Whether the responses that come from a log are among those read from another one, with equal scores."""
    old = responses.filter(pc.equal(responses["log"], log))
    position = pc.index_in(old["item_id"], read["item_id"].combine_chunks())
    if position.null_count:
        return False
    new = read.take(position)
    scores, others = (np.asarray(each["score"].to_numpy(), float) for each in (old, new))
    contents, other_contents = (pc.fill_null(each["content"], "").to_pylist() for each in (old, new))
    return np.array_equal(scores, others, equal_nan=True) and contents == other_contents


def rename_log(responses: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Replace names of logs in a table of schema `responses`."""
    logs = [names.get(name, name) for name in responses["log"].to_pylist()]
    return responses.set_column(responses.column_names.index("log"), responses.schema.field("log"), pa.array(logs, pa.string()))


def _tail(name: str, log: ModelLog) -> str | None:
    """The file name and part in a log's name; None if the name has another part."""
    suffix = f"#{log.part}" if log.part else ""
    return name.removesuffix(suffix).rpartition("/")[2] + suffix if name.endswith(suffix) else None


def _exists(name: str, record: LogRecord) -> bool:
    """Whether the first file of an ingested log still exists, as far as can be told."""
    first = next((path for path in sorted(record.files, key=len, reverse=True) if name.startswith(path)), None)
    try:
        return first is None or Path(first).exists()
    except (OSError, ValueError):
        return False
