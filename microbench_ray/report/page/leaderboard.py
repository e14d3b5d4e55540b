"""The section on the leaderboard: intervals of ranks, and ties that a list cannot resolve."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from microbench_ray.report.page import audit_charts
from microbench_ray.report.page.parts import Chart, Column, choice, choices, notes, options_of, section
from microbench_ray.report.page.text import Html, tag

NAMED = (25, 100)
"""Options for the number of models; up to the last one, models are shown with their names."""

COLUMNS = (
    Column("rank", "rank", "number", 0),
    Column("model", "model"),
    Column("accuracy", "accuracy", "number", 1, " %"),
    Column("estimate", "estimate", "number", 1, " %"),
    Column("estimate_rank", "estimated rank", "number", 0),
    Column("rank_lo", "rank interval", "interval", 0, lo="rank_lo", hi="rank_hi"),
    Column("p_top", "probability of the top", "number", 0, " %"),
    Column("tie_group", "tie group", "number", 0),
    Column("n_answered", "answered", "number", 0),
    Column("new", "new"),
)


def leaderboard_section(board: pa.Table | None, budget: int, top_k: int | None = None) -> Html | None:
    """The chart of rank intervals and the table of models; None without a leaderboard.

    Parameters
    ----------
    board
        A table of the schema `leaderboard`.
    budget
        Rows over all subjects; of a larger table, the first ones of each subject are shown.
    top_k
        `p_top` is the probability of a rank up to this.
    """
    if board is None or not len(board):
        return None
    rows = board.to_pandas().sort_values(["subject", "tie_group", "rank", "model"], kind="stable")
    subjects = list(dict.fromkeys(board["subject"].to_pylist()))
    max_rows = max(10, budget // len(subjects))
    rows["order"] = rows.groupby("subject").cumcount() + 1
    total = int(rows["order"].max())
    rows = rows[rows["order"] <= max_rows]
    left_out = (
        [f"This page shows the first {max_rows:,} of {total:,} models; leaderboard.parquet has all."] if total > max_rows else []
    )
    data = pd.DataFrame(
        {
            **{name: rows[name] for name in ("subject", "model", "rank", "estimate_rank", "rank_lo", "rank_hi", "tie_group")},
            **{name: 100 * rows[name].astype(float) for name in ("accuracy", "estimate", "p_top")},
            "n_answered": rows["n_answered"],
            "order": rows["order"],
            "order_lo": rows["order"] - 0.5,
            "order_hi": rows["order"] + 0.5,
            "new": rows["is_new"].map({True: "new", False: ""}),
        }
    )
    views = [(str(count), f"first {count}") for count in NAMED if count < total] + [("all", "all")]
    specs = {view: audit_charts.ranks(named=view != "all" or total <= NAMED[-1]) for view, _ in views}
    columns = [
        column if column.field != "p_top" or top_k is None else _retitled(column, f"probability of the top {top_k:,}")
        for column in COLUMNS
    ]
    about = (
        "Line: interval of the rank given the selected items. ◆ estimated rank, ● true rank. "
        "Neighbouring models with the same shading form a tie group: these items cannot rank them."
    )
    described = "Rank intervals by model; values in the table of models below."
    chart = Chart("ranks", "Rank intervals", about, specs, data, columns, described, with_table=False)
    selectors = choices(
        choice(
            "subject", "Micro-benchmark", options_of(rows.sort_values("subject", key=lambda s: s.map(subjects.index)), "subject")
        ),
        choice("view", "Models", views),
    )
    return section("leaderboard", "Leaderboard", selectors, chart.html(), _table(), notes(left_out))


def _retitled(column: Column, title: str) -> Column:
    return Column(**(vars(column) | {"title": title}))


def _table() -> Html:
    """The sortable table of models, which script.js fills."""
    search = tag(
        "label",
        tag("span", "Find a model"),
        tag("input", type="search", autocomplete="off", spellcheck="false"),
        class_="choice find",
    )
    count = tag("p", class_="count", role="status")
    table = tag("div", class_="scroll", tabindex="0", role="region", aria_label="Table of models")
    more = tag("button", "Show all", type="button", class_="more", hidden=True)
    return tag("div", tag("div", search, count, class_="choices"), table, more, class_="sortable", data_of="ranks")
