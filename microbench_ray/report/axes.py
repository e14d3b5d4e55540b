"""Draws curves and marks on one pair of axes, in points and percent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microbench_ray.report.answer import MONOTONE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    Style = dict[str, dict[str, Any]]
    """By method, its colour, marker, line style and place in front of or behind others."""

MIN_REACH = 4.0
"""Points: the difference axis is at least this long."""
MIN_GAP = 0.09
"""Smallest distance of two tick labels, as a share of the axis."""
MAX_BANDS = 4
"""Bands are drawn for at most so many methods; more would hide each other."""


def draw_curves(axis: Axes, curves: pd.DataFrame, mdad: pd.DataFrame, style: Style, threshold: float) -> None:
    """Draw agreement against difference, with bands for few methods."""
    for method, curve in curves.groupby("method", sort=False):
        line = style[str(method)]
        middle = 50 * (curve["diff_lo"] + curve["diff_hi"])
        axis.plot(middle, curve["agreement"], color=line["color"], ls=line["ls"], zorder=line["zorder"], lw=1.4)
        if len(style) <= MAX_BANDS:
            low, high = curve["ci_lo"].astype(float), curve["ci_hi"].astype(float)
            axis.fill_between(middle, low, high, color=line["color"], alpha=0.15, lw=0)
    axis.axhline(threshold, color="0.35", lw=0.8, ls="--")
    axis.set(xlabel="difference of two models (points)", ylim=(0.35, 1.01), xlim=(0, _reach(curves, mdad[MONOTONE[0]])))
    axis.grid(alpha=0.25)


def _reach(curves: pd.DataFrame, crossings: pd.Series) -> float:
    """The end of the difference axis in points: twice the last crossing, where there are pairs."""
    pairs = curves.groupby("diff_lo")["n_pairs"].max()
    with_pairs = pairs[pairs.cumsum() <= 0.995 * pairs.sum()]
    last = 100 * float(with_pairs.index.max()) if len(with_pairs) else MIN_REACH
    return max(MIN_REACH, last if crossings.isna().any() else min(last, 200 * float(crossings.max())))


def draw_mdad(axis: Axes, mdad: pd.DataFrame, x: str, style: Style) -> None:
    """Draw MDAD with intervals against a column, on a logarithmic axis; methods are shifted so that intervals do not overlap."""
    for k, (method, rows) in enumerate(mdad.groupby("method", sort=False)):
        line = style[str(method)]
        rows = rows.sort_values(x)
        at = rows[x] * (1.0 + 0.012 * (k - (len(style) - 1) / 2))
        value, low, high = (100 * rows[column].astype(float) for column in MONOTONE)
        axis.plot(at, value, **line, ms=4.5, lw=1.2, label=str(method))
        axis.vlines(at, low.fillna(value), high.fillna(value), color=line["color"], zorder=line["zorder"], lw=1)
        mark_unbounded(axis, at, value + 1, value.notna() & high.isna(), r"$\uparrow$", line["color"])
    log_axis(axis, mdad[x])


def draw_unreliable(axis: Axes, shares: pd.DataFrame, style: Style) -> None:
    """Draw the share of pairs that are closer than the MDAD, against size."""
    for method, rows in shares.groupby("method", sort=False):
        rows = rows.sort_values("size")
        axis.plot(rows["size"], 100 * (1 - rows["share_reliable"].astype(float)), **style[str(method)], ms=4.5, lw=1.2)
    log_axis(axis, shares["size"])
    axis.set_ylim(0, 101)


def log_axis(axis: Axes, values: pd.Series) -> None:
    """A logarithmic axis with the values as ticks."""
    ticks = sorted(values.unique())
    axis.set(xscale="log", xlabel="items selected", xlim=(ticks[0] / 1.2, ticks[-1] * 1.2))
    axis.set_xticks(ticks, _labels(ticks))
    axis.minorticks_off()
    axis.grid(alpha=0.25)


def _labels(ticks: list[float]) -> list[str]:
    """Labels of the ticks; empty where a tick is too close to the previous label."""
    min_ratio, labelled, labels = (ticks[-1] / ticks[0]) ** MIN_GAP, 0.0, []
    for tick in ticks:
        too_close = labelled > 0 and tick < labelled * min_ratio
        labels.append("" if too_close else f"{tick:,g}")
        labelled = labelled if too_close else tick
    return labels


def mark_unbounded(axis: Axes, x: pd.Series, y: pd.Series, where: pd.Series, marker: str, colour: str) -> None:
    """Mark unbounded intervals."""
    axis.plot(x[where], y[where], ls="", marker=marker, color=colour, ms=8)
