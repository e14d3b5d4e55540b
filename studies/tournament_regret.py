"""Regrets of a tournament: how much worse a method is than the best one of a place, corrected for the choice of the best.

A place is a board, a number of sources, a size and a half of the items. The best of many methods by their measured means is the
luckiest one too, and the regret against it holds luck: among eight identical methods every one has a regret. So the runs are split
into two halves, even and odd ones. The best method of a place is the one of the largest mean on the one half, and a method's regret
is its distance to it on the runs of the other half; both halves in turn (cross-fitting). Runs are independent draws, so nothing in
the choice depends on the runs that judge it. The expected regret is that against the method which half of the runs choose: at most
the regret against the truly best one, and equal to it where the best one is clear. For the best method itself, it is 0 or below.

The worst place of a method is chosen and judged in the same way. Intervals are Student's over runs. Places of one board share the
models and items of a run, so a mean over places is first taken within each board and run, and runs of different boards are
independent; the interval is for these boards, not for boards like them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from microbench_ray.metrics import holm
from studies.tournament_runs import MEASURES, PLACE

MIN_RUNS = 4
Place = tuple[object, ...]
"""Values of the columns of `PLACE`."""
FloatArray = np.ndarray


class Interval(NamedTuple):
    """A mean over runs, and the ends of its 95 % interval."""

    mean: float
    lo: float
    hi: float
    p: float
    """One-sided probability of a mean this large by chance, where the true one is 0."""


class Scores(NamedTuple):
    """One measure in all places, oriented so that larger is better.

    Attributes
    ----------
    methods
        Their labels.
    places
        (n_runs, n_methods) of each place.
    """

    methods: list[str]
    places: dict[Place, FloatArray]

    def only(self, chosen: Sequence[Place]) -> Scores:
        """The same methods in some places."""
        return Scores(self.methods, {place: self.places[place] for place in chosen})

    def without(self, method: str) -> Scores:
        """The same places without a method."""
        kept = [k for k, label in enumerate(self.methods) if label != method]
        return Scores([self.methods[k] for k in kept], {place: values[:, kept] for place, values in self.places.items()})


def scores_of(table: pd.DataFrame, measure: str) -> Scores:
    """One measure of the tournament's table, for all methods and places."""
    methods = list(dict.fromkeys(table["method"]))
    places = {}
    for place, rows in table.groupby(PLACE, sort=True):
        wide = rows.pivot(index="run", columns="method", values=measure)[methods].sort_index()
        places[tuple(place)] = MEASURES[measure] * wide.to_numpy(float)
    return Scores(methods, places)


def chosen_best(values: FloatArray) -> FloatArray:
    """(n_runs,) position of the method that is the best one, on average, in the half of the runs to which a run does not belong."""
    even = np.arange(len(values)) % 2 == 0
    by_even, by_odd = (int(np.argmax(values[half].mean(axis=0))) for half in (even, ~even))
    return np.where(even, by_odd, by_even)


def regrets(values: FloatArray) -> FloatArray:
    """(n_runs, n_methods) distances to the chosen best one, from oriented values (n_runs, n_methods)."""
    best = chosen_best(values)
    return values[np.arange(len(values)), best][:, None] - values


def interval(differences: FloatArray) -> Interval:
    """Student's 95 % interval of a mean over runs."""
    return mean_over_places([(("", 0, 0.0, ""), differences)])


def mean_over_places(differences: Sequence[tuple[Place, FloatArray]]) -> Interval:
    """Mean over places and runs of (n_runs,) differences, and its interval: see the module.

    Degrees of freedom are those of Welch and Satterthwaite for a sum of means over the runs of several boards.
    """
    boards: dict[object, list[FloatArray]] = {}
    for place, values in differences:
        boards.setdefault(place[0], []).append(values)
    sums = [np.sum(values, axis=0) / len(differences) for values in boards.values()]
    mean = float(sum(values.mean() for values in sums))
    variances = np.array([values.var(ddof=1) / len(values) for values in sums])
    degrees = np.array([len(values) - 1 for values in sums])
    # Equal differences in all runs: rounding is no variance.
    error = float(np.sqrt(variances.sum()))
    if error < 1e-12:
        return Interval(mean, mean, mean, float(mean <= 1e-12))
    freedom = float(variances.sum() ** 2 / np.sum(variances**2 / degrees))
    half_width = float(student.ppf(0.975, freedom)) * error
    return Interval(mean, mean - half_width, mean + half_width, float(student.sf(mean / error, freedom)))


class Standing(NamedTuple):
    """How a method did in some places, by one measure.

    Attributes
    ----------
    method
        Its label.
    regret
        The mean over places, with its interval.
    worst
        Its largest regret over places, chosen on one half of the runs and judged on the other; `worst_place` as measured by all.
    behind
        Distance to the method with the best mean over all these places, chosen and judged likewise.
    share
        Of places where it is not worse than the place's best by more than chance.
    """

    method: str
    regret: Interval
    worst: float
    worst_place: Place
    behind: Interval
    share: float

    @property
    def among_best(self) -> bool:
        """Whether the method is not worse, by more than chance, than the method with the best mean over these places."""
        return self.behind.lo <= 0


def standings(scores: Scores) -> list[Standing]:
    """The standings of all methods, the smallest mean regret first."""
    of_place = {place: regrets(values) for place, values in scores.places.items()}
    whole = np.mean(list(scores.places.values()), axis=0)
    best = chosen_best(whole)
    found = []
    for k, method in enumerate(scores.methods):
        own = [(place, values[:, k]) for place, values in of_place.items()]
        behind = [(place, values[np.arange(len(values)), best] - values[:, k]) for place, values in scores.places.items()]
        not_worse = [interval(values).lo <= 0 for _, values in own]
        worst, worst_place = _worst(scores, k)
        found.append(
            Standing(
                method=method,
                regret=mean_over_places(own),
                worst=worst,
                worst_place=worst_place,
                behind=mean_over_places(behind),
                share=float(np.mean(not_worse)),
            )
        )
    return sorted(found, key=lambda standing: standing.regret.mean)


def _worst(scores: Scores, method: int) -> tuple[float, Place]:
    """A method's largest regret: in each half of the runs, place and best method are chosen, and the other half judges them."""
    places = list(scores.places)
    even = np.arange(len(next(iter(scores.places.values())))) % 2 == 0
    by_half = [np.stack([scores.places[place][half].mean(axis=0) for place in places]) for half in (even, ~even)]
    judged = []
    for chooser, judge in (by_half, by_half[::-1]):
        at = int(np.argmax(chooser.max(axis=1) - chooser[:, method]))
        best = int(np.argmax(chooser[at]))
        judged.append(judge[at, best] - judge[at, method])
    measured = by_half[0] + by_half[1]
    return float(np.mean(judged)), places[int(np.argmax(measured.max(axis=1) - measured[:, method]))]


class Comparison(NamedTuple):
    """The checked method beside another one in a place: oriented means, and how much better the other one is."""

    measure: str
    place: Place
    other: str
    own_mean: float
    other_mean: float
    better: Interval
    beyond_all: bool = False
    """Whether the other one is still better after Holm's correction for all comparisons, at 5 %."""

    @property
    def missed(self) -> bool:
        """Whether the other one is better, and the whole paired 95 % interval says so."""
        return self.better.mean > 0 and self.better.lo > 0


BEST_SINGLE = "best single method"


def comparisons(table: pd.DataFrame, checked: str, others: Sequence[str]) -> list[Comparison]:
    """Compare a method with others, and with the best of all other methods (chosen on other runs), in every place and measure."""
    found = []
    for measure in MEASURES:
        scores = scores_of(table, measure)
        rivals = scores.without(checked)
        own = scores.methods.index(checked)
        for place, values in scores.places.items():
            of_rivals = rivals.places[place]
            against = {other: of_rivals[:, rivals.methods.index(other)] for other in others if other in rivals.methods}
            against[BEST_SINGLE] = of_rivals[np.arange(len(values)), chosen_best(of_rivals)]
            for other, theirs in against.items():
                found.append(
                    Comparison(
                        measure=measure,
                        place=place,
                        other=other,
                        own_mean=MEASURES[measure] * float(values[:, own].mean()),
                        other_mean=MEASURES[measure] * float(theirs.mean()),
                        better=interval(theirs - values[:, own]),
                    )
                )
    return _with_holm(found)


def _with_holm(found: list[Comparison], level: float = 0.05) -> list[Comparison]:
    adjusted = holm(np.array([each.better.p for each in found]))
    return [each._replace(beyond_all=bool(p <= level)) for each, p in zip(found, adjusted, strict=True)]
