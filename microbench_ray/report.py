"""What a person looks at: the plan, the table of MDADs in the terminal, and the figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from rich import box
from rich.table import Table
from rich.text import Text

from microbench_ray.plan import Plan

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

PANEL = ["benchmark", "targets", "n_target", "unseen", "n_source"]
MOST_FIGURES = 12
MOST_CURVES = 3
LEAST_REACH = 4.0
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6C3BAA", "#7F7F7F", "#000000", "#8C510A")
MARKERS = "osD^vPX<>*"


def plan_text(plan: Plan, engine: str, out: Path) -> str:
    """What a sweep will take, in a line."""
    return (
        f"{plan.n_cells:,} cells in {len(plan.shards):,} shards, about {plan.seconds:,.1f} CPU seconds; "
        f"{_bytes(plan.input_bytes)} of scores, {_bytes(plan.worker_bytes)} more per worker; {engine}; out={out}"
    )


def mdad_tables(mdad: pa.Table) -> Iterator[tuple[str, Table]]:
    """A title and a table per panel, split and threshold: methods down, sizes across, in points with intervals."""
    for (*panel, split, threshold), rows in mdad.to_pandas().groupby([*PANEL, "split", "threshold"], sort=True):
        title = f"{_name(panel)}\nMDAD at agreement {threshold:g}, {_items(split, panel)}, in points, with intervals"
        table = Table(box=box.SIMPLE_HEAD)
        sizes = sorted(rows["size"].unique())
        table.add_column("items", overflow="fold")
        for size in sizes:
            table.add_column(f"{size:,}", justify="right", overflow="fold")
        for method, of_method in rows.groupby("method", sort=False):
            by_size = of_method.set_index("size")
            table.add_row(Text(str(method)), *(_cell(by_size.loc[size]) if size in by_size.index else "" for size in sizes))
        yield title, table


def draw_figures(agreement: pa.Table, mdad: pa.Table, folder: Path) -> list[Path]:
    """Draw one figure per panel (benchmark, targets, n_source): agreement against difference, MDAD against size.

    Parameters
    ----------
    agreement, mdad
        The reduced tables; of `mdad`, the first threshold is drawn.
    folder
        Where to put `NAME.png`; made if need be. At most 12 figures are drawn.

    Returns
    -------
    list of Path
        What was written.
    """
    curves, found = agreement.to_pandas(), mdad.to_pandas()
    drawn: list[Path] = []
    panels = list(found.groupby(PANEL, sort=True))
    for panel, of_panel in panels[:MOST_FIGURES]:
        same = (curves[PANEL] == list(panel)).all(axis=1)
        name = "_".join(_part(str(part)) for part in panel)
        if any(path.stem == name for path in drawn):
            name += f"_{len(drawn)}"
        drawn.append(_draw(panel, curves[same], of_panel, folder / f"{name}.png"))
    return drawn


def _draw(panel: tuple[Any, ...], curves: pd.DataFrame, found: pd.DataFrame, path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    threshold = found["threshold"].iloc[0]
    found = found[found["threshold"] == threshold]
    methods = list(dict.fromkeys(found["method"]))
    style = {method: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, method in enumerate(methods)}
    sizes = _spread(sorted(curves["size"].unique()), MOST_CURVES)
    splits = [split for split in ("seen", "unseen") if split in set(found["split"])]
    figure = Figure(figsize=(12, 7.2), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05), squeeze=False)[:, 0]
    axes = np.atleast_1d(top.subplots(1, len(sizes), sharey=True))
    for axis, size in zip(axes, sizes, strict=True):
        here, there = ((rows["size"] == size) & (rows["split"] == "seen") for rows in (curves, found))
        _agreement(axis, curves[here], found[there], style, threshold)
        axis.set_title(f"{size:,} items, {_items('seen', panel[:-1])}", fontsize=10)
    axes[0].set_ylabel("agreement")
    axes = np.atleast_1d(bottom.subplots(1, len(splits), sharey=True))
    for axis, split in zip(axes, splits, strict=True):
        _mdad(axis, found[found["split"] == split], style)
        axis.set_title(f"MDAD at agreement {threshold:g}, {_items(split, panel[:-1])}", fontsize=10)
    axes[0].set_ylabel("MDAD (points)")
    handles, labels = axes[0].get_legend_handles_labels()
    bottom.legend(handles, labels, loc="outside lower center", ncols=min(5, len(methods)), frameon=False, fontsize=9)
    figure.suptitle(_name(panel), fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path


def _agreement(axis: Axes, curves: pd.DataFrame, found: pd.DataFrame, style: dict[str, tuple[str, str]], threshold: float) -> None:
    for method, curve in curves.groupby("method", sort=False):
        colour, _ = style[str(method)]
        middle = 50 * (curve["diff_lo"] + curve["diff_hi"])
        axis.plot(middle, curve["agreement"], color=colour, lw=1.4)
        axis.fill_between(middle, curve["ci_lo"].astype(float), curve["ci_hi"].astype(float), color=colour, alpha=0.15, lw=0)
    axis.axhline(threshold, color="0.35", lw=0.8, ls="--")
    axis.set(xlabel="difference on these items (points)", ylim=(0.35, 1.01), xlim=(0, _reach(curves, found["mdad_monotone"])))
    axis.grid(alpha=0.25)


def _reach(curves: pd.DataFrame, crossings: pd.Series) -> float | None:
    """How far to the right curves are shown, in points: to twice the last crossing, where there are pairs."""
    pairs = curves.groupby("diff_lo")["n_pairs"].max()
    with_pairs = pairs[pairs.cumsum() <= 0.995 * pairs.sum()]
    if not len(with_pairs):
        return None
    last = 100 * float(with_pairs.index.max())
    return last if crossings.isna().any() else min(last, max(LEAST_REACH, 200 * float(crossings.max())))


def _mdad(axis: Axes, found: pd.DataFrame, style: dict[str, tuple[str, str]]) -> None:
    sizes = sorted(found["size"].unique())
    for place, (method, rows) in enumerate(found.groupby("method", sort=False)):
        colour, marker = style[str(method)]
        rows = rows.sort_values("size")
        shift = 1.0 + 0.012 * (place - (len(style) - 1) / 2)
        value, low, high = (100 * rows[column].astype(float) for column in MONOTONE)
        axis.plot(rows["size"] * shift, value, color=colour, marker=marker, ms=4.5, lw=1.2, label=str(method))
        axis.vlines(rows["size"] * shift, low.fillna(value), high.fillna(value), color=colour, lw=1)
        unbounded = value.notna() & high.isna()
        axis.plot((rows["size"] * shift)[unbounded], value[unbounded] + 1, ls="", marker=r"$\uparrow$", color=colour, ms=8)
    axis.set(xscale="log", xlabel="items selected", xticks=sizes, xticklabels=[f"{size:,}" for size in sizes])
    axis.set_ylim(bottom=0)
    axis.minorticks_off()
    axis.grid(alpha=0.25)


MONOTONE = ("mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi")


def _cell(row: Any) -> str:
    value, low, high = (row[column] for column in MONOTONE)
    if np.isnan(value):
        return "not\nreached"
    return f"{100 * value:.1f}\n{100 * low:.1f}–{'∞' if np.isnan(high) else f'{100 * high:.1f}'}"


def _name(panel: Any) -> str:
    benchmark, targets, n_target, _, n_source = panel
    sources = f", {n_source:,} source models" if n_source else ""
    return f"{benchmark}: {n_target:,} target models ({targets}){sources}"


def _items(split: str, panel: Any) -> str:
    return "all items" if panel[3] == "none" else f"{split} half"


def _spread(values: list[int], most: int) -> list[int]:
    """At most `most` of the values, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _part(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in text)


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
