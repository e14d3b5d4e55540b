"""Plots of library results on one pair of matplotlib axes; accuracies and differences are in points (percent), as in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.shown import escape_controls

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MAIN, OTHER = "#0072B2", "#D55E00"
"""Colours of a plot without methods."""


def axes_or_new(axes: Axes | None, height: float = 4.0) -> Axes:
    """The axes, or those of a new figure of pyplot, which a notebook shows; ConfigError without matplotlib."""
    if axes is not None:
        return axes
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ConfigError("Plots need matplotlib.", where="plot", got="not installed", hint="pip install matplotlib") from None
    new: Axes = pyplot.subplots(figsize=(6.4, height), layout="constrained")[1]
    return new


def plot_mdad(mdad: pd.DataFrame, axes: Axes) -> None:
    """MDAD with intervals against size, a line per method; the rows are those of one panel, split and threshold."""
    from microbench_ray.report.axes import draw_mdad
    from microbench_ray.report.figures import method_styles

    draw_mdad(axes, mdad, "size", method_styles(mdad["method"]))
    axes.set_ylabel("MDAD (points)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _title(axes, f"MDAD at agreement {mdad['threshold'].iloc[0]:g}, {_setting(mdad)}")


def plot_agreement(curves: pd.DataFrame, mdad: pd.DataFrame, axes: Axes) -> None:
    """Agreement against the true difference, a line per method; the rows are those of one panel, split and size."""
    from microbench_ray.report.axes import draw_curves
    from microbench_ray.report.figures import method_styles

    style = method_styles(mdad["method"])
    draw_curves(axes, curves, mdad, style, mdad["threshold"].iloc[0])
    for method, line in style.items():
        axes.plot([], [], color=line["color"], ls=line["ls"], label=escape_controls(method))
    axes.set_ylabel("agreement")
    axes.legend(frameon=False, loc="lower right")
    _title(axes, f"{curves['size'].iloc[0]:,} items, {_setting(curves)}")


def plot_curve(curve: pd.DataFrame, axes: Axes) -> None:
    """One agreement curve with the band of its interval."""
    middle = 50 * (curve["diff_lo"] + curve["diff_hi"])
    axes.plot(middle, curve["agreement"], color=MAIN)
    axes.fill_between(middle, curve["ci_lo"], curve["ci_hi"], color=MAIN, alpha=0.15, lw=0)
    axes.set(xlabel="difference of two models (points)", ylabel="agreement", xlim=(0, None), ylim=(None, 1.01))
    axes.grid(alpha=0.25)


def plot_scores(scores: pd.DataFrame, axes: Axes) -> None:
    """Estimates with their intervals, a row per model with an estimate, the best on top."""
    rows = scores[scores["estimate"].notna()].sort_values("estimate", kind="stable")
    place = np.arange(len(rows))
    estimate, low, high = (100 * rows[name].to_numpy(float) for name in ("estimate", "low", "high"))
    axes.hlines(place, low, high, color=MAIN, lw=1.5)  # none where they are NaN
    unlike = rows["unlike"].to_numpy(bool)
    for of, colour, label in ((~unlike, MAIN, None), (unlike, OTHER, "unlike the known models")):
        if of.any():
            axes.plot(estimate[of], place[of], "o", color=colour, label=label)
    axes.set_yticks(place, [escape_controls(str(name)) for name in rows.index], parse_math=False)
    axes.set_xlabel("accuracy on the whole benchmark (%), with 95 % intervals")
    axes.grid(alpha=0.25, axis="x")
    if unlike.any():
        axes.legend(frameon=False)


def plot_differences(pairs: pd.DataFrame, axes: Axes) -> None:
    """Differences of pairs of runs with their intervals, a row per pair, in the order of the table; a rule at no difference."""
    place = np.arange(len(pairs))[::-1]
    difference, low, high = (100 * pairs[name].to_numpy(float) for name in ("difference", "low", "high"))
    axes.axvline(0, color="0.35", lw=0.8, ls="--")
    axes.hlines(place, low, high, color=MAIN, lw=1.5)
    axes.plot(difference, place, "o", color=MAIN)
    names = [escape_controls(f"{b} − {a}") for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    axes.set_yticks(place, names, parse_math=False)
    axes.set(xlabel="difference of mean scores (points)", ylim=(-0.6, len(pairs) - 0.4))
    axes.grid(alpha=0.25, axis="x")


def plot_ranks(ranks: pd.DataFrame, axes: Axes) -> None:
    """Ranks with their intervals, a row per model, the best on top."""
    rows = ranks.iloc[::-1]
    place = np.arange(len(rows))
    axes.hlines(place, rows["rank_low"], rows["rank_high"], color=MAIN, lw=1.5)
    axes.plot(rows["rank"], place, "o", color=MAIN)
    axes.set_yticks(place, [escape_controls(str(name)) for name in rows["model"]], parse_math=False)
    axes.set_xlabel("rank")
    axes.grid(alpha=0.25, axis="x")


def plot_items_needed(needed: pd.DataFrame, axes: Axes) -> None:
    """Items against the difference that they detect, with intervals; an arrow where an interval ends beyond all items."""
    rows = needed[needed["size"].notna()].sort_values("difference", kind="stable")
    difference = 100 * rows["difference"].to_numpy(float)
    size, low, high = (rows[name].to_numpy(float, na_value=np.nan) for name in ("size", "low", "high"))
    axes.plot(difference, size, "o-", color=MAIN)
    axes.vlines(difference, low, np.where(np.isnan(high), size, high), color=MAIN, lw=1.5)
    unbounded = np.isnan(high)
    axes.plot(difference[unbounded], size[unbounded], ls="", marker=r"$\uparrow$", color=MAIN, ms=9)
    axes.set(yscale="log", xlabel="true difference of two models (points)", ylabel="random items needed")
    axes.set_yticks(size, [f"{each:,.0f}" for each in size])
    axes.minorticks_off()
    axes.grid(alpha=0.25)


def plot_gate(rates: pd.DataFrame, axes: Axes) -> None:
    """False alarms and misses against the tolerance, on the same items and on fresh ones; a rule at the recommended tolerance."""
    rows = rates.sort_values("tolerance", kind="stable")
    tolerance = 100 * rows["tolerance"]
    for name, colour, label in (("false_alarm", MAIN, "false alarms"), ("miss", OTHER, "misses")):
        axes.plot(tolerance, 100 * rows[name], "o-", color=colour, label=f"{label}, same items")
        axes.plot(tolerance, 100 * rows[f"{name}_fresh"], "o--", color=colour, mfc="none", label=f"{label}, fresh items")
    axes.axvline(100 * float(rows.loc[rows["recommended"], "tolerance"].iloc[0]), color="0.35", lw=0.8, ls="--")
    axes.set(xlabel="tolerated fall of the micro-score (points)", ylabel="rate (%)", ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)


def plot_held_out(accuracy: NDArray[Any], estimates: NDArray[Any], axes: Axes) -> None:
    """Estimates of held-out models against their accuracies, both fractions of shape (n_models,), and the line of no error."""
    known = ~np.isnan(estimates)
    x, y = 100 * accuracy[known], 100 * estimates[known]
    axes.axline((50, 50), slope=1, color="0.35", lw=0.8, ls="--")
    axes.plot(x, y, "o", color=MAIN, ms=4, alpha=0.7)
    axes.set(xlabel="accuracy on the whole benchmark (%)", ylabel="estimate, held out (%)")
    low, high = float(min(x.min(), y.min())) - 2, float(max(x.max(), y.max())) + 2
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.grid(alpha=0.25)


def _setting(rows: pd.DataFrame) -> str:
    """The benchmark, the targets and the items of the rows of one panel, in words."""
    from microbench_ray.report.terminal import PANEL, items_text, panel_title

    panel = tuple(rows[PANEL].iloc[0])
    return f"{items_text(rows['split'].iloc[0], panel)}\n{panel_title(panel)}"


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, parse_math=False)
