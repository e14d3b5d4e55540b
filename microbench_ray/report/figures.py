"""The figures: one per panel, and one for each variable that differs between panels. Differences and MDADs are in points."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.extras import require_extra
from microbench_ray.core.shown import escape_controls, escape_lines
from microbench_ray.core.storage.folders import file_name
from microbench_ray.report.answer import MONOTONE
from microbench_ray.report.axes import draw_curves, draw_mdad, draw_unreliable, mark_unbounded
from microbench_ray.report.highlight import Highlight, highlight
from microbench_ray.report.spending_figure import spending_figures
from microbench_ray.report.terminal import PANEL, items_text, panel_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from microbench_ray.report.axes import Style

MAX_FIGURES = 12
"""Figures of one kind."""
MAX_CURVES = 3
MAX_FACETS = 4
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6C3BAA", "#7F7F7F", "#000000", "#8C510A")
GREY = "#B3B9C2"
MARKERS = "osD^vPX<>*"
LINES = ("-", "--", ":")
INTERVALS = "Bars, and bands where few methods are shown: intervals"
NOT_DRAWN = "arrow: unbounded. A point is missing where agreement never reaches the threshold, so that no pair is reliable."


def draw_figures(
    tables: Mapping[str, pa.Table],
    write: Callable[[str, bytes], object],
    *,
    benchmarks: Collection[str] = (),
    note: str | None = None,
) -> list[str]:
    """Draw the figures of a sweep.

    Each panel (benchmark, targets, n_source) has one: agreement against difference, and MDAD and the share of unreliable pairs
    against size. Others compare the MDAD by benchmark, subtask, n_source and threshold, where these vary, and show
    what a verdict costs for sweeps with verdicts or costs.

    Parameters
    ----------
    tables
        The reduced tables `agreement`, `mdad` and `summary`, and `verdicts` and `stopping` if there are any. With several
        thresholds, all figures but the one that compares them show the threshold of the summary.
    write
        Called with the name and the content of each file, `NAME.png` and `NAME.svg`. At most 12 figures of a kind are drawn.
    benchmarks
        Names of the benchmarks: `name/subtask` in the tables is then a subtask of `name`.
    note
        A caption for all figures, such as a caveat about the data.

    Returns
    -------
    list of str
        The names of the PNG files.

    Raises
    ------
    ConfigError
        The extra `report` is not installed.
    """
    require_extra("report", "Drawing figures")
    curves, mdad, summary = (_shown(tables[name].to_pandas()) for name in ("agreement", "mdad", "summary"))
    benchmarks = [escape_controls(name) for name in benchmarks]
    drawn: list[str] = []
    if not len(mdad):
        return drawn
    shown = highlight(tables, list(dict.fromkeys(tables["mdad"]["method"].to_pylist())))
    style = _styles(shown)
    marks = f"{shown.reason} {INTERVALS} over {' or '.join(sorted(set(mdad['ci'])))}; {NOT_DRAWN}".strip()
    at = summary["threshold"].iloc[0]
    spending = ((_joined(*key, "cost"), each) for key, each in spending_figures(tables, style, at, _figure, _legend))
    for name, figure in chain(_figures(curves, mdad, summary, benchmarks, style), islice(spending, MAX_FIGURES)):
        line_length = int(16 * figure.get_figwidth())
        caption = "\n".join([*textwrap.wrap(marks, line_length), *textwrap.wrap(escape_lines(note or ""), line_length)])
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color="0.3", parse_math=False)
        stem = file_name(name, "-")
        file = f"{stem}.png" if f"{stem}.png" not in drawn else f"{stem}_{len(drawn)}.png"
        write(file, _png(figure))
        write(f"{file.removesuffix('.png')}.svg", _svg(figure))
        drawn.append(file)
    return drawn


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table with names as they are shown: control characters are not allowed in an SVG."""
    return table.assign(**{name: table[name].map(escape_controls) for name in ("benchmark", "method", "targets")})


def _png(figure: Figure) -> bytes:
    """The figure as PNG in 128 colours, a third of the bytes of full colour."""
    from PIL import Image

    pixels, png = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, dpi=120)
    with Image.open(pixels) as image:
        image.convert("RGB").quantize(128).save(png, "PNG", optimize=True)
    return png.getvalue()


def _svg(figure: Figure) -> bytes:
    """The figure as SVG, in the layout of its PNG; equal figures give equal bytes."""
    from matplotlib import rc_context

    svg = io.BytesIO()
    figure.set_layout_engine("none")  # keeps the layout
    figure.set_layout_engine(None)  # spares a second drawing, which would only find the layout again
    with rc_context({"svg.hashsalt": "microbench"}):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return svg.getvalue()


def _figures(
    curves: pd.DataFrame, mdad: pd.DataFrame, summary: pd.DataFrame, benchmarks: Collection[str], style: Style
) -> Iterator[tuple[str, Figure]]:
    """Names and figures; those that compare panels come first."""
    threshold = summary["threshold"].iloc[0]
    at_first, at = mdad[mdad["threshold"] == threshold], f"MDAD at agreement {threshold:g}"
    benchmark_of = _benchmarks_of(mdad, benchmarks)
    setting = ["targets", "unseen", "n_source"]
    for key, rows in _varying(at_first[benchmark_of[at_first.index] == at_first["benchmark"]], setting, "benchmark"):
        yield _joined("benchmarks", *key), _facets(rows, "benchmark", "budget", style, f"{at}{_sources(key[-1])}")
    for key, rows in _varying(at_first.assign(whole=benchmark_of), ["whole", *setting], "benchmark"):
        title = f"{key[0]}: {at}, by subtask{_sources(key[-1])}"
        yield _joined(key[0], "subtasks", *key[1:]), _dots(rows, key[0], style, title)
    without_sources = [name for name in PANEL if name != "n_source"]
    for key, rows in _varying(at_first[at_first["n_source"] > 0], without_sources, "n_source"):
        title = f"{panel_title((*key, 0))}, {at}"
        yield _joined(*key, "n_source"), _facets(rows, "size", "n_source", style, title)
    for key, rows in _varying(mdad, PANEL, "threshold"):
        yield _joined(*key, "thresholds"), _facets(rows, "threshold", "budget", style, panel_title(key))
    for key, rows in list(at_first.groupby(PANEL, sort=True))[:MAX_FIGURES]:
        in_curves, in_summary = ((table[PANEL] == list(key)).all(axis=1) for table in (curves, summary))
        yield _joined(*key), _panel(key, curves[in_curves], rows, summary[in_summary], style)


def _benchmarks_of(mdad: pd.DataFrame, benchmarks: Collection[str]) -> pd.Series:
    """The benchmark of each row, without its subtask."""
    names = sorted(benchmarks, key=len, reverse=True)

    def name(label: str) -> str:
        return label if label in benchmarks else next((each for each in names if label.startswith(f"{each}/")), label)

    return mdad["benchmark"].map({label: name(label) for label in mdad["benchmark"].unique()})


def _varying(mdad: pd.DataFrame, key: list[str], varies: str) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The keys and rows of the groups in which a column varies."""
    groups = [(tuple(values), rows) for values, rows in mdad.groupby(key, sort=True) if len(rows[varies].unique()) > 1]
    return groups[:MAX_FIGURES]


def _styles(shown: Highlight) -> Style:
    """A colour, marker and line style for each method; those that are not highlighted are grey and behind the others."""
    return {escape_controls(method): _line(k, coloured=method in shown.coloured) for k, method in enumerate(shown.methods)}


def method_styles(methods: Iterable[str]) -> Style:
    """A colour, marker and line style for each method."""
    return {method: _line(k, coloured=True) for k, method in enumerate(dict.fromkeys(methods))}


def _line(place: int, *, coloured: bool) -> dict[str, Any]:
    return {
        "color": COLOURS[place % 10] if coloured else GREY,
        "marker": MARKERS[place % 10],
        "ls": LINES[place // 10 % 3],
        "zorder": 3 if coloured else 2,
    }


def _figure(width: float, height: float, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, parse_math=False)
    return figure


def _legend(figure: Figure | SubFigure, axes: Iterable[Axes], *, width: float) -> None:
    handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    handles = dict(sorted(handles.items(), key=lambda item: -item[1].get_zorder()))
    columns = max(1, min(len(handles), int(8.5 * width / (4 + max(map(len, handles), default=0)))))
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3
    )


def _panel(panel: tuple[Any, ...], curves: pd.DataFrame, mdad: pd.DataFrame, summary: pd.DataFrame, style: Style) -> Figure:
    """Agreement against difference at up to three sizes; below, MDAD on both halves and the share of unreliable pairs."""
    threshold = mdad["threshold"].iloc[0]
    style = {method: line for method, line in style.items() if method in set(mdad["method"])}
    sizes = _spread(sorted(curves["size"].unique()), MAX_CURVES)
    splits = [split for split in ("seen", "unseen") if split in set(mdad["split"])]
    figure = _figure(12.5, 7.6, panel_title(panel))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05), squeeze=False)[:, 0]
    axes = np.atleast_1d(top.subplots(1, len(sizes), sharey=True))
    for axis, size in zip(axes, sizes, strict=True):
        in_curves, in_mdad = ((rows["size"] == size) & (rows["split"] == "seen") for rows in (curves, mdad))
        draw_curves(axis, curves[in_curves], mdad[in_mdad], style, threshold)
        axis.set_title(f"{size:,} items, {items_text('seen', panel)}", fontsize=10)
    axes[0].set_ylabel("agreement")
    axes = np.atleast_1d(bottom.subplots(1, len(splits) + 1))
    for axis in axes[1 : len(splits)]:
        axis.sharey(axes[0])
    for axis, split in zip(axes, splits, strict=False):
        draw_mdad(axis, mdad[mdad["split"] == split], "size", style)
        axis.set_title(f"MDAD at agreement {threshold:g}, {items_text(split, panel)}", fontsize=10)
    axes[0].set_ylabel("MDAD (points)")
    axes[0].set_ylim(bottom=0)
    draw_unreliable(axes[-1], summary[summary["split"] == "seen"], style)
    axes[-1].set_title(f"Unreliable pairs, {items_text('seen', panel)}", fontsize=10)
    axes[-1].set_ylabel("closer than the MDAD (%)")
    _legend(bottom, axes, width=12.5)
    return figure


def _facets(mdad: pd.DataFrame, by: str, x: str, style: Style, title: str) -> Figure:
    """MDAD against `x`: one column per value of `by`, one row per half of the items."""
    mdad, label = _with_budget(mdad)
    by = "budget" if by == "size" else by
    values = _spread(sorted(mdad[by].unique()), MAX_FACETS)
    splits = [split for split in ("seen", "unseen") if split in set(mdad["split"])]
    width = max(7.0, 3.4 * len(values))
    figure = _figure(width, 0.9 + 3.1 * len(splits), title)
    inner = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    grid = inner.subplots(len(splits), len(values), squeeze=False, sharey=False if by == "budget" else "row")
    for row, split in zip(grid, splits, strict=True):
        for axis, value in zip(row, values, strict=True):
            rows = mdad[(mdad["split"] == split) & (mdad[by] == value)]
            if not len(rows):
                axis.set_axis_off()
                continue
            draw_mdad(axis, rows, x, style)
            axis.set_title(
                f"{_value(by, value, label)}, {items_text(split, tuple(rows[PANEL].iloc[0]))}", fontsize=10, parse_math=False
            )
            axis.set_xlabel("source models" if x == "n_source" else label)
        for axis in row:
            axis.set_ylim(bottom=0)
        row[0].set_ylabel("MDAD (points)")
    _legend(inner, grid.flat, width=width)
    return figure


def _dots(mdad: pd.DataFrame, whole: str, style: Style, title: str) -> Figure:
    """MDAD per subtask on the seen half: one column per size; subtasks are sorted by the first method's MDAD at the last size."""
    mdad, label = _with_budget(mdad[mdad["split"] == "seen"])
    sizes = _spread(sorted(mdad["budget"].unique()), MAX_CURVES)
    last = mdad[(mdad["budget"] == sizes[-1]) & (mdad["method"] == mdad["method"].iloc[0])]
    order = list(last.sort_values(MONOTONE[0], na_position="last", ascending=False)["benchmark"])
    place = {name: k for k, name in enumerate([*order, *sorted(set(mdad["benchmark"]) - set(order))])}
    methods = list(dict.fromkeys(mdad["method"]))
    figure = _figure(12.0, 1.8 + 0.3 * len(place) * max(1.0, len(methods) / 5), title)
    inner = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    axes = inner.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axis, size in zip(axes, sizes, strict=True):
        for k, method in enumerate(methods):
            rows = mdad[(mdad["budget"] == size) & (mdad["method"] == method)]
            y = rows["benchmark"].map(place).astype(float) + 0.7 * ((k + 0.5) / len(methods) - 0.5)
            value, low, high = (100 * rows[column].astype(float) for column in MONOTONE)
            line = style[method]
            axis.plot(value, y, ls="", marker=line["marker"], color=line["color"], zorder=line["zorder"], ms=4.5, label=method)
            axis.hlines(y, low.fillna(value), high.fillna(value), color=line["color"], zorder=line["zorder"], lw=1)
            mark_unbounded(axis, value + 1, y, value.notna() & high.isna(), r"$\rightarrow$", line["color"])
        axis.set_title(_value("budget", size, label), fontsize=10)
        axis.set_xlabel("MDAD on the seen half (points)")
        axis.set_xlim(left=0)
        axis.grid(alpha=0.25)
    axes[0].set_yticks(range(len(place)), [name.removeprefix(f"{whole}/") for name in place], fontsize=9, parse_math=False)
    axes[0].set_ylim(len(place) - 0.5, -0.5)
    _legend(inner, axes, width=12.0)
    return figure


def _with_budget(mdad: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows with a column `budget` and its label: the size, or the percentage of the items where all rows have a fraction."""
    if mdad["fraction"].notna().all():
        return mdad.assign(budget=(100 * mdad["fraction"].astype(float)).round(6)), "items selected (%)"
    return mdad.assign(budget=mdad["size"]), "items selected"


def _value(by: str, value: Any, label: str) -> str:
    if by == "budget":
        return f"{value:g} % of the items" if label.endswith("(%)") else f"{value:,} items"
    return f"agreement {value:g}" if by == "threshold" else str(value)


def _sources(n_source: int) -> str:
    return f", {n_source:,} source models" if n_source else ""


def _spread(values: list[Any], count: int) -> list[Any]:
    """At most `count` values at equal distances, including the first and the last."""
    if len(values) <= count:
        return values
    return [values[k] for k in np.linspace(0, len(values) - 1, count).round().astype(int)]


def _joined(*parts: Any) -> str:
    return "_".join(str(part) for part in parts)
