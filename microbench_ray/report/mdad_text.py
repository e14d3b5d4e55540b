"""The MDADs of a sweep as JSON, CSV or Markdown."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from microbench_ray.core.table_formats import Format, csv_text, markdown_table, markdown_text
from microbench_ray.report.answer import MONOTONE
from microbench_ray.report.terminal import PANEL, items_text, panel_title


def mdad_text(mdad: pa.Table, shown_as: Format) -> str:
    """The table in a format other than `table`, with a newline at its end.

    JSON and CSV hold the rows of mdad.parquet. Markdown holds a table per panel, split and threshold: a row per method, a column
    per size, in points with intervals.
    """
    if shown_as == "json":
        return json.dumps(mdad.to_pylist(), indent=1) + "\n"
    if shown_as == "csv":
        return csv_text(mdad.to_pylist())
    return "\n".join(_panels(mdad.to_pylist()))


def _panels(rows: list[dict[str, Any]]) -> list[str]:
    keys = (*PANEL, "split", "threshold")
    parts = []
    for *panel, split, threshold in sorted({tuple(row[key] for key in keys) for row in rows}):
        of_panel = [row for row in rows if tuple(row[key] for key in keys) == (*panel, split, threshold)]
        title = f"{panel_title(panel)}. MDAD at agreement {threshold:g}, {items_text(split, panel)}, in points, with intervals"
        sizes = sorted({row["size"] for row in of_panel})
        cells = {(row["method"], row["size"]): _cell(row) for row in of_panel}
        methods = list(dict.fromkeys(row["method"] for row in of_panel))
        table = [(method, *(cells.get((method, size), "") for size in sizes)) for method in methods]
        parts.append(f"{markdown_text(title)}\n\n{markdown_table(('items', *(f'{size:,}' for size in sizes)), table)}")
    return parts


def _cell(row: dict[str, Any]) -> str:
    value, low, high = (row[column] for column in MONOTONE)
    if value is None:
        return "not reached"
    return f"{100 * value:.1f} ({100 * low:.1f}–{'∞' if high is None else f'{100 * high:.1f}'})"
