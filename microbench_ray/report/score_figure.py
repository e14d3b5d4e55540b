"""A picture of scored models: ranked by their estimates, with intervals, and those unlike the known models marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from microbench_ray.core.shown import escape_controls
from microbench_ray.report.page.charts import CONFIG, Spec, quantity
from microbench_ray.report.page.library import picture

MAX_MODELS = 200
"""Models drawn; of more, those with the highest estimates."""
KNOWN = "known models"
LIKE, UNLIKE, WITHOUT = STATES = ("like the known models", "unlike the known models", "no interval")


class ScoredModel(NamedTuple):
    """A model to draw. Accuracies are fractions; `low` and `high` are None where it has no interval."""

    model: str
    estimate: float
    low: float | None
    high: float | None
    unlike: bool


def score_figure(models: Sequence[ScoredModel], known: Sequence[float], title: str, kind: str) -> bytes:
    """Draw the models, the best estimate first, above the accuracies of the known models.

    Parameters
    ----------
    models
        In any order.
    known
        Accuracies of the known models, fractions.
    title
        Shown above the chart.
    kind
        `png` or `svg`.

    Returns
    -------
    bytes
        The content of a file; equal input gives equal bytes.
    """
    ranked = sorted(models, key=lambda each: -each.estimate)
    more = len(ranked) - MAX_MODELS
    rows = [_row(each, place) for place, each in enumerate(ranked[:MAX_MODELS])]
    notes = ["Point: estimated accuracy on the whole benchmark; line: its 95 % interval. Ticks: known models."]
    if more > 0:
        notes.append(f"{more:,} more models have lower estimates.")
    heading = {"text": escape_controls(title), "subtitle": notes}
    states = [state for state in STATES if any(row["state"] == state for row in rows)]
    datasets = {"rows": rows, "known": [{"model": KNOWN, "place": len(rows), "value": 100 * value} for value in known]}
    return picture(_spec(states, heading), datasets, kind, scale=1.5)


def _row(each: ScoredModel, place: int) -> dict[str, Any]:
    return {
        "model": escape_controls(each.model),
        "place": place,
        "value": 100 * each.estimate,
        "lo": None if each.low is None else 100 * each.low,
        "hi": None if each.high is None else 100 * each.high,
        "state": UNLIKE if each.unlike else WITHOUT if each.low is None else LIKE,
    }


def _spec(shown: list[str], heading: dict[str, Any]) -> Spec:
    """The chart of the data sources `rows` and `known`."""
    title = "accuracy on the whole benchmark (%)"
    y = {
        "field": "model",
        "type": "nominal",
        "sort": {"field": "place", "op": "min"},
        "title": None,
        "axis": {"labelLimit": 400, "ticks": False, "domain": False, "grid": False, "labelColor": "var(--ink)"},
    }
    states = {"domain": list(STATES)}
    legend: Spec | None = None
    if {UNLIKE, WITHOUT} & set(shown):
        legend = {"orient": "bottom", "title": None, "values": shown, "labelColor": "var(--ink)"}
    colour = {
        "field": "state",
        "type": "nominal",
        "scale": states | {"range": ["var(--series-1)", "var(--violated)", "var(--muted)"]},
        "legend": legend,
    }
    shape = {
        "field": "state",
        "type": "nominal",
        "scale": states | {"range": ["circle", "diamond", "circle"]},
        "legend": legend,
    }
    scale = {"zero": False, "nice": True}
    layers: list[Spec] = [
        {
            "data": {"name": "known"},
            "mark": {"type": "tick", "color": "var(--muted)", "opacity": 0.6, "thickness": 1, "size": 12},
            "encoding": {"x": quantity("value", title), "y": y},
        },
        {
            "transform": [{"filter": "isValid(datum.lo)"}],
            "mark": {"type": "rule", "strokeWidth": 3, "strokeCap": "round", "opacity": 0.55},
            "encoding": {"x": quantity("lo", title), "x2": {"field": "hi"}, "y": y, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {
                "x": quantity("value", title, scale=scale, axis={"tickCount": 8}),
                "y": y,
                "color": colour,
                "shape": shape,
            },
        },
    ]
    return {
        "width": 460,
        "height": {"step": 22},
        "padding": 16,
        "title": heading
        | {"anchor": "start", "color": "var(--ink)", "subtitleColor": "var(--muted)", "frame": "group", "offset": 12},
        "data": {"name": "rows"},
        "layer": layers,
        "config": CONFIG | {"background": "#ffffff"},
    }
