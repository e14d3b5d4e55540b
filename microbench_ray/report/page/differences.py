"""The section of paired differences to the baseline."""

from __future__ import annotations

import pyarrow as pa

from microbench_ray.report.differences import Compared, baseline_text, compared
from microbench_ray.report.page.parts import section
from microbench_ray.report.page.text import Html, table, tag

MAX_ROWS = 240
"""Rows of all tables together."""


def differences_section(paired: pa.Table) -> Html | None:
    """The section of paired differences to the baseline, a table per benchmark; None without a baseline."""
    tables, n_rows = [], 0
    for benchmark, of_board in compared(paired):
        rows = [_difference_row(row) for row in of_board[: max(0, MAX_ROWS - n_rows)]]
        n_rows += len(of_board)
        if rows:
            head = ["items", "method", "agreement", "interval", "", "MDAD", "interval", ""]
            caption = f"{benchmark}: each method minus {baseline_text(of_board)}, in points"
            tables.append(table(head, rows, caption=caption, texts=(1, 4, 7)))
    if not tables:
        return None
    about = (
        "Over the same runs. A larger agreement is better, and so is a smaller MDAD; better and worse are those whose interval "
        "excludes 0. Each interval stands alone: of twenty intervals of equal methods, about one excludes 0."
    )
    more = f"and {n_rows - MAX_ROWS:,} more rows, in paired.parquet" if n_rows > MAX_ROWS else None
    return section(
        "differences", "Differences to the baseline", tag("p", about), *tables, tag("p", more, class_="hint") if more else None
    )


def _difference_row(row: Compared) -> list[object]:
    cells: list[object] = [f"{row.size:,}", tag("bdi", row.method, class_="name")]
    for shown in (row.agreement, row.mdad):
        word = None if shown.better is None else "better" if shown.better else "worse"
        mark = tag("span", word, class_="mark", data_status="ok" if shown.better else "violated") if word else ""
        cells += [tag("strong", shown.value) if word else shown.value, shown.interval, mark]
    return cells
