"""The charts as Vega-Lite specifications: plain dictionaries without data, which script.js gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from microbench_ray.page.parts import method_scales

Spec = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SHOWN = "!length(isolated) || indexof(isolated, datum.method) >= 0"
"""A row's method is not hidden by the legend."""
MOST_BANDS = 4
"""More methods than these would hide one another's."""

CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--grid)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelPadding": 5,
        "gridWidth": 1,
    },
}


def _spec(layers: Sequence[Spec], *, height: Any, params: Mapping[str, Any], encoding: Spec, data: str = "rows") -> Spec:
    """`height` is a number, or `{"step": …, "of": COLUMN}`: so much for every value of the column."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"name": data},
        "params": [{"name": name, "value": value} for name, value in params.items()],
        "encoding": encoding,
        "layer": list(layers),
        "config": CONFIG,
    }


def _hover(transform: Sequence[Spec], mark: Spec, encoding: Spec, *, by: Sequence[str] = ("x", "y")) -> Spec:
    """Marks that the nearest of which is shown, with its tooltip, wherever the pointer is."""
    select = {"type": "point", "on": "pointerover", "nearest": True, "encodings": list(by), "clear": "pointerout", "toggle": False}
    return {
        "params": [{"name": "hover", "select": select}],
        "transform": list(transform),
        "mark": {"type": "point", "filled": True, "tooltip": {"content": "data"}, **mark},
        "encoding": {"opacity": {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}, **encoding},
    }


def _quantity(field: str, title: str | None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, **more}


def agreement(methods: Sequence[str]) -> Spec:
    """Agreement against the true difference: a line per method, bands of few, a rule at the threshold."""
    scales = method_scales(methods)
    colour = {"field": "method", "type": "nominal", "scale": scales["color"], "legend": None}
    dash = {"field": "method", "type": "nominal", "scale": scales["dash"], "legend": None}
    x = _quantity(
        "difference",
        "difference on the whole set of items (points)",
        axis={"grid": False, "tickCount": 7},
        scale={"nice": False, "zero": True},
    )
    y = _quantity("value", "agreement (%)", scale={"zero": False, "nice": True}, axis={"tickCount": 6})
    bands = f"(length(isolated) || {len(methods)}) <= {MOST_BANDS} && ({SHOWN})"
    layers: list[Spec] = [
        {
            "transform": [{"filter": bands}],
            "mark": {"type": "area", "opacity": 0.16, "interpolate": "linear"},
            "encoding": {"y": _quantity("lo", None), "y2": {"field": "hi"}, "color": colour},
        },
        {
            "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--muted)"},
            "encoding": {"x": None, "y": {"datum": {"expr": "100 * threshold"}, "type": "quantitative"}},
        },
        {
            "mark": {"type": "line", "strokeWidth": 2, "strokeJoin": "round"},
            "encoding": {
                "y": y,
                "color": colour,
                "strokeDash": dash,
                "opacity": {"condition": {"test": SHOWN, "value": 1}, "value": 0.12},
            },
        },
        _hover([{"filter": SHOWN}], {"size": 90, "stroke": "var(--card)", "strokeWidth": 2}, {"y": y, "color": colour}),
    ]
    return _spec(layers, height=300, params={"isolated": [], "threshold": 0.8}, encoding={"x": x})


def mdad(methods: Sequence[str], x_title: str) -> Spec:
    """MDAD against size: intervals, an arrow where one is unbounded, a cross at the top where agreement is never reached."""
    scales = method_scales(methods)
    colour = {"field": "method", "type": "nominal", "scale": scales["color"], "legend": None}
    shape = {"field": "method", "type": "nominal", "scale": scales["shape"], "legend": None}
    dash = {"field": "method", "type": "nominal", "scale": scales["dash"], "legend": None}
    axis = {"values": {"expr": "ticks"}, "grid": False, "format": ",", "labelOverlap": "greedy", "labelSeparation": 6}
    x = _quantity("x", x_title, scale={"type": "log", "nice": False, "padding": 16}, axis=axis)
    y = _quantity("y", "MDAD (points)", scale={"zero": True, "nice": True}, axis={"tickCount": 6})
    dimmed = {"opacity": {"condition": {"test": SHOWN, "value": 1}, "value": 0.12}}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"y": _quantity("lo_y", None), "y2": {"field": "hi_y"}, "color": colour, **dimmed},
        },
        {
            "transform": [{"filter": "datum.reached"}],
            "mark": {"type": "line", "strokeWidth": 1.5},
            "encoding": {"y": y, "color": colour, "strokeDash": dash, **dimmed},
        },
        {
            "transform": [{"filter": "datum.reached"}],
            "mark": {"type": "point", "filled": True, "size": 90},
            "encoding": {"y": y, "color": colour, "shape": shape, **dimmed},
        },
        {
            "transform": [{"filter": "datum.unbounded"}],
            "mark": {"type": "point", "filled": True, "shape": "triangle-up", "size": 50, "yOffset": 1},
            "encoding": {"y": _quantity("hi_y", None), "color": colour, **dimmed},
        },
        {
            "transform": [{"filter": "!datum.reached"}],
            "mark": {"type": "text", "text": "×", "fontSize": 18, "fontWeight": "bold"},
            "encoding": {"y": y, "color": colour, **dimmed},
        },
        _hover(
            [{"filter": SHOWN}],
            {"size": 180, "filled": False, "strokeWidth": 2, "fill": None},
            {"y": y, "stroke": colour},
        ),
    ]
    return _spec(layers, height=300, params={"isolated": [], "ticks": []}, encoding={"x": x})


def ranks(*, named: bool) -> Spec:
    """The ranks that a list leaves open, models downwards: with their names, or as one narrow line each."""
    x = _quantity(
        "rank_hi", "rank on the whole benchmark", scale={"nice": False, "zero": False, "padding": 8}, axis={"orient": "top"}
    )
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
        y = _quantity(
            "order",
            "position on the leaderboard",
            scale={"reverse": True, "nice": False, "zero": False, "padding": 4},
            axis={"grid": False},
        )
        stripe_y = {"y": _quantity("order_lo", None, scale=y["scale"]), "y2": {"field": "order_hi"}}
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
            "encoding": {"x": _quantity("rank_lo", None), "x2": {"field": "rank_hi"}, "y": y},
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
            "encoding": {"x": _quantity("estimate_rank", None), "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": size, "color": "var(--ink)", "tooltip": {"content": "data"}},
            "encoding": {"x": _quantity("rank", None), "y": y},
        },
    ]
    return _spec(layers, height=height, params={}, encoding={"x": x})


def drift(y_title: Any = None) -> Spec:
    """A metric over nights: its run-to-run bounds as a band, its interval, the baseline, and the alarms."""
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
    y = _quantity("value", y_title, scale={"zero": False, "nice": True, "padding": 12}, axis={"tickCount": 6, "title": None})
    severity = {"domain": ["none", "note", "warn", "fail"]}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.bound_lo) && isValid(datum.bound_hi)"}],
            "mark": {"type": "bar", "color": "var(--band)", "width": {"band": 1}, "cornerRadius": 0},
            "encoding": {"y": _quantity("bound_lo", None), "y2": {"field": "bound_hi"}},
        },
        {
            "transform": [{"filter": "isValid(datum.reference)"}],
            "mark": {"type": "tick", "orient": "horizontal", "color": "var(--muted)", "thickness": 1.5, "width": {"band": 0.9}},
            "encoding": {"y": _quantity("reference", None)},
        },
        {
            "transform": [{"filter": "isValid(datum.lo)"}],
            "mark": {"type": "rule", "strokeWidth": 1.5, "color": "var(--series-1)", "opacity": 0.55},
            "encoding": {"y": _quantity("lo", None), "y2": {"field": "hi_y"}},
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
                    "field": "severity",
                    "type": "ordinal",
                    "legend": None,
                    "scale": severity | {"range": [45, 45, 150, 190]},
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
        _hover(
            [{"filter": "isValid(datum.value)"}],
            {"size": 220, "filled": False, "strokeWidth": 2, "fill": None, "stroke": "var(--ink)"},
            {"y": y},
            by=["x"],
        ),
    ]
    return _spec(layers, height=280, params={}, encoding={"x": x})


def alarms(nights: Sequence[str]) -> Spec:
    """The nights on which something was found, by what it is about."""
    severity = {"domain": ["note", "warn", "fail"], "range": ["var(--band)", "var(--attention)", "var(--violated)"]}
    x = {
        "field": "night",
        "type": "ordinal",
        "sort": None,
        "axis": {"labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 10, "title": None, "ticks": False, "domain": False},
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
        "mark": {"type": "text", "fontWeight": "bold", "fontSize": 11, "color": "var(--card)", "tooltip": {"content": "data"}},
        "encoding": {"text": {"field": "sign", "type": "nominal"}},
    }
    return _spec([layer, sign], height={"step": 24, "of": "whose"}, params={}, encoding={"x": x, "y": y})
