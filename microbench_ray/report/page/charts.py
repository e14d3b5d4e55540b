"""The charts as Vega-Lite specifications: plain dictionaries, to which script.js adds the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from microbench_ray.report.highlight import Highlight
from microbench_ray.report.page.parts import method_scales

Spec = dict[str, Any]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SHOWN = "!length(isolated) || indexof(isolated, datum.method) >= 0"
"""Vega expression: the method of a row is not dimmed by the legend."""
MAX_BANDS = 4
"""Bands are drawn for at most so many methods; more would hide each other."""

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


def layered(layers: Sequence[Spec], *, height: Any, params: Mapping[str, Any], encoding: Spec, data: str = "rows") -> Spec:
    """A chart as wide as its container. `height` is in pixels, or `{"step": PIXELS, "of": COLUMN}` per value of a column."""
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


def nearest(transform: Sequence[Spec], mark: Spec, encoding: Spec, *, by: Sequence[str] = ("x", "y")) -> Spec:
    """Marks of which only the one nearest to the pointer is shown, with its tooltip."""
    select = {"type": "point", "on": "pointerover", "nearest": True, "encodings": list(by), "clear": "pointerout", "toggle": False}
    return {
        "params": [{"name": "hover", "select": select}],
        "transform": list(transform),
        "mark": {"type": "point", "filled": True, "tooltip": {"content": "data"}, **mark},
        "encoding": {"opacity": {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}, **encoding},
    }


def quantity(field: str, title: str | None, **more: Any) -> Spec:
    """A column on a continuous scale; layers that share an axis give it the same title."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def method_colour(shown: Highlight) -> Spec:
    """The colour of a method's marks: grey for those that are not highlighted, until they are chosen."""
    in_colour = f"indexof({json.dumps(shown.coloured)}, datum.method) >= 0 || indexof(isolated, datum.method) >= 0"
    own = {"field": "method", "type": "nominal", "scale": method_scales(shown.methods)["color"], "legend": None}
    return {"condition": {"test": in_colour, **own}, "value": "var(--other)"} if shown.grey else own


def agreement(shown: Highlight) -> Spec:
    """Agreement against the true difference: a line per method, bands for few methods, a rule at the threshold."""
    methods = shown.methods
    scales, colour = method_scales(methods), method_colour(shown)
    dash = {"field": "method", "type": "nominal", "scale": scales["dash"], "legend": None}
    x = quantity(
        "difference",
        "difference of two models (points)",
        axis={"grid": False, "tickCount": 7},
        scale={"nice": False, "zero": True},
    )
    y = quantity("value", "agreement (%)", scale={"zero": False, "nice": True}, axis={"tickCount": 6})
    bands = f"(length(isolated) || {len(methods)}) <= {MAX_BANDS} && ({SHOWN})"
    layers: list[Spec] = [
        {
            "transform": [{"filter": bands}],
            "mark": {"type": "area", "opacity": 0.16, "interpolate": "linear"},
            "encoding": {"y": quantity("lo", "agreement (%)"), "y2": {"field": "hi"}, "color": colour},
        },
        {
            "mark": {"type": "rule", "strokeDash": [3, 3], "color": "var(--muted)"},
            "encoding": {"x": None, "y": {"datum": {"expr": "100 * threshold"}, "type": "quantitative", "title": "agreement (%)"}},
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
        nearest([{"filter": SHOWN}], {"size": 90, "stroke": "var(--card)", "strokeWidth": 2}, {"y": y, "color": colour}),
    ]
    return layered(layers, height=300, params={"isolated": [], "threshold": 0.8}, encoding={"x": x})


def mdad(shown: Highlight, x_title: str, height: int = 300) -> Spec:
    """MDAD against size: intervals, an arrow where one is unbounded, a cross where the threshold is never reached."""
    scales, colour = method_scales(shown.methods), method_colour(shown)
    shape = {"field": "method", "type": "nominal", "scale": scales["shape"], "legend": None}
    dash = {"field": "method", "type": "nominal", "scale": scales["dash"], "legend": None}
    axis = {"values": {"expr": "ticks"}, "grid": False, "format": ",", "labelOverlap": "greedy", "labelSeparation": 6}
    x = quantity("x", x_title, scale={"type": "log", "nice": False, "padding": 16}, axis=axis)
    y = quantity("y", "MDAD (points)", scale={"zero": True, "nice": True}, axis={"tickCount": 6})
    dimmed = {"opacity": {"condition": {"test": SHOWN, "value": 1}, "value": 0.12}}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {"y": quantity("lo_y", "MDAD (points)"), "y2": {"field": "hi_y"}, "color": colour, **dimmed},
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
            "encoding": {"y": quantity("hi_y", "MDAD (points)"), "color": colour, **dimmed},
        },
        {
            "transform": [{"filter": "!datum.reached"}],
            "mark": {"type": "text", "text": "×", "fontSize": 18, "fontWeight": "bold"},
            "encoding": {"y": y, "color": colour, **dimmed},
        },
        nearest(
            [{"filter": SHOWN}],
            {"size": 180, "filled": False, "strokeWidth": 2, "fill": None},
            {"y": y, "stroke": colour},
        ),
    ]
    return layered(layers, height=height, params={"isolated": [], "ticks": []}, encoding={"x": x})
