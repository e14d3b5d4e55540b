"""The figure of a tournament: mean regret against the number of sources, one panel per measure."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd

from microbench_ray.report.figures import COLOURS, MARKERS
from studies.tournament_regret import Standing, scores_of, standings
from studies.tournament_runs import MEASURES

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SHOWN = 7
"""Methods with a colour: those with the smallest mean regret, summed over measures in units of the panels' medians."""
ALWAYS = ("auto", "mdad_guided", "random", "random_kernel_ridge")
GREY: dict[str, Any] = {"color": "0.75", "lw": 0.8, "zorder": 1}
LABELS = {
    "agreement": "regret in mean agreement (percentage points)",
    "tau": "regret in Kendall's tau × 100",
    "rmse": "regret in RMSE (points)",
}


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure from the measures of every run, as of `studies.tournament_runs.measure`."""
    sources = sorted(set(table["n_source"]))
    found = {name: _by_sources(table, name, sources) for name in MEASURES}
    shown = _shown(found)
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(13.5, 5.6), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], MEASURES, strict=True):
        _panel(axis, found[name], shown, sources, 1 if name == "rmse" else 100)
        axis.set(title=LABELS[name], xlabel="source models")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(5, len(labels)), frameon=False, fontsize=9)
    figure.supxlabel(
        f"{table['board'].nunique()} boards, {table['run'].nunique()} runs. Mean over boards, sizes and halves of the distance to "
        "the best method of each place, which is chosen on the other half of the runs.\n"
        "Bars: 95 % intervals over runs. Lower is better.",
        fontsize=8,
        color="0.3",
    )
    return figure


def _by_sources(table: pd.DataFrame, name: str, sources: list[int]) -> dict[str, list[Standing]]:
    """The standings of every method, in the order of the numbers of sources."""
    scores = scores_of(table, name)
    found: dict[str, list[Standing]] = {method: [] for method in scores.methods}
    for n_source in sources:
        for standing in standings(scores.only([place for place in scores.places if place[1] == n_source])):
            found[standing.method].append(standing)
    return found


def _shown(found: dict[str, dict[str, list[Standing]]]) -> list[str]:
    """The methods that get a colour."""
    total: dict[str, float] = {}
    for of_measure in found.values():
        means = {method: np.mean([each.regret.mean for each in row]) for method, row in of_measure.items()}
        unit = np.median(np.abs(list(means.values()))) or 1.0
        for method, mean in means.items():
            total[method] = total.get(method, 0.0) + float(mean / unit)
    best = sorted(total, key=lambda method: total[method])
    kept = [method for method in ALWAYS if method in total]
    return kept + [method for method in best if method not in kept][: SHOWN - len(kept)]


def _panel(axis: Axes, found: dict[str, list[Standing]], shown: list[str], sources: list[int], factor: float) -> None:
    others = [method for method in found if method not in shown]
    place = np.arange(len(sources))
    for method in others:
        means = [factor * each.regret.mean for each in found[method]]
        axis.plot(place, means, **GREY, label=f"other methods ({len(others)})" if method == others[0] else None)
    for k, method in enumerate(shown):
        row = [each.regret for each in found[method]]
        values = factor * np.array([each.mean for each in row])
        bars = factor * np.array([[each.mean - each.lo for each in row], [each.hi - each.mean for each in row]])
        style: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k], "ms": 5, "lw": 1.6, "capsize": 2, "elinewidth": 0.8}
        axis.errorbar(place + 0.05 * (k - len(shown) / 2), values, yerr=bars, label=method, zorder=3, **style)
    highest = max((factor * each.regret.hi for method in shown for each in found[method]), default=1.0)
    lowest = min((factor * each.regret.lo for method in shown for each in found[method]), default=0.0)
    axis.set_ylim(min(lowest, 0) - 0.05 * (highest - lowest), highest + 0.08 * (highest - lowest))
    axis.set_xticks(place, [str(each) for each in sources])
    axis.axhline(0, color="0.4", lw=0.8)
    axis.grid(alpha=0.25)
