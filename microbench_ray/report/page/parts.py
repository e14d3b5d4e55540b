"""Parts of all sections with charts: columns of data, selectors, a legend, and the figure into which script.js draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from microbench_ray.report.highlight import Highlight
from microbench_ray.report.page.text import Html, join, script_json, tag

N_COLOURS = 10
SHAPES = (
    "M-.9,0A.9,.9,0,1,1,.9,0A.9,.9,0,1,1,-.9,0Z",
    "M-.8,-.8H.8V.8H-.8Z",
    "M0,-1.15L1.05,.75H-1.05Z",
    "M0,-1.15L.95,0L0,1.15L-.95,0Z",
    "M0,1.15L1.05,-.75H-1.05Z",
    "M-.95,-.33H-.33V-.95H.33V-.33H.95V.33H.33V.95H-.33V.33H-.95Z",
    "M0,-1.1L.3,-.35L1.1,-.3L.5,.2L.7,1L0,.55L-.7,1L-.5,.2L-1.1,-.3L-.3,-.35Z",
)
"""Marks that differ without colour, as paths around the origin, for the legend and the charts."""
DASHES = ([1, 0], [6, 3], [2, 2])


@dataclass(frozen=True)
class Column:
    """A column of a chart's tooltip and table.

    `kind` is `text`, `number` or `interval`; an interval has its ends in the columns `lo` and `hi`, which may be null. `unit`
    follows the number; `@NAME` reads it from the column NAME.
    """

    field: str
    title: str
    kind: str = "text"
    digits: int = 1
    unit: str = ""
    missing: str = "–"
    lo: str = "lo"
    hi: str = "hi"


@dataclass(frozen=True)
class Chart:
    """A figure. `specs` are Vega-Lite specifications without data, by the value of the selector `view` (`""` for a single one)."""

    name: str
    title: str
    about: str
    specs: Mapping[str, Mapping[str, Any]]
    rows: pd.DataFrame
    columns: Sequence[Column]
    described: str
    with_table: bool = True

    def html(self) -> Html:
        """The figure with its caption, its table of values, and its specifications and data as JSON."""
        content = {
            "name": self.name,
            "specs": self.specs,
            "rows": encoded(self.rows),
            "columns": [vars(column) for column in self.columns],
        }
        values = tag(
            "details", tag("summary", "Values of this chart"), tag("div", class_="scroll values", tabindex="0"), class_="table"
        )
        return tag(
            "figure",
            tag("figcaption", tag("h3", self.title), tag("p", self.about) if self.about else None),
            tag("div", class_="plot", role="img", aria_label=self.described),
            tag("p", "No data for this selection.", class_="empty", hidden=True),
            values if self.with_table else None,
            tag("script", script_json(content), type="application/json"),
            class_="chart",
            id=f"chart-{self.name}",
            data_chart=self.name,
        )


def encoded(rows: pd.DataFrame) -> dict[str, Any]:
    """Columns as lists: texts as positions in a list of distinct texts, numbers rounded to five digits."""
    columns: dict[str, Any] = {}
    for name, column in rows.items():
        if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
            codes, texts = pd.factorize(column.astype(str))
            columns[str(name)] = {"texts": list(texts), "at": codes.tolist()}
        elif column.dtype == bool:
            columns[str(name)] = column.astype(int).tolist()
        else:
            columns[str(name)] = [None if pd.isna(value) else _short(value) for value in column.tolist()]
    return columns


def _short(value: float) -> float | int:
    rounded = float(f"{value:.5g}") if isinstance(value, float) else value
    return int(rounded) if rounded == int(rounded) else rounded


def choice(column: str, label: str, options: Sequence[tuple[str, str]], chosen: str | None = None) -> Html:
    """A selector with `(value, text)` options, hidden where there is only one."""
    first = chosen if chosen is not None else options[0][0]
    items = (tag("option", text, value=value, selected=value == first) for value, text in options)
    select = tag("select", *items, data_column=column, data_default=first)
    return tag("label", tag("span", label), select, class_="choice", hidden=len(options) < 2)


def choices(*selectors: Html | None) -> Html:
    """Selectors in a row."""
    return tag("div", *selectors, class_="choices", role="group", aria_label="Chart options")


def options_of(rows: pd.DataFrame, column: str, text: str | None = None) -> list[tuple[str, str]]:
    """The values of a column in order of appearance, each with its text (from another column, if named)."""
    options = rows.drop_duplicates(column)
    return [(plain(value), str(label)) for value, label in zip(options[column], options[text or column], strict=True)]


def plain(value: object) -> str:
    """A value as JavaScript writes it: 100, not 100.0."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def colour(k: int) -> str:
    """The colour of the k-th method, as a variable of style.css that depends on the theme."""
    return f"var(--series-{k % N_COLOURS + 1})"


def method_scales(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colours, shapes and dashes of the methods, as Vega-Lite scales."""
    domain = list(methods)
    ranges = {
        "color": [colour(k) for k in range(len(domain))],
        "shape": [SHAPES[k % len(SHAPES)] for k in range(len(domain))],
        "dash": [DASHES[k // N_COLOURS % len(DASHES)] for k in range(len(domain))],
    }
    return {name: {"domain": domain, "range": values} for name, values in ranges.items()}


def legend(shown: Highlight, label: str = "Methods") -> Html:
    """Buttons that isolate methods, each with its mark; grey for those that are not highlighted."""
    buttons = []
    for k, method in enumerate(shown.methods):
        mark = Html(f'<svg viewBox="-1.4 -1.4 2.8 2.8" aria-hidden="true"><path d="{SHAPES[k % len(SHAPES)]}"/></svg>')
        buttons.append(
            tag(
                "button",
                mark,
                tag("span", method),
                type="button",
                class_="other" if method in shown.grey else None,
                aria_pressed="false",
                data_method=method,
                style=f"--own:{colour(k)}",
            )
        )
    show_all = tag("button", "Show all", type="button", class_="everything", hidden=True)
    advice = f"{shown.reason} Click a method to choose it." if shown.grey else "click a method to isolate it"
    hint = tag("span", advice, class_="hint") if len(buttons) > 1 else None
    return tag("div", *buttons, show_all, hint, class_="legend", role="group", aria_label=label)


def section(name: str, title: str, *content: object) -> Html:
    """A section of the page with a heading."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, join(*content), id=name, aria_labelledby=f"{name}-title")


def notes(texts: Sequence[str]) -> Html | None:
    """Notes on what is not shown; None without any."""
    return tag("div", *(tag("p", text) for text in texts), class_="note") if texts else None
