"""Figure of every method's MDAD against size: `python -m studies.better_figure OUT_DIR FIGURE.png [--sources 300]`.

OUT_DIR is the folder of a finished `microbench sweep experiment=better`. Columns are benchmarks; rows are the seen half, the
unseen half, and the seen half of targets better than every source. A few methods have a colour and a marker, all others are grey.
A bar is the paired 95 % interval of a method's difference to the baseline of its size (the best method, unless the sweep named
another), added to the baseline's MDAD: if the bar does not reach down to the baseline's own point, the method is worse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from studies.goal import LEVEL, read

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROWS = {"seen half": ("seen", "random"), "unseen half": ("unseen", "random"), "better than every source": ("seen", "best")}
"""Split and group of targets of each row of panels, by its label."""
SHOWN: dict[str, dict[str, Any]] = {
    "mdad_guided": {"color": "#D55E00", "marker": "o", "lw": 2.4, "zorder": 5},
    "greedy": {"color": "#CC79A7", "marker": "s", "lw": 1.6, "zorder": 4.5},
    "random_ridge_remainder": {"color": "#E69F00", "marker": "v", "lw": 1.6, "zorder": 4},
    "random": {"color": "#000000", "marker": "^", "lw": 1.6, "zorder": 4},
    "stratified_confidence": {"color": "#56B4E9", "marker": "D", "lw": 1.6, "zorder": 4},
    "anchor_points": {"color": "#0072B2", "marker": "P", "lw": 1.6, "zorder": 4},
    "tinybenchmarks": {"color": "#009E73", "marker": "X", "lw": 1.6, "zorder": 4},
}
GREY: dict[str, Any] = {"color": "0.72", "lw": 0.9, "zorder": 1}
MIN_POINTS = 0.35
"""Position of an MDAD of 0 on the logarithmic axis, in points."""
TICKS = (0.5, 1, 2, 5, 10, 20, 50)


def draw(mdad: pd.DataFrame, paired: pd.DataFrame, n_source: int) -> Figure:
    """Draw the figure from the tables of a sweep."""
    mdad, paired = (table[(table["threshold"] == LEVEL) & (table["n_source"] == n_source)] for table in (mdad, paired))
    benchmarks = list(dict.fromkeys(mdad["benchmark"]))
    size = (max(4.1 * len(benchmarks), 11.0), 9.6)
    figure, axes = plt.subplots(
        len(ROWS), len(benchmarks), figsize=size, sharex="col", sharey=True, squeeze=False, layout="constrained"
    )
    values = 100 * mdad["mdad"].dropna()
    max_points = 1.25 * float(values.max()) if len(values) else 50.0
    for row, (label, (split, targets)) in zip(axes, ROWS.items(), strict=True):
        for axis, benchmark in zip(row, benchmarks, strict=True):
            panel_mdad, panel_paired = (
                table[(table["benchmark"] == benchmark) & (table["split"] == split) & (table["targets"] == targets)]
                for table in (mdad, paired)
            )
            _panel(axis, panel_mdad, panel_paired, max_points)
        row[0].set_ylabel(f"{label}\nMDAD (points)")
    for axis, benchmark in zip(axes[0], benchmarks, strict=True):
        axis.set_title(benchmark)
    for axis in axes[-1]:
        axis.set_xlabel("items")
    handles = {label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    order = [*(label for label in SHOWN if label in handles), *(label for label in handles if label not in SHOWN)]
    figure.legend(
        [handles[each] for each in order], order, loc="outside upper center", ncols=(len(order) + 1) // 2, frameon=False, fontsize=9
    )
    baselines = sorted(set(paired["baseline"]))
    against = baselines[0] if len(baselines) == 1 else "the best method of each size"
    figure.supxlabel(
        f"{n_source} source models, agreement {LEVEL:g}, first crossing. Both axes are logarithmic: an MDAD of 0 is at the lower "
        "edge, a hollow mark at the upper edge means that the MDAD is never reached.\n"
        f"Bars: paired 95 % interval, over runs, of the difference to {against}, added to its MDAD; "
        "a method is worse if its bar lies above that MDAD.",
        fontsize=8,
        color="0.3",
    )
    return figure


def _panel(axis: Axes, mdad: pd.DataFrame, paired: pd.DataFrame, max_points: float) -> None:
    """Draw the panel of one benchmark, half and group of targets."""
    shown = [method for method in SHOWN if method in set(mdad["method"])]
    for method, rows in mdad.groupby("method", sort=False):
        rows = rows.sort_values("size")
        values = _clipped(100 * rows["mdad"], max_points)
        if method not in SHOWN:
            label = f"other methods ({mdad['method'].nunique() - len(shown)})"
            axis.plot(rows["size"], values, **GREY, marker=".", ms=3, label=label)
            continue
        style = SHOWN[str(method)]
        at = rows["size"].to_numpy() * 1.03 ** (shown.index(str(method)) - (len(shown) - 1) / 2)
        axis.plot(at, values, **style, ms=5.5, mec="white", mew=0.6, label=str(method))
        never = rows["mdad"].isna().to_numpy()
        axis.plot(
            at[never], np.full(never.sum(), 0.93 * max_points), "^", color=style["color"], ms=5, mfc="none", zorder=style["zorder"]
        )
        for x, size in zip(at, rows["size"], strict=True):
            for low, high in _bars(mdad, paired[(paired["method"] == method) & (paired["size"] == size)]):
                axis.vlines(
                    x, *_clipped(pd.Series([low, high]), max_points), color=style["color"], lw=1, alpha=0.75, zorder=style["zorder"]
                )
    sizes = sorted(set(mdad["size"]))
    axis.set(xscale="log", yscale="log", ylim=(MIN_POINTS, max_points))
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
    axis.set_xticks([], minor=True)
    ticks = [tick for tick in TICKS if tick < max_points]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    axis.grid(alpha=0.25)


def _bars(mdad: pd.DataFrame, paired: pd.DataFrame) -> list[tuple[float, float]]:
    """Ends of the bars in points: the baseline's MDAD plus the interval of the difference."""
    bars = []
    for row in paired.to_dict("records"):
        (baseline,) = mdad[(mdad["method"] == row["baseline"]) & (mdad["size"] == row["size"])]["mdad"].to_numpy(float)
        low, high = row["mdad_ci_lo"], row["mdad_ci_hi"]
        if not np.isnan(baseline) and not np.isnan(low):
            bars.append((100 * (baseline + low), 100 * (baseline + high)))
    return bars


def _clipped(points: pd.Series, max_points: float) -> np.ndarray:
    """Clip values to the axis: 0 to the lower edge, ∞ to the upper one; NaN stays NaN and is not drawn."""
    return points.clip(MIN_POINTS, max_points).to_numpy()


def main(arguments: Sequence[str]) -> int:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--sources", type=int, default=300)
    given = parser.parse_args(arguments)
    draw(read(given.out, "mdad"), read(given.out, "paired"), given.sources).savefig(given.figure, dpi=120)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
