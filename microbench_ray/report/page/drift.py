"""The section on drift: metrics over nights, and nights with findings."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from microbench_ray.report.page import audit_charts
from microbench_ray.report.page.parts import Chart, Column, choice, choices, notes, options_of, section
from microbench_ray.report.page.text import Html, join

MAX_ALARM_ROWS = 24
"""Rows of the chart of alarms; the most frequent ones are shown."""


class Unit(NamedTuple):
    """How a metric is shown: its title, a factor, decimals and a unit."""

    title: str
    scale: float
    digits: int
    unit: str


ALL_SUBTASKS = "all subtasks"
POINTS, PERCENT = (100.0, 2, " points"), (100.0, 1, " %")
METRICS = {
    "mdad": Unit("MDAD", *POINTS),
    "mdad_monotone": Unit("MDAD", *POINTS),
    "mean_abs_error": Unit("mean absolute error", *POINTS),
    "accuracy": Unit("mean accuracy", *PERCENT),
    "mean_accuracy": Unit("mean accuracy", *PERCENT),
    "mean_agreement": Unit("agreement of all pairs", *PERCENT),
    "agreement": Unit("agreement", *PERCENT),
    "share_reliable": Unit("reliable pairs", *PERCENT),
    "pairs_unordered": Unit("adjacent models that cannot be ranked", *PERCENT),
    "missing": Unit("missing responses", *PERCENT),
    "kendall_tau": Unit("Kendall's tau", 1.0, 3, ""),
    "agreement_new": Unit("agreement, pairs with tonight's new models", *PERCENT),
    "agreement_added": Unit("agreement, pairs with models added since the baseline", *PERCENT),
    "bias_new": Unit("estimate − accuracy, tonight's new models", *POINTS),
    "bias_added": Unit("estimate − accuracy, models added since the baseline", *POINTS),
    "residual_new": Unit("subtask residual, tonight's new models", *POINTS),
    "residual_worst": Unit("largest subtask residual of tonight's new models", *POINTS),
    "residual_added": Unit("subtask residual, models added since the baseline", *POINTS),
    "accuracy_change": Unit("change of accuracy since the baseline, same models", *POINTS),
}
"""Other metrics are shown unscaled, under their own names."""


def drift_section(history: pa.Table | None, budget: int) -> Html | None:
    """The charts of metrics and of alarms; None without a history. At most about `budget` rows are shown."""
    if history is None or not len(history):
        return None
    rows = history.to_pandas()
    nights = sorted(rows["night"].unique())
    metrics = rows[rows["kind"] == "metric"]
    metrics, left_out = _fit(metrics, budget)
    metric_chart = _metrics(metrics) if len(metrics) else None
    findings = rows[rows["severity"].isin(["warn", "fail"])]
    alarm_chart = _alarms(findings, nights) if len(findings) else None
    if metric_chart is None and alarm_chart is None:
        return None
    title = "Drift over nights" if len(nights) > 1 else f"First night: {nights[0]}"
    return section("drift", title, metric_chart, alarm_chart, notes(left_out))


def subject_label(subject: str, size: float | None) -> str:
    """The subject of a row for readers, such as `tiny, 100 items`."""
    if not subject:
        return "benchmark"
    return subject if size is None or pd.isna(size) else f"{subject}, {int(size):,} items"


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        about=[subject_label(subject, size) for subject, size in zip(rows["subject"], rows["size"], strict=True)],
        part=rows["subtask"].replace("", ALL_SUBTASKS),
        severity=rows["severity"].replace("", "none"),
    )


def _fit(rows: pd.DataFrame, budget: int) -> tuple[pd.DataFrame, list[str]]:
    """The rows that fit, and notes: of too many, those of all subtasks and of subtasks with alarms, then the last nights alone."""
    if len(rows) <= budget:
        return rows, []
    all_subtasks = rows[rows["subtask"] == ""]
    alarmed = set(rows.loc[rows["severity"].isin(["warn", "fail"]), "subtask"]) - {""}
    kept = pd.concat([all_subtasks, rows[rows["subtask"].isin(alarmed)]])
    left_out = ["Subtasks without any alarm are not on this page; history/ has them."]
    if len(kept) > budget:
        per_night = max(1, len(kept) // kept["night"].nunique())
        last = sorted(kept["night"].unique())[-max(1, budget // per_night) :]
        kept = kept[kept["night"].isin(last)].iloc[-budget:]
        left_out.append(f"This page shows the last {len(last):,} nights.")
    return kept, left_out


def _metrics(rows: pd.DataFrame) -> Html:
    rows = _labelled(rows).sort_values("night", kind="stable")
    units = [METRICS.get(metric, Unit(metric.replace("_", " "), 1.0, 3, "")) for metric in rows["metric"]]
    scale = pd.Series([unit.scale for unit in units], index=rows.index)
    lo, hi, value = (scale * rows[name].astype(float) for name in ("ci_lo", "ci_hi", "value"))
    bounds = pd.concat([lo, hi, value, scale * rows["bound_hi"].astype(float)], axis=1).max(axis=1)
    key: list[Hashable] = ["about", "metric", "part"]
    top = 1.1 * bounds.groupby([rows[name] for name in key]).transform("max")
    data = pd.DataFrame(
        {
            "about": rows["about"],
            "metric": [f"{unit.title} ({unit.unit.strip()})" if unit.unit else unit.title for unit in units],
            "part": rows["part"],
            "night": rows["night"],
            "value": value,
            "lo": lo,
            "hi": hi,
            "hi_y": hi.fillna(top).where(lo.notna()),
            "reference": scale * rows["reference"].astype(float),
            "bound_lo": scale * rows["bound_lo"].astype(float),
            "bound_hi": scale * rows["bound_hi"].astype(float),
            "nights": rows["nights"].astype(float),
            "severity": rows["severity"],
            "text": rows["text"],
            "unit": [unit.unit for unit in units],
        }
    )
    columns = [
        Column("night", "night"),
        Column("value", "value", "number", 2, "@unit", missing="never reached"),
        Column("value", "interval", "interval", 2),
        Column("bound_lo", "expected", "interval", 2, lo="bound_lo", hi="bound_hi"),
        Column("reference", "baseline", "number", 2, "@unit"),
        Column("nights", "nights out of bounds", "number", 0),
        Column("severity", "severity"),
        Column("text", "finding"),
    ]
    about = (
        "Line and bars: value and interval. Band: values expected without drift. Dashes: accepted baseline. "
        "▲ warning, ◆ failure, × never reached."
    )
    described = "A metric over nights with its bounds; values in the table below."
    # Shown first: a metric with an alarm last night, else one of all subtasks.
    last = data["severity"].where(data["night"] == data["night"].max()).map({"fail": 0, "warn": 1}).fillna(2)
    order = data.assign(last=last, one_subtask=data["part"] != ALL_SUBTASKS, of_benchmark=data["about"] == subject_label("", None))
    first = order.sort_values(["last", "one_subtask", "of_benchmark"], kind="stable")
    chart = Chart("drift", "From night to night", about, {"": audit_charts.drift()}, data, columns, described)
    selectors = choices(
        choice("about", "Subject", options_of(first, "about")),
        choice("metric", "Metric", options_of(first, "metric")),
        choice("part", "Subtask", options_of(first, "part")),
    )
    return join(selectors, chart.html())


def _alarms(rows: pd.DataFrame, nights: list[str]) -> Html:
    """A chart of nights by subject; each cell shows the worst finding."""
    rows = _labelled(rows)
    subtask = rows["part"].where(rows["part"] != ALL_SUBTASKS, "")
    rows = rows.assign(whose=[f"{about}: {part}" if part else about for about, part in zip(rows["about"], subtask, strict=True)])
    frequent = rows["whose"].value_counts().index[:MAX_ALARM_ROWS]
    rows = rows[rows["whose"].isin(frequent)].assign(bad=rows["severity"].map({"warn": 0, "fail": 1}))
    grouped = rows.sort_values("bad", ascending=False, kind="stable").groupby(["whose", "night"], sort=True)
    data = grouped.agg(severity=("severity", "first"), count=("bad", "size"), text=("text", "first")).reset_index()
    data["sign"] = data["severity"].map({"warn": "!", "fail": "✕"})
    columns = [
        Column("night", "night"),
        Column("whose", "subject"),
        Column("severity", "severity"),
        Column("count", "findings", "number", 0),
        Column("text", "worst finding"),
    ]
    about = "Nights with findings: ! warning, ✕ failure."
    described = "Nights with findings, by subject; values in the table below."
    chart = Chart("alarms", "Alarms", about, {"": audit_charts.alarms(nights)}, data, columns, described)
    return chart.html()
