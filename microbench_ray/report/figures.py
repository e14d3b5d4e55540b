"""The figures: one per panel, and one per thing that varies between panels. Differences and MDADs are in points throughout."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.storage.folders import file_name
from microbench_ray.report.axes import draw_curves, draw_mdad, draw_untrusted, mark_unbounded
from microbench_ray.report.terminal import MONOTONE, PANEL, items_text, panel_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from microbench_ray.report.axes import Style

MAX_FIGURES = 12
"""Of one kind."""
MAX_CURVES = 3
MAX_FACETS = 4
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6C3BAA", "#7F7F7F", "#000000", "#8C510A")
MARKERS = "osD^vPX<>*"
LINES = ("-", "--", ":")
INTERVALS = "Bars, and bands where few methods are shown: intervals"
NOT_DRAWN = "an arrow: unbounded. No point where agreement does not reach the threshold: then no pair can be trusted."


def draw_figures(
    tables: Mapping[str, pa.Table],
    write: Callable[[str, bytes], object],
    *,
    benchmarks: Collection[str] = (),
    note: str | None = None,
) -> list[str]:
    """Draw what the tables hold.

    Always, per panel (benchmark, targets, n_source): agreement against difference; MDAD and the share of pairs that cannot be
    trusted against size. Where they vary, also MDAD by benchmark, by subtask, by n_source and by threshold.

    Parameters
    ----------
    tables
        The reduced tables `agreement`, `mdad` and `summary`. Of several thresholds the summary's is drawn, but for the figure that
        compares them.
    write
        Is given the name and the bytes of every file, `NAME.png` and `NAME.svg`. At most 12 figures of a kind are drawn.
    benchmarks
        Names of the benchmarks: `name/subtask` in the tables is then a subtask of `name`.
    note
        A text under every figure: what must be known of the data.

    Returns
    -------
    list of str
        The names of the PNG files.
    """
    curves, found, shares = (tables[name].to_pandas() for name in ("agreement", "mdad", "summary"))
    drawn: list[str] = []
    if not len(found):
        return drawn
    explained = f"{INTERVALS} over {' or '.join(sorted(set(found['ci'])))}; {NOT_DRAWN}"
    for name, figure in _figures(curves, found, shares, benchmarks):
        letters = int(16 * figure.get_figwidth())
        caption = "\n".join([*textwrap.wrap(explained, letters), *textwrap.wrap(note or "", letters)])
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color="0.3", parse_math=False)
        part = file_name(name, "-")
        file = f"{part}.png" if f"{part}.png" not in drawn else f"{part}_{len(drawn)}.png"
        write(file, _png(figure))
        write(f"{file.removesuffix('.png')}.svg", _svg(figure))
        drawn.append(file)
    return drawn


def _png(figure: Figure) -> bytes:
    """A figure in 128 colours, which is a third of the bytes."""
    from PIL import Image

    pixels, made = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, dpi=120)
    with Image.open(pixels) as image:
        image.convert("RGB").quantize(128).save(made, "PNG", optimize=True)
    return made.getvalue()


def _svg(figure: Figure) -> bytes:
    """The figure as it was laid out for its PNG; the same bytes for the same figure."""
    from matplotlib import rc_context

    made = io.BytesIO()
    figure.set_layout_engine("none")
    with rc_context({"svg.hashsalt": "microbench"}):
        figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None})
    return made.getvalue()


def _figures(
    curves: pd.DataFrame, found: pd.DataFrame, shares: pd.DataFrame, benchmarks: Collection[str]
) -> Iterator[tuple[str, Figure]]:
    """Names and figures, those that compare panels first."""
    style, threshold = _styles(found["method"]), shares["threshold"].iloc[0]
    at_first, at = found[found["threshold"] == threshold], f"MDAD at agreement {threshold:g}"
    whole = _whole(found, benchmarks)
    among = ["targets", "unseen", "n_source"]
    for key, rows in _some(at_first[whole[at_first.index] == at_first["benchmark"]], among, "benchmark"):
        yield _joined("benchmarks", *key), _facets(rows, "benchmark", "budget", style, f"{at}{_sources(key[-1])}")
    for key, rows in _some(at_first.assign(whole=whole), ["whole", *among], "benchmark"):
        title = f"{key[0]}: {at}, every subtask by itself{_sources(key[-1])}"
        yield _joined(key[0], "subtasks", *key[1:]), _dots(rows, key[0], style, title)
    without_sources = [name for name in PANEL if name != "n_source"]
    for key, rows in _some(at_first[at_first["n_source"] > 0], without_sources, "n_source"):
        title = f"{panel_title((*key, 0))}, {at}"
        yield _joined(*key, "n_source"), _facets(rows, "size", "n_source", style, title)
    for key, rows in _some(found, PANEL, "threshold"):
        yield _joined(*key, "thresholds"), _facets(rows, "threshold", "budget", style, panel_title(key))
    for key, rows in list(at_first.groupby(PANEL, sort=True))[:MAX_FIGURES]:
        here, there = ((table[PANEL] == list(key)).all(axis=1) for table in (curves, shares))
        yield _joined(*key), _panel(key, curves[here], rows, shares[there], style)


def _whole(found: pd.DataFrame, benchmarks: Collection[str]) -> pd.Series:
    """The name of every row's benchmark, without the subtask."""
    names = sorted(benchmarks, key=len, reverse=True)

    def name(label: str) -> str:
        return label if label in benchmarks else next((each for each in names if label.startswith(f"{each}/")), label)

    return found["benchmark"].map({label: name(label) for label in found["benchmark"].unique()})


def _some(found: pd.DataFrame, key: list[str], varies: str) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The groups in which a column varies."""
    groups = [(tuple(values), rows) for values, rows in found.groupby(key, sort=True) if len(rows[varies].unique()) > 1]
    return groups[:MAX_FIGURES]


def _styles(methods: pd.Series) -> Style:
    """A colour, marker and line of its own for every method."""
    return {
        method: {"color": COLOURS[k % 10], "marker": MARKERS[k % 10], "ls": LINES[k // 10 % 3]}
        for k, method in enumerate(dict.fromkeys(methods))
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
    columns = max(1, min(len(handles), int(8.5 * width / (4 + max(map(len, handles), default=0)))))
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False, fontsize=9, handlelength=3
    )


def _panel(panel: tuple[Any, ...], curves: pd.DataFrame, found: pd.DataFrame, shares: pd.DataFrame, style: Style) -> Figure:
    """Agreement against difference at up to three sizes; below, against size, MDAD on both halves and the pairs that it leaves."""
    threshold = found["threshold"].iloc[0]
    style = {method: look for method, look in style.items() if method in set(found["method"])}
    sizes = _spread(sorted(curves["size"].unique()), MAX_CURVES)
    splits = [split for split in ("seen", "unseen") if split in set(found["split"])]
    figure = _figure(12.5, 7.6, panel_title(panel))
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05), squeeze=False)[:, 0]
    axes = np.atleast_1d(top.subplots(1, len(sizes), sharey=True))
    for axis, size in zip(axes, sizes, strict=True):
        here, there = ((rows["size"] == size) & (rows["split"] == "seen") for rows in (curves, found))
        draw_curves(axis, curves[here], found[there], style, threshold)
        axis.set_title(f"{size:,} items, {items_text('seen', panel)}", fontsize=10)
    axes[0].set_ylabel("agreement")
    axes = np.atleast_1d(bottom.subplots(1, len(splits) + 1))
    for axis in axes[1 : len(splits)]:
        axis.sharey(axes[0])
    for axis, split in zip(axes, splits, strict=False):
        draw_mdad(axis, found[found["split"] == split], "size", style)
        axis.set_title(f"MDAD at agreement {threshold:g}, {items_text(split, panel)}", fontsize=10)
    axes[0].set_ylabel("MDAD (points)")
    axes[0].set_ylim(bottom=0)
    draw_untrusted(axes[-1], shares[shares["split"] == "seen"], style)
    axes[-1].set_title(f"Pairs that cannot be trusted, {items_text('seen', panel)}", fontsize=10)
    axes[-1].set_ylabel("nearer than the MDAD (%)")
    _legend(bottom, axes, width=12.5)
    return figure


def _facets(found: pd.DataFrame, by: str, x: str, style: Style, title: str) -> Figure:
    """MDAD against `x`, a column per value of `by` and a row per half."""
    found, label = _with_budget(found)
    by = "budget" if by == "size" else by
    values = _spread(sorted(found[by].unique()), MAX_FACETS)
    splits = [split for split in ("seen", "unseen") if split in set(found["split"])]
    width = max(7.0, 3.4 * len(values))
    figure = _figure(width, 0.9 + 3.1 * len(splits), title)
    inner = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    grid = inner.subplots(len(splits), len(values), squeeze=False, sharey=False if by == "budget" else "row")
    for row, split in zip(grid, splits, strict=True):
        for axis, value in zip(row, values, strict=True):
            rows = found[(found["split"] == split) & (found[by] == value)]
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


def _dots(found: pd.DataFrame, whole: str, style: Style, title: str) -> Figure:
    """MDAD per subtask, on the seen half: subtasks down, a column per size, sorted by the first method's at the last size."""
    found, label = _with_budget(found[found["split"] == "seen"])
    sizes = _spread(sorted(found["budget"].unique()), MAX_CURVES)
    last = found[(found["budget"] == sizes[-1]) & (found["method"] == found["method"].iloc[0])]
    order = list(last.sort_values(MONOTONE[0], na_position="last", ascending=False)["benchmark"])
    place = {name: k for k, name in enumerate([*order, *sorted(set(found["benchmark"]) - set(order))])}
    methods = list(dict.fromkeys(found["method"]))
    figure = _figure(12.0, 1.8 + 0.3 * len(place) * max(1.0, len(methods) / 5), title)
    inner = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
    axes = inner.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axis, size in zip(axes, sizes, strict=True):
        for k, method in enumerate(methods):
            rows = found[(found["budget"] == size) & (found["method"] == method)]
            y = rows["benchmark"].map(place).astype(float) + 0.7 * ((k + 0.5) / len(methods) - 0.5)
            value, low, high = (100 * rows[column].astype(float) for column in MONOTONE)
            look = style[method]
            axis.plot(value, y, ls="", marker=look["marker"], color=look["color"], ms=4.5, label=method)
            axis.hlines(y, low.fillna(value), high.fillna(value), color=look["color"], lw=1)
            mark_unbounded(axis, value + 1, y, value.notna() & high.isna(), r"$\rightarrow$", look["color"])
        axis.set_title(_value("budget", size, label), fontsize=10)
        axis.set_xlabel("MDAD on the seen half (points)")
        axis.set_xlim(left=0)
        axis.grid(alpha=0.25)
    axes[0].set_yticks(range(len(place)), [name.removeprefix(f"{whole}/") for name in place], fontsize=9, parse_math=False)
    axes[0].set_ylim(len(place) - 0.5, -0.5)
    _legend(inner, axes, width=12.0)
    return figure


def _with_budget(found: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows with `budget`: the size, or where all were configured as shares of the items, these in percent; and its name."""
    if found["fraction"].notna().all():
        return found.assign(budget=(100 * found["fraction"].astype(float)).round(6)), "items selected (%)"
    return found.assign(budget=found["size"]), "items selected"


def _value(by: str, value: Any, label: str) -> str:
    if by == "budget":
        return f"{value:g} % of the items" if label.endswith("(%)") else f"{value:,} items"
    return f"agreement {value:g}" if by == "threshold" else str(value)


def _sources(n_source: int) -> str:
    return f", {n_source:,} source models" if n_source else ""


def _spread(values: list[Any], most: int) -> list[Any]:
    """At most `most` of the values, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[k] for k in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _joined(*parts: Any) -> str:
    return "_".join(str(part) for part in parts)
