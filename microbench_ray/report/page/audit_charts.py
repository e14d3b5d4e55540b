"""The charts of audits as Vega-Lite specifications without data: ranks, drift, alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from microbench_ray.report.page.charts import Spec, layered, nearest, quantity


def ranks(*, named: bool) -> Spec:
    """Rank intervals, one model per line: with names, or as thin lines without."""
    title = "rank on the full benchmark"
    x = quantity("rank_hi", title, scale={"nice": False, "zero": False, "padding": 8}, axis={"orient": "top"})
    if named:
        y: Spec = {
            "field": "model",
            "type": "nominal",
            "sort": {"field": "order", "op": "min"},
            "title": None,
            "axis": {
                "labelLimit": {"expr": "width < 480 ? 120 : 260"},
                "ticks": False,
                "domain": False,
                "labelColor": "var(--ink)",
            },
            "scale": {"paddingInner": 0.0, "paddingOuter": 0.0},
        }
        y = y | {"axis": y["axis"] | {"grid": False}}
        stripe_y: Spec = {"y": y}
        height: Any = {"step": 21, "of": "model"}
    else:
        y = quantity(
            "order",
            "position on the leaderboard",
            scale={"reverse": True, "nice": False, "zero": False, "padding": 4},
            axis={"grid": False},
        )
        stripe_y = {"y": quantity("order_lo", "position on the leaderboard", scale=y["scale"]), "y2": {"field": "order_hi"}}
        height = 640
    stripe = {"condition": {"test": "datum.tie_group % 2 == 1", "value": "var(--stripe)"}, "value": "transparent"}
    width, size = (3.0, 60) if named else (1.2, 14)
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "tooltip": {"content": "data"}},
            "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, **stripe_y, "color": stripe},
        },
        {
            "mark": {
                "type": "rule",
                "strokeWidth": width,
                "strokeCap": "round",
                "color": "var(--series-1)",
                "opacity": 0.55,
                "tooltip": {"content": "data"},
            },
            "encoding": {"x": quantity("rank_lo", title), "x2": {"field": "rank_hi"}, "y": y},
        },
        {
            "mark": {
                "type": "point",
                "filled": True,
                "size": size,
                "color": "var(--series-2)",
                "shape": "diamond",
                "tooltip": {"content": "data"},
            },
            "encoding": {"x": quantity("estimate_rank", title), "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": size, "color": "var(--ink)", "tooltip": {"content": "data"}},
            "encoding": {"x": quantity("rank", title), "y": y},
        },
    ]
    return layered(layers, height=height, params={}, encoding={"x": x})


def drift() -> Spec:
    """A metric over nights: the values expected without drift as a band, intervals, baseline, and alarms."""
    axis = {
        "labelAngle": 0,
        "labelOverlap": "greedy",
        "labelSeparation": 10,
        "grid": False,
        "title": None,
        "ticks": False,
        "offset": 6,
    }
    x = {"field": "night", "type": "ordinal", "sort": None, "axis": axis, "scale": {"paddingInner": 0, "paddingOuter": 0.2}}
    y = quantity("value", None, scale={"zero": False, "nice": True, "padding": 12}, axis={"tickCount": 6, "title": None})
    severity = {"domain": ["none", "note", "warn", "fail"]}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.bound_lo) && isValid(datum.bound_hi)"}],
            "mark": {"type": "bar", "color": "var(--band)", "width": {"band": 1}, "cornerRadius": 0},
            "encoding": {"y": quantity("bound_lo", None), "y2": {"field": "bound_hi"}},
        },
        {
            "transform": [{"filter": "isValid(datum.reference)"}],
            "mark": {"type": "tick", "orient": "horizontal", "color": "var(--muted)", "thickness": 1.5, "width": {"band": 0.9}},
            "encoding": {"y": quantity("reference", None)},
        },
        {
            "transform": [{"filter": "isValid(datum.lo)"}],
            "mark": {"type": "rule", "strokeWidth": 1.5, "color": "var(--series-1)", "opacity": 0.55},
            "encoding": {"y": quantity("lo", None), "y2": {"field": "hi_y"}},
        },
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": {"type": "line", "strokeWidth": 2, "color": "var(--series-1)"},
            "encoding": {"y": y},
        },
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": {"type": "point", "filled": True, "stroke": "var(--card)", "strokeWidth": 0.2},
            "encoding": {
                "y": y,
                "color": {
                    "field": "severity",
                    "type": "nominal",
                    "legend": None,
                    "scale": severity | {"range": ["var(--series-1)", "var(--series-1)", "var(--attention)", "var(--violated)"]},
                },
                "shape": {
                    "field": "severity",
                    "type": "nominal",
                    "legend": None,
                    "scale": severity | {"range": ["circle", "circle", "triangle-up", "diamond"]},
                },
                "size": {
                    "condition": [
                        {"test": "datum.severity === 'fail'", "value": 190},
                        {"test": "datum.severity === 'warn'", "value": 150},
                    ],
                    "value": 45,
                },
            },
        },
        {
            "transform": [{"filter": "!isValid(datum.value)"}],
            "mark": {
                "type": "text",
                "text": "×",
                "fontSize": 18,
                "fontWeight": "bold",
                "color": "var(--violated)",
                "tooltip": {"content": "data"},
            },
            "encoding": {"y": {"value": 12}},
        },
        nearest(
            [{"filter": "isValid(datum.value)"}],
            {"size": 220, "filled": False, "strokeWidth": 2, "fill": None, "stroke": "var(--ink)"},
            {"y": y},
            by=["x"],
        ),
    ]
    return layered(layers, height=280, params={}, encoding={"x": x})


def alarms(nights: Sequence[str]) -> Spec:
    """Nights with findings, by subject."""
    severity = {"domain": ["note", "warn", "fail"], "range": ["var(--band)", "var(--attention)", "var(--violated)"]}
    x = {
        "field": "night",
        "type": "ordinal",
        "sort": None,
        "axis": {
            "labelAngle": 0,
            "labelOverlap": "greedy",
            "labelSeparation": 10,
            "title": None,
            "ticks": False,
            "domain": False,
            # Centred below its night, the last label would stick out of a narrow page.
            "labelAlign": {"condition": {"test": "datum.index === 1 && width < 480", "value": "right"}, "value": "center"},
        },
        "scale": {"paddingInner": 0.12, "paddingOuter": 0.1, "domain": list(nights)},
    }
    y = {
        "field": "whose",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": {"expr": "width < 480 ? 110 : 260"}, "ticks": False, "domain": False, "labelColor": "var(--ink)"},
        "scale": {"paddingInner": 0.2, "paddingOuter": 0.1},
    }
    layer: Spec = {
        "mark": {"type": "rect", "cornerRadius": 2, "tooltip": {"content": "data"}},
        "encoding": {"color": {"field": "severity", "type": "nominal", "legend": None, "scale": severity}},
    }
    sign: Spec = {
        "mark": {
            "type": "text",
            "fontWeight": "bold",
            "fontSize": {"expr": f"min(11, width / {len(nights) or 1})"},
            "color": "var(--card)",
            "tooltip": {"content": "data"},
        },
        "encoding": {"text": {"field": "sign", "type": "nominal"}},
    }
    return layered([layer, sign], height={"step": 24, "of": "whose"}, params={}, encoding={"x": x, "y": y})
