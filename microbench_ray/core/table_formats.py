"""The formats of the tables that commands print: one set of values for the key `format`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from microbench_ray.core import formats
from microbench_ray.core.errors import unknown
from microbench_ray.core.shown import escape_controls

logger = logging.getLogger(__name__)

Format = Literal["table", "json", "markdown", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEPRECATED_FORMATS: dict[str, Format] = {"text": "table"}
"""Former values of `format`, accepted for one more release."""


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
    """Rows as CSV with a header of all keys, as `formats.csv`; empty for no rows."""
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return formats.csv(formats.Table(columns, tuple(tuple(map(row.get, columns)) for row in rows))) if columns else ""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table of texts in Markdown, with a newline at its end. The columns at the positions `left` are aligned to the left."""
    rule = [":--" if place in left else "--:" for place in range(len(header))]
    return "".join(
        f"| {' | '.join(cells)} |\n" for cells in (map(markdown_text, header), rule, *(map(markdown_text, row) for row in rows))
    )


def markdown_text(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return formats.MARKDOWN.sub(r"\\\g<0>", escape_controls(text))
