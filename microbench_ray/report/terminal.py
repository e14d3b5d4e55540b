"""Text for the terminal: the plan of a sweep, tables of MDADs, the verdict of an audit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from microbench_ray.core.shown import escape_controls
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.report.answer import MONOTONE
from microbench_ray.report.differences import Shown, baseline_text, compared
from microbench_ray.sweeps.shards import Plan

PANEL = ["benchmark", "targets", "n_target", "unseen", "n_source"]
"""The key of a panel: its rows differ only in method, size, split and threshold."""


def plan_text(plan: Plan, engine: str, out: Path | str) -> str:
    """The cost of a sweep, in one line."""
    shards = f"{len(plan.shards):,} shard" + ("" if len(plan.shards) == 1 else "s")
    place = escape_controls(open_folder(out).at())
    return (
        f"{plan.n_cells:,} cells in {shards}, about {plan.seconds:,.1f} CPU seconds; "
        f"{_bytes(plan.input_bytes)} of scores, {_bytes(plan.worker_bytes)} more per worker; {engine}; out={place}"
    )


def mdad_tables(mdad: pa.Table, width: int = 120) -> Iterator[tuple[str, Group]]:
    """A title and a table per panel, split and threshold: a row per method, a column per size, in points with intervals."""
    for (*panel, split, threshold), rows in mdad.to_pandas().groupby([*PANEL, "split", "threshold"], sort=True):
        title = f"{panel_title(panel)}\nMDAD at agreement {threshold:g}, {items_text(split, panel)}, in points, with intervals"
        cells = {(str(row["method"]), int(row["size"])): _cell(row) for row in rows.to_dict("records")}
        yield title, _by_size(cells, width)


def difference_tables(paired: pa.Table, width: int = 120) -> Iterator[tuple[str, Group]]:
    """Two titles and tables per benchmark: differences in mean agreement and in MDAD to the baseline."""
    for benchmark, rows in compared(paired):
        for name, label in (("agreement", "Mean agreement"), ("mdad", "MDAD")):
            title = f"{benchmark}: {label} minus that of {baseline_text(rows)}, in points, with intervals (* excludes 0)"
            cells = {(row.method, row.size): _difference_cell(getattr(row, name)) for row in rows}
            yield escape_controls(title), _by_size(cells, width)


def stopping_tables(stopping: pa.Table) -> Iterator[tuple[str, Table]]:
    """A title and a table per panel and threshold, on the seen half: what reading pairs until a verdict takes."""
    rows = stopping.to_pandas()
    for (*panel, threshold), own in rows[rows["split"] == "seen"].groupby([*PANEL, "threshold"], sort=True):
        costs = own["mean_cost"].notna().any()
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("items", no_wrap=True, overflow="fold")
        for name in ("at most", "read", *(["cost"] if costs else []), "decided", "wrong", "agreement", "MDAD"):
            table.add_column(name, justify="right")
        for row in own.sort_values(["method", "size"]).to_dict("records"):
            cost = [f"{row['mean_cost']:,.0f}" if row["mean_cost"] >= 1000 else f"{row['mean_cost']:.4g}"] if costs else []
            shares = [f"{100 * row[name]:.1f}" for name in ("decided", "false", "mean_agreement")]
            mdad = "not reached" if np.isnan(row[MONOTONE[0]]) else f"{100 * row[MONOTONE[0]]:.1f}"
            method = Text(escape_controls(str(row["method"])))
            table.add_row(method, f"{row['size']:,}", f"{row['mean_items']:.1f}", *cost, *shares, mdad)
        title = f"{panel_title(panel)}\nItems read until a verdict, {items_text('seen', panel)}; shares in %, MDAD at {threshold:g}"
        yield title, table


def _by_size(cells: Mapping[tuple[str, int], str], width: int) -> Group:
    """A row per method and a column per size; below each other where the columns do not fit, so that no number is broken."""
    methods = list(dict.fromkeys(method for method, _ in cells))
    names = {method: escape_controls(method) for method in methods}
    sizes = sorted({size for _, size in cells})
    needed = {
        size: 3 + max(len(line) for method in methods for line in (f"{size:,}", *cells.get((method, size), "").split("\n")))
        for size in sizes
    }
    parts: list[list[int]] = []
    room = 0
    for size in sizes:
        if needed[size] > room:
            parts.append([])
            room = width - 4 - max(map(len, names.values()))
        parts[-1].append(size)
        room -= needed[size]
    tables = []
    for part in parts:
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("items", no_wrap=True, overflow="fold")
        for size in part:
            table.add_column(f"{size:,}", justify="right", overflow="fold")
        for method in methods:
            table.add_row(Text(names[method]), *(cells.get((method, size), "") for size in part))
        tables.append(table)
    return Group(*tables)


def _difference_cell(shown: Shown) -> str:
    mark = " " if shown.better is None else "*"
    return f"{shown.value}{mark}" + (f"\n{shown.interval} " if shown.interval else "")


def _cell(row: Any) -> str:
    value, low, high = (row[column] for column in MONOTONE)
    if np.isnan(value):
        return "not\nreached"
    return f"{100 * value:.1f}\n{100 * low:.1f}–{'∞' if np.isnan(high) else f'{100 * high:.1f}'}"


def panel_title(panel: Any) -> str:
    """A panel in words; `panel` holds the values of `PANEL`."""
    benchmark, targets, n_target, _, n_source = panel
    sources = f", {n_source:,} source models" if n_source else ""
    return escape_controls(f"{benchmark}: {n_target:,} target models ({targets}){sources}")


def items_text(split: str, panel: Any) -> str:
    """The items of a split, in words."""
    return "all items" if panel[3] == "none" else f"{split} half"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    """Lines for a verdict: the headline, each audited list and method, and the findings, most severe first.

    Names in it are escaped, also where verdict.json was edited by hand.
    """
    yield from map(escape_controls, _verdict_lines(verdict))


def _verdict_lines(verdict: Mapping[str, Any]) -> Iterator[str]:
    yield f"{verdict['status'].upper()}: {verdict['headline']}"
    for each in verdict["subjects"]:
        lo, hi = each["ci_lo"], each["ci_hi"]
        interval = "" if lo is None and hi is None else f" ({_number(lo, '…')}–{_number(hi, '∞')})"
        needed = each["items_needed"]
        needed_text = "" if needed is None else f"; {needed:,} items needed to detect {_points(each['wanted'])}"
        yield f"  {each['label']}, {each['size']} items: MDAD {_points(each['mdad'])}{interval}{needed_text}"
    order = {"fail": 0, "warn": 1, "note": 2}
    for finding in sorted(verdict["findings"], key=lambda finding: order[finding["severity"]]):
        yield f"  {finding['severity']}: {finding['text']}"


def _points(value: float | None) -> str:
    return "never reached" if value is None else f"{_number(value, '')} points"


def _number(value: float | None, missing: str) -> str:
    return missing if value is None else f"{100 * value:.1f}"
