"""Finding logs that are JSON documents: every file is looked into, because the formats are told by their fields, not by names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, Tally, matches
from microbench_ray.ingest.jsonl import UNREADABLE, json_file, json_lines
from microbench_ray.ingest.values import CHECK_SOURCE, files_below, require_logs, shorten, value_at

_Stamp = tuple[int, int]
KEPT_BYTES = 16 << 20
"""Size of the files whose documents are kept from `find_logs` until they are read."""
_kept: dict[str, tuple[_Stamp, Any]] = {}

T = TypeVar("T", dict[str, Any], list[Any])

LogsOf = Callable[[Path, Any], Sequence[ModelLog] | None]
"""From a file and its document (of JSON Lines: the first line, or None) to its logs; None if it is not of the format."""


def find_logs(
    path: Path,
    patterns: Sequence[str],
    tool: str,
    options: Options,
    tally: Tally,
    logs_of: LogsOf,
    *,
    lines: bool = False,
    keep: bool = True,
) -> Sequence[ModelLog]:
    """Return the logs in the files at or below `path` whose models `options` selects.

    Files of another format are dropped, and errors of single files collected.

    Parameters
    ----------
    path, options, tally
        As in `Reader.find`.
    patterns
        Patterns of file names.
    tool
        The name of the format, for messages.
    logs_of
        The logs of one file.
    lines
        Whether all files are JSON Lines; otherwise those are whose names end in `.jsonl`.
    keep
        Whether documents of up to `KEPT_BYTES` are kept for `read_document`.

    Raises
    ------
    DataError
        No log was found.
    """
    logs: list[ModelLog] = []
    hint = f"{CHECK_SOURCE}; those of {tool} are named {' or '.join(patterns)}"
    forget_documents()
    free = KEPT_BYTES if keep else 0
    for file in files_below(path, patterns, tally):
        with tally.collect_error(file):
            of_lines = lines or file.suffix == ".jsonl"
            try:
                document = _first_line(file, options.max_line_bytes) if of_lines else json_file(file, options.max_line_bytes)
            except DataError as error:
                if matches(file.name, patterns):
                    raise
                raise DataError(error.what, where=error.where, got=error.got, hint=hint) from None
            found = logs_of(file, document)
            if found and not of_lines and (stamp := _stamp(file))[0] <= free:
                _kept[str(file)] = stamp, document
                free -= stamp[0]
            if found is None and file == path:
                raise DataError(f"The file is not of the format {tool}.", where=str(file), got=_fields(document), hint=hint)
            if found is None:
                tally.drop("files of another format")
            logs += [log for log in found or () if matches(log.model, options.models)]
    return require_logs(logs, path, tool, options, tally, patterns)


def read_document(file: Path, max_bytes: int) -> Any:
    """The document of a log as `json_file` gives it, once without parsing it again if `find_logs` has just done so."""
    stamp, document = _kept.pop(str(file), (None, None))
    return document if stamp is not None and stamp == _stamp(file) else json_file(file, max_bytes)


def forget_documents() -> None:
    """Forget the documents that were kept and not read."""
    _kept.clear()


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(UNREADABLE, where=str(file), got=str(error)) from None
    return status.st_size, status.st_mtime_ns


def _first_line(file: Path, max_bytes: int) -> Any:
    return next((document for _, document in json_lines(file, max_bytes)), None)


def _fields(document: Any) -> str:
    if isinstance(document, dict):
        return f"fields {first_few(document)}" if document else "an object without fields"
    if isinstance(document, list):
        return f"a list, first of {_fields(document[0])}" if document else "an empty list"
    return "no content" if document is None else shorten(document)


def has_fields(document: Any, *names: str) -> bool:
    """Whether a document is an object that has all these fields."""
    return isinstance(document, dict) and all(map(document.__contains__, names))


def optional(document: dict[str, Any], kind: type[T], where: str, key: str) -> T:
    """Return `document[key]`, or an empty value of type `kind` if it is missing or null.

    Raises
    ------
    DataError
        The value is of another type.
    """
    return kind() if document.get(key) is None else value_at(document, kind, where, key)
