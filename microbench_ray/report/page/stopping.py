"""The section of pairs that are read until a verdict."""

from __future__ import annotations

import pyarrow as pa

from microbench_ray.report.answer import MONOTONE
from microbench_ray.report.page.parts import section
from microbench_ray.report.page.text import Html, number, points, share, table, tag
from microbench_ray.report.terminal import PANEL, items_text, panel_title

MAX_ROWS = 240
"""Rows of all tables together."""


def stopping_section(stopping: pa.Table) -> Html | None:
    """A table per panel and threshold, on the seen half; None without verdicts."""
    tables, n_rows = [], 0
    rows = stopping.to_pandas()
    for (*panel, threshold), own in rows[rows["split"] == "seen"].groupby([*PANEL, "threshold"], sort=True):
        costs = bool(own["mean_cost"].notna().any())
        head = ["method", "at most", "items read", *(["cost"] if costs else []), "decided", "wrong", "agreement", "MDAD"]
        cells: list[list[object]] = [
            [
                tag("bdi", row["method"], class_="name"),
                f"{row['size']:,}",
                number(row["mean_items"]),
                *([number(row["mean_cost"])] if costs else []),
                *(share(row[name], 1) for name in ("decided", "false", "mean_agreement")),
                points(row[MONOTONE[0]]),
            ]
            for row in own.sort_values(["method", "size"]).to_dict("records")
        ]
        kept = cells[: max(0, MAX_ROWS - n_rows)]
        n_rows += len(cells)
        if kept:
            caption = f"{panel_title(panel)}, {items_text('seen', panel)}, MDAD in points at agreement {threshold:g}"
            tables.append(table(head, kept, caption=caption, texts=(0,)))
    if not tables:
        return None
    about = (
        "Every pair of target models is read item by item, in the method's order, until a test says at level .05 which of the two "
        "is better, or to the last selected item; then the estimates decide. Wrong verdicts are bounded for random orders only."
    )
    more = f"and {n_rows - MAX_ROWS:,} more rows, in stopping.parquet" if n_rows > MAX_ROWS else None
    return section("verdicts", "Items until a verdict", tag("p", about), *tables, tag("p", more, class_="hint") if more else None)
