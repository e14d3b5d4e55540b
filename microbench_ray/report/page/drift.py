"""Metrics over nights, and the nights on which something was found."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from microbench_ray.report.page import audit_charts
from microbench_ray.report.page.parts import Chart, Column, choice, choices, notes, options_of, section
from microbench_ray.report.page.text import Html, join

MAX_ROWS_OF_ALARMS = 24


class Unit(NamedTuple):
    """How a metric is shown: multiplied, rounded, and with a unit after it."""

    title: str
    scale: float
    digits: int
    unit: str


POINTS, PERCENT = (100.0, 2, " points"), (100.0, 1, " %")
METRICS = {
    "mdad": Unit("MDAD", *POINTS),
    "mdad_monotone": Unit("MDAD", *POINTS),
    "mean_abs_error": Unit("mean absolute error", *POINTS),
    "accuracy": Unit("mean accuracy", *PERCENT),
    "mean_accuracy": Unit("mean accuracy", *PERCENT),
    "mean_agreement": Unit("agreement of all pairs", *PERCENT),
    "agreement": Unit("agreement", *PERCENT),
    "share_reliable": Unit("pairs that can be trusted", *PERCENT),
    "pairs_unordered": Unit("neighbours that cannot be ordered", *PERCENT),
    "missing": Unit("missing responses", *PERCENT),
    "kendall_tau": Unit("Kendall's tau", 1.0, 3, ""),
    "agreement_new": Unit("agreement of pairs with tonight's models", *PERCENT),
    "agreement_added": Unit("agreement of pairs with models added since the baseline", *PERCENT),
    "bias_new": Unit("estimate − accuracy of tonight's models", *POINTS),
    "bias_added": Unit("estimate − accuracy of models added since the baseline", *POINTS),
    "residual_new": Unit("tonight's models on the subtask, beyond what is expected", *POINTS),
    "residual_worst": Unit("the furthest of tonight's models from what is expected", *POINTS),
    "residual_added": Unit("models added since the baseline on the subtask, beyond what is expected", *POINTS),
    "accuracy_change": Unit("accuracy of the same models, against the baseline", *POINTS),
}
"""Every other metric is shown as it is, under its own name."""


def drift_section(history: pa.Table | None, budget: int) -> Html | None:
    """The chart of metrics and that of alarms; None where nothing is known of any night. At most about `budget` rows."""
    if history is None or not len(history):
        return None
    rows = history.to_pandas()
    nights = sorted(rows["night"].unique())
    metrics = rows[rows["kind"] == "metric"]
    metrics, left_out = _fit(metrics, budget)
    charted = [_metrics(metrics)] if len(metrics) else []
    found = rows[rows["severity"].isin(["warn", "fail"])]
    alarms = _alarms(found, nights) if len(found) else None
    if not charted and alarms is None:
        return None
    title = "Drift over nights" if len(nights) > 1 else f"The first night: {nights[0]}"
    return section("drift", title, *charted, alarms, notes(left_out))


def subject_label(subject: str, size: float | None) -> str:
    """`tiny, 100 items`."""
    if not subject:
        return "the benchmark itself"
    return subject if size is None or pd.isna(size) else f"{subject}, {int(size):,} items"


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        about=[subject_label(subject, size) for subject, size in zip(rows["subject"], rows["size"], strict=True)],
        part=rows["subtask"].replace("", "all together"),
        severity=rows["severity"].replace("", "none"),
    )


def _fit(rows: pd.DataFrame, budget: int) -> tuple[pd.DataFrame, list[str]]:
    """What is of all subtasks together first, then the subtasks with alarms; of what is too much, the last nights."""
    if len(rows) <= budget:
        return rows, []
    whole = rows[rows["subtask"] == ""]
    bad = set(rows.loc[rows["severity"].isin(["warn", "fail"]), "subtask"]) - {""}
    kept = pd.concat([whole, rows[rows["subtask"].isin(bad)]])
    left_out = ["Subtasks that never gave an alarm are not on this page; they are in the history."]
    if len(kept) > budget:
        per_night = max(1, len(kept) // kept["night"].nunique())
        last = sorted(kept["night"].unique())[-max(1, budget // per_night) :]
        kept = kept[kept["night"].isin(last)].iloc[-budget:]
        left_out.append(f"The last {len(last):,} nights are on this page.")
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
        Column("bound_lo", "run-to-run bounds", "interval", 2, lo="bound_lo", hi="bound_hi"),
        Column("reference", "baseline", "number", 2, "@unit"),
        Column("nights", "nights outside", "number", 0),
        Column("severity", "severity"),
        Column("text", "what was found"),
    ]
    about = (
        "Line and bars: the value and its interval. Band: where it lies from run to run; dashes: the accepted baseline. "
        "▲ a warning, ◆ a failure."
    )
    described = "A metric over nights with its bounds. Its values are in the table below it."
    # What is shown first: what was wrong last night, else what is of all subtasks together.
    last = data["severity"].where(data["night"] == data["night"].max()).map({"fail": 0, "warn": 1}).fillna(2)
    order = data.assign(last=last, apart=data["part"] != "all together", own=data["about"] == subject_label("", None))
    first = order.sort_values(["last", "apart", "own"], kind="stable")
    chart = Chart("drift", "From night to night", about, {"": audit_charts.drift()}, data, columns, described)
    made = choices(
        choice("about", "Subject", options_of(first, "about")),
        choice("metric", "Metric", options_of(first, "metric")),
        choice("part", "Subtask", options_of(first, "part")),
    )
    return join(made, chart.html())


def _alarms(rows: pd.DataFrame, nights: list[str]) -> Html:
    """Nights across, and downwards what was found fault with; the worst of a night and subject is shown."""
    rows = _labelled(rows)
    apart = rows["part"].where(rows["part"] != "all together", "")
    rows = rows.assign(whose=[f"{about}: {part}" if part else about for about, part in zip(rows["about"], apart, strict=True)])
    often = rows["whose"].value_counts().index[:MAX_ROWS_OF_ALARMS]
    rows = rows[rows["whose"].isin(often)].assign(bad=rows["severity"].map({"warn": 0, "fail": 1}))
    grouped = rows.sort_values("bad", ascending=False, kind="stable").groupby(["whose", "night"], sort=True)
    data = grouped.agg(severity=("severity", "first"), count=("bad", "size"), text=("text", "first")).reset_index()
    data["sign"] = data["severity"].map({"warn": "!", "fail": "✕"})
    columns = [
        Column("night", "night"),
        Column("whose", "subject"),
        Column("severity", "severity"),
        Column("count", "findings", "number", 0),
        Column("text", "the worst"),
    ]
    about = "Every night on which something was found: ! a warning, ✕ a failure."
    described = "Nights on which something was found, by subject. The same is in the table below it."
    chart = Chart("alarms", "Alarms", about, {"": audit_charts.alarms(nights)}, data, columns, described)
    return chart.html()
