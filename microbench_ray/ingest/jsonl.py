"""Parsing of untrusted JSON and JSON Lines: bounded in size and depth, UTF-8 only, NaN and Infinity allowed."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.tables.json_rows import count_objects
from microbench_ray.ingest.regular import check_pointer

BLOCK_BYTES = 4 << 20
"""Bytes that Arrow parses at a time; lines that are longer are read one by one."""
_SCAN = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_ENDS = ("", "\n", "\r\n")
"""What follows most documents; `json.loads` takes care of the others."""
WRITE_AGAIN = "write or copy the log again"
TRUNCATED = "The log is truncated or not valid JSON."
UNREADABLE = "A log cannot be read."
_BOMS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Encodings other than UTF-8 by their byte order marks. The longer marks come first, since those of UTF-16 are prefixes of them."""


def json_lines(path: Path, max_bytes: int) -> Iterator[tuple[int, Any]]:
    """Yield the documents of a JSON Lines file with their line numbers (from 1), skipping blank lines.

    Some tools have written a `.jsonl` file as one list of objects, in the layout of `json.dumps(…, indent=2)`. Its elements are
    yielded one at a time too, each with the number of its first line.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Maximum size of a line, or of a list element, in bytes.

    Raises
    ------
    DataError
        The file cannot be read, or a line is too long, not valid JSON, too deeply nested, or not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, line in _split_documents(_lines(file, max_bytes, path), max_bytes, path):
                yield number, parse(line, path, number)
    except OSError as error:
        raise DataError(UNREADABLE, where=str(path), got=str(error)) from None


def json_columns(path: Path, kinds: Mapping[str, pa.DataType], max_bytes: int) -> pa.Table | None:
    """Some fields of the objects of a JSON Lines file, quickly; None where any line needs the care of `json_lines`.

    Parameters
    ----------
    path
        The file.
    kinds
        The types of the fields. A field that an object lacks, or that is null, is a missing value.
    max_bytes
        Maximum size of a line.
    """
    from pyarrow import json as arrow_json

    if max_bytes < 2 * BLOCK_BYTES:
        return None
    parse = arrow_json.ParseOptions(explicit_schema=pa.schema(list(kinds.items())), unexpected_field_behavior="ignore")
    try:
        with path.open("rb") as source:
            n_objects = count_objects(source, BLOCK_BYTES)
        if n_objects is None:
            return None
        table = arrow_json.read_json(path, arrow_json.ReadOptions(use_threads=False, block_size=BLOCK_BYTES), parse)
        table.validate(full=True)
    except (pa.ArrowException, OSError):
        return None
    return table if table.num_rows == n_objects else None


def json_file(path: Path, max_bytes: int) -> Any:
    """Parse a file that is one JSON document of at most `max_bytes` bytes; raises as `json_lines` does."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise too_large("The file is too large.", str(path), f"{size:,} bytes")
            text = file.read()
        return parse(text, str(path))
    except OSError as error:
        raise DataError(UNREADABLE, where=str(path), got=str(error)) from None


def parse(text: bytes, place: Path | str, line: int = 0) -> Any:
    """Parse one JSON document, NaN and Infinity as floats; `place` and `line` are where it is, for the DataError."""
    try:
        plain = text.decode()
        try:
            document, end = _SCAN(plain, 0)
        except StopIteration:
            end = -1
        return document if end >= 0 and plain[end:] in _ENDS else json.loads(text.decode("utf-8-sig"))
    except RecursionError:
        where = _where(place, line)
        raise DataError("JSON is nested too deeply.", where=where, hint="check that the file is a log") from None
    except UnicodeDecodeError as error:
        where = _where(place, line)
        encoding = next((name for mark, name in _BOMS.items() if text.startswith(mark)), None)
        got = encoding or f"byte {text[error.start]:#04x} at {error.start:,}"
        raise DataError("A log must be in UTF-8.", where=where, got=got, hint="convert it to UTF-8, or write it again") from None
    except ValueError as error:
        where = _where(place, line)
        check_pointer(text, where)
        raise DataError(TRUNCATED, where=where, got=str(error), hint=WRITE_AGAIN) from None


def _where(place: Path | str, line: int) -> str:
    return f"{place}: line {line}" if line else str(place)


def too_large(what: str, where: str, got: str) -> DataError:
    """Build the error for input that exceeds `max_line_bytes`."""
    return DataError(what, where=where, got=got, hint="raise the limit with max_line_bytes=BYTES if this size is expected")


def _split_documents(lines: Iterator[bytes], max_bytes: int, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the bytes of single documents with the number of their first line."""
    number, ended = 0, True
    for number, line in enumerate(lines, 1):
        if number == 1 and line.removeprefix(codecs.BOM_UTF8).strip() == b"[":
            ended = False
            break
        if not line.isspace():
            yield number, line
    if ended:
        return
    parts: list[bytes] = []
    size, first = 0, 2
    for number, line in enumerate(lines, 2):
        end = line.rstrip()
        if end == b"]" and not parts:
            ended = True
            break
        parts.append(line)
        size += len(line)
        if size > max_bytes:
            raise too_large("A list element is too long.", f"{path}: line {first}", f"more than {max_bytes:,} bytes")
        if end in (b"  }", b"  },", b"  {}", b"  {},"):  # JSON strings hold no line breaks: this ends an element
            yield first, b"".join(parts).rstrip().removesuffix(b",")
            parts, size, first = [], 0, number + 1
    if not ended:
        raise DataError(TRUNCATED, where=f"{path}: line {number}", got="a list without its closing bracket", hint=WRITE_AGAIN)


def _lines(file: BinaryIO, max_bytes: int, path: Path) -> Iterator[bytes]:
    number = 0
    while line := file.readline(max_bytes + 1):
        number += 1
        if len(line) > max_bytes:
            raise too_large("A line is too long.", f"{path}: line {number}", f"more than {max_bytes:,} bytes")
        yield line
