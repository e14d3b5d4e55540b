"""The formats of the tables that commands print: one set of values for the key `format`."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from microbench_ray.core.errors import unknown
from microbench_ray.core.shown import escape_controls

logger = logging.getLogger(__name__)

Format = Literal["table", "json", "markdown", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEPRECATED_FORMATS: dict[str, Format] = {"text": "table"}
"""Former values of `format`, accepted for one more release."""
BETWEEN = "; "
"""Separates the entries of a list in a cell of a CSV file."""


def check_format(given: str) -> Format:
    """The value of the key `format`; ConfigError for an unknown one."""
    if given in DEPRECATED_FORMATS:
        new = DEPRECATED_FORMATS[given]
        logger.warning("format=%s is deprecated; use format=%s", given, new)
        return new
    for name in FORMATS:
        if name == given:
            return name
    raise unknown("output format", "format", given, FORMATS)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header of all keys: nothing for None, true and false, lists with `BETWEEN`; empty for no rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if columns:
        writer.writerow(columns)
        writer.writerows([_csv_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return BETWEEN.join(map(_csv_cell, value))
    return repr(value) if isinstance(value, float) else str(value)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table of texts in Markdown, with a newline at its end. The columns at the positions `left` are aligned to the left."""
    rule = [":--" if place in left else "--:" for place in range(len(header))]
    return "".join(
        f"| {' | '.join(cells)} |\n" for cells in (map(markdown_text, header), rule, *(map(markdown_text, row) for row in rows))
    )


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\|`*<\[])", r"\\\1", escape_controls(text))
