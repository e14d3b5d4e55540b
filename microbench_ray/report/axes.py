"""What is drawn on one pair of axes, in points and percent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microbench_ray.report.terminal import MONOTONE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    Style = dict[str, dict[str, Any]]
    """By method, the colour, marker and kind of line."""

MIN_REACH = 4.0
"""In points: no curve is shown to less."""
MIN_GAP = 0.09
"""Share of the axis between two labels."""
MAX_BANDS = 4
"""More methods than these would hide one another's."""


def draw_curves(axis: Axes, curves: pd.DataFrame, found: pd.DataFrame, style: Style, threshold: float) -> None:
    """Agreement against difference, with bands where there is room for them."""
    for method, curve in curves.groupby("method", sort=False):
        look = style[str(method)]
        middle = 50 * (curve["diff_lo"] + curve["diff_hi"])
        axis.plot(middle, curve["agreement"], color=look["color"], ls=look["ls"], lw=1.4)
        if len(style) <= MAX_BANDS:
            low, high = curve["ci_lo"].astype(float), curve["ci_hi"].astype(float)
            axis.fill_between(middle, low, high, color=look["color"], alpha=0.15, lw=0)
    axis.axhline(threshold, color="0.35", lw=0.8, ls="--")
    axis.set(xlabel="difference on these items (points)", ylim=(0.35, 1.01), xlim=(0, _reach(curves, found[MONOTONE[0]])))
    axis.grid(alpha=0.25)


def _reach(curves: pd.DataFrame, crossings: pd.Series) -> float | None:
    """How far to the right curves are shown, in points: to twice the last crossing, where there are pairs."""
    pairs = curves.groupby("diff_lo")["n_pairs"].max()
    with_pairs = pairs[pairs.cumsum() <= 0.995 * pairs.sum()]
    if not len(with_pairs):
        return None
    last = 100 * float(with_pairs.index.max())
    return last if crossings.isna().any() else min(last, max(MIN_REACH, 200 * float(crossings.max())))


def draw_mdad(axis: Axes, found: pd.DataFrame, x: str, style: Style) -> None:
    """MDAD with intervals against a column, on a logarithmic axis; methods side by side, so that intervals can be told apart."""
    for k, (method, rows) in enumerate(found.groupby("method", sort=False)):
        look = style[str(method)]
        rows = rows.sort_values(x)
        at = rows[x] * (1.0 + 0.012 * (k - (len(style) - 1) / 2))
        value, low, high = (100 * rows[column].astype(float) for column in MONOTONE)
        axis.plot(at, value, **look, ms=4.5, lw=1.2, label=str(method))
        axis.vlines(at, low.fillna(value), high.fillna(value), color=look["color"], lw=1)
        mark_unbounded(axis, at, value + 1, value.notna() & high.isna(), r"$\uparrow$", look["color"])
    _log_axis(axis, found[x])


def draw_untrusted(axis: Axes, shares: pd.DataFrame, style: Style) -> None:
    """The share of pairs whose difference is under the MDAD, against size."""
    for method, rows in shares.groupby("method", sort=False):
        rows = rows.sort_values("size")
        axis.plot(rows["size"], 100 * (1 - rows["share_reliable"].astype(float)), **style[str(method)], ms=4.5, lw=1.2)
    _log_axis(axis, shares["size"])
    axis.set_ylim(0, 101)


def _log_axis(axis: Axes, values: pd.Series) -> None:
    ticks = sorted(values.unique())
    axis.set(xscale="log", xlabel="items selected", xlim=(ticks[0] / 1.2, ticks[-1] * 1.2))
    axis.set_xticks(ticks, _labels(ticks))
    axis.minorticks_off()
    axis.grid(alpha=0.25)


def _labels(ticks: list[float]) -> list[str]:
    """A label for every tick that is far enough from the last one that has a label."""
    least, last, labels = (ticks[-1] / ticks[0]) ** MIN_GAP, 0.0, []
    for tick in ticks:
        near = last > 0 and tick < last * least
        labels.append("" if near else f"{tick:,g}")
        last = last if near else tick
    return labels


def mark_unbounded(axis: Axes, x: pd.Series, y: pd.Series, where: pd.Series, marker: str, colour: str) -> None:
    """Mark the intervals that are unbounded."""
    axis.plot(x[where], y[where], ls="", marker=marker, color=colour, ms=8)
