"""Rows of small text tables that tools write beside or instead of their logs."""

from __future__ import annotations

import csv
from itertools import zip_longest
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.data.tables.delimited import long_fields
from microbench_ray.ingest.jsonl import too_large


def separated_rows(file: Path, separator: str, max_bytes: int) -> list[dict[str, str]]:
    """The rows of a table with a header, as texts; None for missing cells, and as the name of cells beyond the header.

    Raises
    ------
    DataError
        The file has more than `max_bytes` bytes, or is not such a table in UTF-8.
    """
    names, rows = separated_cells(file, separator, max_bytes)
    return [dict(zip_longest(names, row)) for row in rows]


def separated_cells(file: Path, separator: str, max_bytes: int) -> tuple[list[str], list[list[str]]]:
    """The header of a table, and the cells of its rows that are not empty; raises as `separated_rows` does."""
    size = file.stat().st_size
    if size > max_bytes:
        raise too_large("The file is too large.", str(file), f"{size:,} bytes")
    try:
        with long_fields(), file.open(encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text, delimiter=separator, strict=True)
            return next(rows, []), [row for row in rows if row]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            "The file is not a table in UTF-8.", where=str(file), got=str(error), hint="write or copy it again"
        ) from None
