"""The section with agreement curves and MDAD against size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from microbench_ray.core.lazy_arrow import pc
from microbench_ray.report.answer import MONOTONE
from microbench_ray.report.highlight import Highlight, highlight
from microbench_ray.report.page import charts
from microbench_ray.report.page.parts import Chart, Column, choice, choices, legend, notes, options_of, plain, section
from microbench_ray.report.page.text import Html, join, tag

PANEL = {
    "benchmark": "Benchmark",
    "group": "Target models",
    "sources": "Source models",
    "items": "Compared on",
    "threshold": "Agreement threshold",
}
MIN_REACH = 0.04
"""Curves are shown up to at least this difference."""
MAX_SIZES = 4
"""Sizes for which curves are kept, where there are too many rows."""

MAX_MULTIPLES = 12
"""Benchmarks with a small chart each."""


def curves_section(tables: Mapping[str, pa.Table], budget: int) -> Html | None:
    """The two charts and their selectors; None without MDADs. Each chart has at most about `budget` rows."""
    mdad = with_panel(tables["mdad"].to_pandas())
    if not len(mdad):
        return None
    mdad, mdad_notes = _fit_mdad(mdad, budget)
    curves, curve_notes = _fit_curves(_within_reach(_occupied(tables["agreement"]), mdad), mdad, budget)
    curves = with_panel(curves)
    shown = highlight(tables, list(dict.fromkeys(mdad["method"])))
    first = _first_panel(mdad)
    selectors = [choice(name, label, _options(mdad, name), plain(first[name])) for name, label in PANEL.items()]
    parts = [_mdad_chart(mdad, shown)]
    if len(curves):
        sizes = sorted(curves["size"].unique())
        if _sizes_vary(curves):
            chosen = min(sizes, key=lambda size: abs(np.log(size / 100)))
            selectors.append(choice("size", "Items in the curves", [(plain(size), f"{size:,}") for size in sizes], plain(chosen)))
        parts.insert(0, _agreement_chart(curves, shown, mdad))
    figures = Html(f'<div class="pair">{"".join(chart.html() for chart in parts)}</div>')
    return section(
        "curves",
        "How reliably models are ranked",
        choices(*selectors),
        legend(shown),
        figures,
        _by_benchmark(mdad, shown),
        notes([*mdad_notes, *curve_notes]),
    )


def with_panel(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with columns of the selectors' options: group of targets, source models, items."""
    labels = {"random": "drawn at random", "all": "all models"}
    target = rows["targets"].map(lambda label: labels.get(label, label))
    half = np.where(rows["unseen"] == "none", "all items", rows["split"] + " half of the items")
    return rows.assign(
        group=[f"{count:,} ({label})" for count, label in zip(rows["n_target"], target, strict=True)],
        sources=[f"{count:,}" if count else "none (fixed list)" for count in rows["n_source"]],
        items=half,
    )


def _first_panel(mdad: pd.DataFrame) -> pd.Series:
    """A row of the panel shown first: the first benchmark, the most source models, the seen half."""
    benchmark = mdad[mdad["benchmark"] == mdad["benchmark"].iloc[0]]
    first: pd.Series = benchmark.sort_values(["split", "n_source"], ascending=[True, False], kind="stable").iloc[0]
    return first


def _options(rows: pd.DataFrame, name: str) -> list[tuple[str, str]]:
    if name == "threshold":
        return [(plain(value), f"at least {100 * value:g} %") for value in sorted(rows[name].unique())]
    if name == "sources":
        rows = rows.sort_values("n_source", kind="stable")
    return options_of(rows, name)


def _by_benchmark(mdad: pd.DataFrame, shown: Highlight) -> Html | None:
    """A small chart of MDAD for each of several benchmarks; None for a single one."""
    boards = list(dict.fromkeys(mdad["benchmark"]))
    if len(boards) < 2:
        return None
    charts_of_boards = []
    for k, board in enumerate(boards[:MAX_MULTIPLES]):
        chart = _mdad_chart(mdad[mdad["benchmark"] == board], shown, height=170)
        # Without the column of the benchmark, its selector leaves the chart as it is.
        rows = chart.rows.drop(columns="benchmark")
        charts_of_boards.append(replace(chart, name=f"mdad-{k}", title=board, about="", rows=rows, with_table=False).html())
    more = len(boards) - MAX_MULTIPLES
    left_out = tag("p", f"and {more:,} more, by the selector of benchmarks", class_="hint") if more > 0 else None
    grid = tag("div", *charts_of_boards, class_="multiples")
    return join(tag("h3", "MDAD on each benchmark (points)", class_="of-multiples"), grid, left_out)


def _mdad_chart(mdad: pd.DataFrame, shown: Highlight, height: int = 300) -> Chart:
    methods = shown.methods
    value, low, high = (100 * mdad[name].astype(float) for name in MONOTONE)
    by = [mdad[name] for name in (*list(PANEL),)]
    highest = pd.concat([value, low, high], axis=1).max(axis=1)
    top = 1.15 * highest.groupby(by).transform("max").fillna(10.0)
    reached, unbounded = value.notna(), low.notna() & high.isna()
    place = {method: k for k, method in enumerate(methods)}
    spread = 1.0 + 0.012 * (mdad["method"].map(place) - (len(methods) - 1) / 2)
    fractions = mdad["fraction"].notna().all()
    size = (100 * mdad["fraction"]).round(6) if fractions else mdad["size"].astype(float)
    rows = pd.DataFrame(
        {
            **{name: mdad[name] for name in (*PANEL, "method")},
            "n_items": mdad["size"],
            "tick": size,
            "x": size * spread,
            "value": value,
            "lo": low,
            "hi": high,
            "y": value.fillna(top),
            "lo_y": low.fillna(value).fillna(top),
            "hi_y": high.where(~unbounded, top).fillna(value).fillna(top),
            "reached": reached,
            "unbounded": reached & unbounded,
            "n_runs": mdad["n_runs"],
            "front": mdad["method"].isin(shown.coloured),
        }
    )
    columns = [
        Column("method", "method"),
        Column("n_items", "items", "number", 0),
        Column("value", "MDAD", "number", 1, " points", missing="never reached"),
        Column("value", f"interval over {' or '.join(sorted(set(mdad['ci'])))}", "interval", 1),
        Column("n_runs", "runs", "number", 0),
    ]
    label = "items selected (%)" if fractions else "items selected"
    about = (
        "The smallest difference at which two models are ranked correctly often enough; lower is better. "
        "Bars: intervals (▲ unbounded). ×: agreement never reaches the threshold."
    )
    described = f"MDAD in points against the number of items selected, for {', '.join(methods)}; values in the table below."
    return Chart("mdad", "MDAD against size", about, {"": charts.mdad(shown, label, height)}, rows, columns, described)


def _agreement_chart(curves: pd.DataFrame, shown: Highlight, mdad: pd.DataFrame) -> Chart:
    rows = pd.DataFrame(
        {
            **{name: curves[name] for name in PANEL if name != "threshold"},
            "size": curves["size"],
            "method": curves["method"],
            "difference": (50 * (curves["diff_lo"] + curves["diff_hi"])).round(3),
            "value": 100 * curves["agreement"].astype(float),
            "lo": 100 * curves["ci_lo"].astype(float),
            "hi": 100 * curves["ci_hi"].astype(float),
            "n_pairs": curves["n_pairs"],
            "front": curves["method"].isin(shown.coloured),
        }
    )
    columns = [
        Column("method", "method"),
        Column("difference", "difference", "number", 2, " points"),
        Column("value", "agreement", "number", 1, " %"),
        Column("value", f"interval over {' or '.join(sorted(set(mdad['ci'])))}", "interval", 1, " %"),
        Column("n_pairs", "pairs of models", "number", 0),
    ]
    about = "How often the selected items rank two models as all items do, by their difference. Dashed line: the threshold."
    described = f"Agreement in percent against the difference in points, for {', '.join(shown.methods)}; values in the table below."
    return Chart("agreement", "Agreement", about, {"": charts.agreement(shown)}, rows, columns, described)


def _sizes_vary(curves: pd.DataFrame) -> bool:
    """Whether a method has several sizes, so that one must be selected; published lists have one each."""
    return bool(curves.groupby("method")["size"].nunique().max() > 1)


def _occupied(agreement: pa.Table) -> pd.DataFrame:
    """Bins with pairs, without unused columns: as Python strings, those of a large sweep would fill the memory."""
    table = agreement.drop_columns(["fraction", "tie_policy", "ci", "n_agree", "n_tied"])
    table = table.filter(pc.greater(table["n_pairs"], 0))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _within_reach(curves: pd.DataFrame, mdad: pd.DataFrame) -> pd.DataFrame:
    """Bins up to 2.2 times the last crossing of their benchmark and size."""
    if not len(curves):
        return curves
    pairs = curves.groupby("diff_lo")["n_pairs"].sum().cumsum()
    max_reach = max(MIN_REACH, float(pairs.index[pairs <= 0.999 * pairs.iloc[-1]].max()))
    key = ["benchmark", "size"] if _sizes_vary(curves) else ["benchmark"]
    last = mdad.groupby(key)[MONOTONE[0]].agg(lambda values: np.inf if values.isna().any() else values.max())
    reach = (2.2 * last).clip(lower=MIN_REACH, upper=max_reach)
    return curves[
        curves["diff_lo"] <= curves[key].merge(reach.rename("reach"), "left", on=key)["reach"].fillna(max_reach).to_numpy()
    ]


def _fit_mdad(mdad: pd.DataFrame, budget: int) -> tuple[pd.DataFrame, list[str]]:
    """The MDAD rows of as many benchmarks as fit, and notes on the others."""
    return _first_benchmarks(mdad, budget, "MDAD rows")


def _fit_curves(curves: pd.DataFrame, mdad: pd.DataFrame, budget: int) -> tuple[pd.DataFrame, list[str]]:
    """The curves, reduced to fewer sizes, source models, bins and benchmarks until they fit, and notes on the reductions."""
    reductions: list[str] = []
    curves = curves[curves["benchmark"].isin(set(mdad["benchmark"]))]
    for name, label in (("size", "sizes"), ("n_source", "numbers of source models")):
        values = sorted(curves[name].unique())
        if len(curves) > budget and len(values) > MAX_SIZES:
            kept = [values[k] for k in np.linspace(0, len(values) - 1, MAX_SIZES).round().astype(int)]
            curves = curves[curves[name].isin(kept)]
            reductions.append(
                f"Agreement curves show {MAX_SIZES} of {len(values)} {label}: {', '.join(f'{each:,}' for each in kept)}."
            )
    if len(curves) > budget:
        step = int(min(4, np.ceil(len(curves) / budget)))
        curves = curves[(curves["diff_lo"] / 0.005).round().astype(int) % step == 0]
        reductions.append(f"Agreement curves show one in {step} half-point bins.")
    curves, other_benchmarks = _first_benchmarks(curves, budget, "agreement curves")
    reductions += other_benchmarks
    return curves, [*reductions, *(["agreement.parquet has all rows."] if reductions else [])]


def _first_benchmarks(rows: pd.DataFrame, budget: int, name: str) -> tuple[pd.DataFrame, list[str]]:
    if len(rows) <= budget:
        return rows, []
    counts = rows["benchmark"].value_counts(sort=False).reindex(rows["benchmark"].unique())
    kept = counts.index[: max(1, int((counts.cumsum() <= budget).sum()))]
    rows = rows[rows["benchmark"].isin(kept)]
    note = [f"Not on this page: {name} of {len(counts) - len(kept):,} more benchmarks."] if len(kept) < len(counts) else []
    if len(rows) > budget:
        note.append(f"Not on this page: {len(rows) - budget:,} more rows of {kept[0]}.")
        rows = rows.iloc[:budget]
    return rows, note
