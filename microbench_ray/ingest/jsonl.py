"""JSON from strangers: bounded in bytes and depth, UTF-8 or told, NaN as it comes."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from microbench_ray.core.errors import DataError

HINT = "write or copy it again"
_OTHER = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Beginnings of texts that are not in UTF-8; the longer first, since one is the beginning of another."""


def json_lines(path: Path, most: int) -> Iterator[tuple[int, Any]]:
    """The documents of a JSON Lines file with their line numbers (from 1), one at a time; blank lines are skipped.

    A file that is one list of objects as `json.dumps(…, indent=2)` writes it is read as its elements, one at a time too, each with
    the number of its first line: some tools have called such a file `.jsonl`.

    Parameters
    ----------
    path
        The file.
    most
        The longest line (element of a list) in bytes.

    Raises
    ------
    DataError
        The file cannot be read, a line is too long, is no JSON, is nested too deeply, or is not in UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, line in _texts(_lines(file, most, path), most, path):
                yield number, parse(line, f"{path}: line {number}")
    except OSError as error:
        raise DataError("A log cannot be read.", where=str(path), got=str(error)) from None


def json_file(path: Path, most: int) -> Any:
    """A file that is one JSON document of at most `most` bytes; errors as for `json_lines`."""
    try:
        size = path.stat().st_size
        if size > most:
            raise too_long("The file is too large to be read as one document.", str(path), f"{size:,} bytes")
        return parse(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError("A log cannot be read.", where=str(path), got=str(error)) from None


def parse(text: bytes, where: str) -> Any:
    """One JSON document; NaN and Infinity are floats."""
    try:
        return json.loads(text.decode("utf-8-sig"))
    except RecursionError:
        raise DataError("JSON is nested too deeply.", where=where, hint="no evaluation tool writes such: is it a log?") from None
    except UnicodeDecodeError as error:
        other = next((name for start, name in _OTHER.items() if text.startswith(start)), None)
        got = other or f"byte {text[error.start]:#04x} at {error.start:,}"
        raise DataError("A log must be in UTF-8.", where=where, got=got, hint=HINT) from None
    except ValueError as error:
        raise DataError("The log is cut short, or no JSON.", where=where, got=str(error), hint=HINT) from None


def too_long(what: str, where: str, got: str) -> DataError:
    """The error for more bytes than are read."""
    return DataError(what, where=where, got=got, hint="if it is what it should be: max_line_bytes=BYTES with a larger number")


def _texts(lines: Iterator[bytes], most: int, path: Path) -> Iterator[tuple[int, bytes]]:
    """The texts of single documents."""
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
        if size > most:
            raise too_long("An element of a list is too long.", f"{path}: line {first}", f"more than {most:,} bytes")
        if end in (b"  }", b"  },", b"  {}", b"  {},"):  # no text of JSON holds a line break: this can be nothing else
            yield first, b"".join(parts).rstrip().removesuffix(b",")
            parts, size, first = [], 0, number + 1
    if not ended:
        raise DataError(
            "The log is cut short, or no JSON.", where=f"{path}: line {number}", got="a list without its end", hint=HINT
        )


def _lines(file: BinaryIO, most: int, path: Path) -> Iterator[bytes]:
    number = 0
    while line := file.readline(most + 1):
        number += 1
        if len(line) > most:
            raise too_long("A line is too long.", f"{path}: line {number}", f"more than {most:,} bytes")
        yield line
