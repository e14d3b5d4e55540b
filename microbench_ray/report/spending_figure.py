"""What a verdict costs: items read until it, and MDAD against the mean cost, for sweeps with verdicts or with costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.shown import escape_controls
from microbench_ray.report.answer import MONOTONE
from microbench_ray.report.axes import draw_mdad
from microbench_ray.report.terminal import PANEL, items_text, panel_title

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from microbench_ray.report.axes import Style

POWER = 0.8
"""Share of pairs that a test of a fixed size decides, at the size that is drawn beside the items read."""
MIN_PAIRS = 30
"""Pairs of a point of a curve."""
NOTE: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": 8, "color": "0.3"}


def spending_figures(
    tables: Mapping[str, pa.Table],
    style: Style,
    threshold: float,
    blank: Callable[[float, float, str], Figure],
    legend: Callable[..., None],
) -> Iterator[tuple[tuple[Any, ...], Figure]]:
    """The key of each panel and its figure, on the seen half; none for a sweep without verdicts and without costs.

    Parameters
    ----------
    tables
        `mdad`, and `verdicts` and `stopping` if there are any.
    style
        Of the methods.
    threshold
        Whose MDADs are drawn.
    blank, legend
        Make a figure of a width, a height and a title, and its legend.
    """
    mdad = _seen(tables["mdad"], threshold)
    stopping = _seen(tables["stopping"], threshold) if "stopping" in tables else None
    verdicts = _seen(tables["verdicts"]) if "verdicts" in tables else None
    for key, rows in mdad.groupby(PANEL, sort=True):
        own = None if stopping is None else stopping[(stopping[PANEL] == list(key)).all(axis=1)]
        has_cost = bool(rows["cost"].notna().all())
        if not has_cost and (own is None or not len(own)):
            continue
        read = None if verdicts is None or own is None or not len(own) else verdicts[(verdicts[PANEL] == list(key)).all(axis=1)]
        figure = blank(12.5 if read is not None else 7.0, 4.6, panel_title(key))
        inner: SubFigure = figure.add_subfigure(figure.add_gridspec(1, 1)[0])
        axes = inner.subplots(1, 1 if read is None else 2, squeeze=False)[0]
        if read is not None:
            _draw_read(axes[0], read, style)
            axes[0].set_title(f"Until a verdict, {items_text('seen', key)}", fontsize=10)
        _draw_mdad(axes[-1], rows, own, style, has_cost=has_cost)
        axes[-1].set_title(f"MDAD at agreement {threshold:g}, {items_text('seen', key)}", fontsize=10)
        legend(inner, axes, width=12.5 if read is not None else 7.0)
        yield key, figure


def _seen(table: pa.Table, threshold: float | None = None) -> pd.DataFrame:
    rows = table.to_pandas()
    rows = rows[rows["split"] == "seen"]
    rows = rows if threshold is None else rows[rows["threshold"] == threshold]
    shown: pd.DataFrame = rows.assign(**{name: rows[name].map(escape_controls) for name in ("benchmark", "method", "targets")})
    return shown


def _draw_read(axis: Axes, verdicts: pd.DataFrame, style: Style) -> None:
    """Mean items up to the verdict, with the largest size as the limit, and the sizes of which a fixed test decides most pairs."""
    for method, rows in verdicts.groupby("method", sort=False):
        line = style[str(method)]
        by_size = {int(size): _by_point(rows[rows["size"] == size]) for size in rows["size"].unique()}
        read = by_size[max(by_size)]
        axis.plot(read["points"], read["mean_items"], color=line["color"], zorder=line["zorder"], lw=1.6, label=str(method))
        fixed = [(points, _fixed_size(by_size, points)) for points in read["points"]]
        known = [(points, size) for points, size in fixed if size is not None]
        if known:
            axis.plot(*zip(*known, strict=True), color=line["color"], zorder=line["zorder"], lw=1.1, ls=":")
    axis.set(xlabel="difference of two models (points)", ylabel="items per pair", xlim=(0, None), ylim=(0, None))
    text = f"solid: mean items read\ndotted: size at which a fixed test decides {POWER:.0%}"
    axis.text(0.98, 0.97, text, transform=axis.transAxes, **NOTE)
    axis.grid(alpha=0.25)


def _by_point(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over bins of one point of the true difference, without those of few pairs."""
    points = np.floor(100 * rows["diff_lo"] + 1e-9) + 0.5
    sums = rows[["mean_items", "fixed_decided"]].mul(rows["n_pairs"], axis=0).groupby(points).sum()
    n_pairs = rows.groupby(points)["n_pairs"].sum()
    means = sums.div(n_pairs, axis=0)[n_pairs >= MIN_PAIRS]
    means.index.name = "points"
    result: pd.DataFrame = means.reset_index()
    return result


def _fixed_size(by_size: Mapping[int, pd.DataFrame], points: float) -> float | None:
    """The size at which the fixed test decides the share `POWER`, interpolated over the logarithm of the size; None beyond the
    sizes."""
    sizes, shares = [], []
    for size in sorted(by_size):
        of_size = by_size[size]
        at = of_size[of_size["points"] == points]
        if len(at):
            sizes.append(size)
            shares.append(float(at["fixed_decided"].iloc[0]))
    reached = [k for k, share in enumerate(shares) if share >= POWER]
    if not reached or reached[0] == 0:
        return None
    k = reached[0]
    part = (POWER - shares[k - 1]) / (shares[k] - shares[k - 1])
    return float(np.exp((1 - part) * np.log(sizes[k - 1]) + part * np.log(sizes[k])))


def _draw_mdad(axis: Axes, mdad: pd.DataFrame, stopping: pd.DataFrame | None, style: Style, *, has_cost: bool) -> None:
    """MDAD against mean cost, or items: of fixed sizes, and where pairs are read until there is a verdict."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    x, x_read = ("cost", "mean_cost") if has_cost else ("size", "mean_items")
    draw_mdad(axis, mdad, x, style)
    if stopping is not None and len(stopping):
        for method, rows in stopping.sort_values(x_read).groupby("method", sort=False):
            value = 100 * rows[MONOTONE[0]].astype(float)
            axis.plot(rows[x_read].astype(float), value, **{**style[str(method)], "ls": "--"}, ms=4.5, lw=1.2)
        axis.text(0.98, 0.97, "solid: fixed sizes\ndashed: read until a verdict", transform=axis.transAxes, **NOTE)
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set(xlabel=f"mean {x if has_cost else 'items'} per model", ylabel="MDAD (points)", ylim=(0, None))
