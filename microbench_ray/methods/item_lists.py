"""Lists of item ids in files: written, and read as they were written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.causes import one_line

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{16,64}(?![0-9a-f])")
"""Digests of contents in ids."""
QUOTE = '"'


class ItemList(NamedTuple):
    """The ids of a list, and their weights; None where the file has none."""

    items: tuple[str, ...]
    weights: tuple[float, ...] | None = None


def id_lines(ids: Iterable[str]) -> str:
    """A text with one id per line.

    An id that a line would not keep (with a line break or another unprintable character, with spaces at an end, or one that begins
    with a double quote) is written as a JSON string, which `read_list` reads back.
    """
    return "".join(f"{_line(each)}\n" for each in ids)


def _line(item_id: str) -> str:
    plain = item_id.isprintable() and item_id == item_id.strip() and not item_id.startswith(QUOTE)
    return item_id if plain else json.dumps(item_id)


def _id_of(line: str) -> str:
    if line.startswith(QUOTE) and line.endswith(QUOTE):
        try:
            return str(json.loads(line))
        except ValueError:  # a text that only begins and ends with quotes
            return line
    return line


def ids_hint(listed: Sequence[str], item_ids: Sequence[str]) -> str:
    """The hint for a list whose ids are not those of a benchmark: an id of each, and how ids of a tool's own numbers are made."""
    if not item_ids:
        return "the benchmark has no items"
    hint = f"use the benchmark's ids, such as {item_ids[0]}; the list has {listed[0]}"
    made = bool(_DIGEST.search(item_ids[0])) and not _DIGEST.search(listed[0])
    return f"{hint}; ingest with join=id makes ids of the tool's own names or numbers, not of contents" if made else hint


def read_list(path: Path) -> ItemList:
    """Read a list of items.

    A `.csv` has the columns item_id and, optionally, weight; a `.json` is a list of ids, or an object from id to weight. In any
    other file, each line that is not empty is an id, or an id as a JSON string; spaces at its ends are dropped.

    Raises
    ------
    DataError
        The file cannot be read, has no such columns or values, or holds no items.
    """
    try:
        found = _parsed(path.read_bytes().decode("utf-8-sig"), path.suffix)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError, csv.Error) as error:
        raise DataError(
            "Cannot read the list of items.",
            where=str(path),
            got=one_line(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}",
            hint="use a .txt with one id per line, a .csv with the columns item_id and weight, or a .json list",
        ) from None
    if not found.items:
        raise DataError("The list of items is empty.", where=str(path), hint="list at least one item id")
    return found


def _parsed(text: str, suffix: str) -> ItemList:
    if suffix == ".json":
        content = json.loads(text)
        if isinstance(content, dict):
            return ItemList(tuple(content), tuple(float(weight) for weight in content.values()))
        if not isinstance(content, list):
            raise TypeError(f"neither a list nor an object: {text.strip()[:40]}")
        return ItemList(tuple(map(str, content)))
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))  # an id in quotes may hold line breaks
        ids = tuple(row["item_id"] for row in rows)
        if not all(ids):
            raise ValueError("a row without an item_id")
        return ItemList(ids, tuple(float(row["weight"]) for row in rows) if rows and "weight" in rows[0] else None)
    lines = (line.strip() for line in text.replace("\r", "\n").split("\n"))
    return ItemList(tuple(_id_of(line) for line in lines if line))
