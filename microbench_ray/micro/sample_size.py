"""Planning a micro-benchmark: how many items it needs, which differences n items detect, how reliable an order is, and gates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError, closest
from microbench_ray.core.fractions import fraction_hint, fractions_hint
from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import (
    PairMoments,
    expected_agreeing,
    expected_counts,
    expected_mdad,
    normal_moments,
    order_probabilities,
    pair_moments,
    probability_at_least,
    smallest_size,
)
from microbench_ray.metrics.counts import BINS_PER_UNIT
from microbench_ray.metrics.items_needed import check_differences, check_size, items_needed_by_curve
from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy

CLOSED_FORM = "random sampling (closed form)"
"""The method of the answers that need no sweep."""
TOLERANCE_STEPS = 8
"""Tolerances of a gate's table, in quarters of the drop, besides 0 and the recommended one."""


class SweptCurve(NamedTuple):
    """A method's MDADs in a finished sweep."""

    n_items: int
    """Items that the method chose from: those of the seen half, where there is one."""
    points: tuple[tuple[int, float | None], ...]
    """(size, mdad_monotone)"""


@dataclass(frozen=True)
class Criterion:
    """When a difference counts as detected: agreement reaches `threshold` under `tie_policy` (wrong, half or drop)."""

    threshold: float = 0.8
    tie_policy: TiePolicy = "wrong"


class ItemsNeeded(NamedTuple):
    """How many items a method needs to detect a difference."""

    difference: float
    method: str
    size: int | None
    """None where the difference is never detected, or the method's curve does not tell."""


class DetectableDifference(NamedTuple):
    """What `size` random items detect; fractions."""

    size: int
    mdad: float | None
    """None where no difference is detected."""
    share_of_pairs: float
    """Share of the pairs that differ by at least the MDAD; 0 where it is None."""
    mean_agreement: float | None
    """Agreement over all pairs; None where there are no pairs to order."""


class RankingProbability(NamedTuple):
    """How often `size` random items order two models as all items do; None everywhere but in `difference` for tied models."""

    size: int
    better: str | None
    worse: str | None
    difference: float
    """Of their accuracies on all items."""
    right: float | None
    tied: float | None
    right_beyond: float | None
    """Probability that the order on all items is that of the population which the benchmark's items are a sample of."""


class PosteriorRanking(NamedTuple):
    """The posterior probability that two micro-scores are in the right order."""

    size: int
    scores: tuple[float, float]
    difference: float
    right: float | None
    """None for equal micro-scores."""
    expected_difference: float
    """Posterior mean of the models' true difference, in the direction of the micro-scores."""


class GateRates(NamedTuple):
    """Rates of a gate at one tolerance: on the same fixed items, and (`_fresh`) with random items drawn anew for each version."""

    tolerance: float
    recommended: bool
    false_alarm: float
    miss: float
    false_alarm_fresh: float
    miss_fresh: float


def pairs_of(benchmark: Benchmark) -> PairMoments:
    """Moments of all pairs of the benchmark's models; DataError where there are no pairs."""
    return pair_moments(benchmark.scores, benchmark.missing if benchmark.has_missing else None, benchmark.units)


def items_needed(
    pairs: PairMoments, differences: Iterable[float], criterion: Criterion, curves: Mapping[str, SweptCurve] | None = None
) -> list[ItemsNeeded]:
    """Number of items that detect each difference: by random sampling in closed form, by other methods from their swept MDADs.

    Parameters
    ----------
    pairs
        Of the benchmark.
    differences
        Fractions above 0.
    criterion
        When a difference counts as detected; must be the one of `curves`.
    curves
        The methods' curves from a finished sweep, by method.

    Raises
    ------
    ConfigError
        A difference outside (0, 1].
    """
    differences = list(differences)
    check_differences(differences)
    answers: list[ItemsNeeded] = []
    for difference in differences:
        size = smallest_size(pairs, difference, criterion.threshold, criterion.tie_policy)
        answers.append(ItemsNeeded(difference=difference, method=CLOSED_FORM, size=size))
        for method, curve in (curves or {}).items():
            size = items_needed_by_curve(difference, curve.points, curve.n_items)
            answers.append(ItemsNeeded(difference=difference, method=method, size=size))
    return answers


def detectable_difference(pairs: PairMoments, size: int, criterion: Criterion) -> DetectableDifference:
    """The smallest difference that `size` random items detect, and how well they order all pairs.

    Raises
    ------
    DataError
        All models are tied.
    """
    counts = expected_counts(pairs, size)
    agree, ordered = expected_agreeing(counts, criterion.tie_policy)
    mdad = expected_mdad(counts, criterion.threshold, criterion.tie_policy)
    n_pairs = float(counts.n_pairs.sum())
    if not n_pairs:
        raise DataError("All models are tied: there are no pairs to order.", where="benchmark")
    reached = not math.isnan(mdad)
    return DetectableDifference(
        size=size,
        mdad=mdad if reached else None,
        share_of_pairs=float(counts.n_pairs[round(mdad * BINS_PER_UNIT) :].sum()) / n_pairs if reached else 0.0,
        mean_agreement=float(agree.sum() / ordered.sum()) if ordered.sum() else None,
    )


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int) -> RankingProbability:
    """How often `size` random items order two models of the benchmark as all items do.

    Raises
    ------
    ConfigError
        The models are not two different models of the benchmark, or the size is outside it.
    """
    row_of = {str(name): row for row, name in enumerate(benchmark.model_ids)}
    unknown = [name for name in models if name not in row_of]
    if unknown or len(set(models)) != 2 or len(models) != 2:
        raise ConfigError(
            "A ranking needs two different models of the benchmark.",
            where="models",
            got=", ".join(unknown or models) or "nothing",
            hint=closest(unknown[0], row_of, count=10)
            if unknown
            else f"models=[A,B] with two of its {len(row_of)} models, such as {', '.join(list(row_of)[:2])}",
        )
    scores = benchmark.scores[[row_of[name] for name in models]]
    pair = pair_moments(scores, benchmark.missing if benchmark.has_missing else None, benchmark.units)
    check_size(size, pair.n_items)
    if pair.difference[0] == 0:
        return RankingProbability(size=size, better=None, worse=None, difference=0.0, right=None, tied=None, right_beyond=None)
    probabilities = order_probabilities(pair, size)
    return RankingProbability(
        size=size,
        better=models[int(pair.higher[0])],
        worse=models[int(pair.lower[0])],
        difference=float(pair.difference[0] / (pair.units * pair.shared[0])),
        right=float(probabilities.right[0]),
        tied=float(probabilities.tied[0]),
        right_beyond=population_ranking_probability(pair),
    )


def population_ranking_probability(pair: PairMoments) -> float:
    """Probability that the better of two models is also better on the population of items like those of the benchmark.

    With a flat prior on the difference, by the normal approximation: the difference over its standard error.

    Parameters
    ----------
    pair
        One pair of models.
    """
    shared = int(pair.shared[0])
    mean = float(pair.difference[0]) / shared
    variance = max(0.0, float(pair.squares[0]) / shared - mean**2) / max(shared - 1, 1)
    if variance == 0:
        return 1.0
    return float(normal_share(np.array([mean / math.sqrt(variance)]))[0])


def posterior_ranking_probability(pairs: PairMoments, scores: Sequence[float], size: int) -> PosteriorRanking:
    """Posterior probability that two micro-scores are in the right order, with a uniform prior over ordered pairs of models.

    That is the share, among all pairs and draws of `size` random items that show this difference of micro-scores, of those that
    show it in the right order. Pairs tied on all items count as not right.

    Parameters
    ----------
    pairs
        Of a benchmark of models like these.
    scores
        Two micro-scores, fractions.
    size
        Items that they were measured on.

    Raises
    ------
    ConfigError
        The scores are not two numbers in [0, 1], or the size is outside the benchmark.
    DataError
        No pair of the benchmark shows such a difference with a probability above 1e-9.
    """
    check_scores(scores)
    mean, deviation = normal_moments(pairs, size)
    difference = abs(scores[0] - scores[1])
    steps = round(difference * size * pairs.units)
    if steps == 0:
        right, expected = None, 0.0
    else:
        right_order = probability_at_least(mean, deviation, steps) - probability_at_least(mean, deviation, steps + 1)
        wrong_order = probability_at_least(-mean, deviation, steps) - probability_at_least(-mean, deviation, steps + 1)
        total = float((right_order + wrong_order).sum())
        if not total > 1e-9:
            raise DataError(
                "No pair of models in this benchmark would show these micro-scores.",
                where="scores",
                got=f"{difference:g} apart on {size} items",
                hint="check scores and size, or use a benchmark of models like these",
            )
        true_difference = pairs.difference / (pairs.units * pairs.shared)
        right = float(right_order[pairs.difference > 0].sum()) / total
        expected = float(((right_order - wrong_order) * true_difference).sum()) / total
    return PosteriorRanking(
        size=size, scores=(scores[0], scores[1]), difference=difference, right=right, expected_difference=expected
    )


def check_scores(scores: Sequence[float]) -> None:
    """Raise ConfigError unless there are two scores in [0, 1]."""
    if len(scores) != 2 or not all(0 <= score <= 1 for score in scores):
        raise ConfigError(
            "The micro-scores must be two fractions in [0, 1].",
            where="scores",
            got=str(list(scores)),
            hint=fractions_hint("scores", scores, "[.62,.58]"),
        )


def check_drop(drop: float) -> None:
    """Raise ConfigError for a drop below the width of a bin, or above 1."""
    if not 1 / BINS_PER_UNIT <= drop <= 1:
        raise ConfigError(
            "The drop must be a fraction of at least 0.005.",
            where="drop",
            got=repr(drop),
            hint=fraction_hint("drop", drop, "0.02 for two points"),
        )


def regression_gate(benchmark: Benchmark, pairs: PairMoments, drop: float, size: int) -> list[GateRates]:
    """False alarms and misses of a gate that alarms where a model's micro-score falls by more than a tolerance.

    Pairs of the benchmark stand for two versions of a model: pairs less than half a point apart for equally good versions (either
    of them the earlier), pairs in the bin of `drop` for a regression. Different models disagree on more items than versions of one
    model do, so real rates on fixed items are lower.

    Parameters
    ----------
    benchmark, pairs
        The benchmark, and its pairs.
    drop
        The true fall that should alarm, a fraction of at least 0.005.
    size
        Items of the gate.

    Returns
    -------
    list of GateRates
        By tolerance, in steps of a quarter of `drop`, and at the recommended tolerance: the one at which the larger of
        `false_alarm` and `miss` is smallest, half a step of the micro-score above the largest fall that does not alarm.

    Raises
    ------
    ConfigError
        A drop below a bin's width or above 1, or a size outside the benchmark.
    DataError
        No pairs less than half a point apart, or none that differ by `drop`.
    """
    check_drop(drop)
    check_size(size, pairs.n_items)
    equal, fallen = pairs.take(pairs.bins == 0), pairs.take(pairs.bins == math.floor(drop * BINS_PER_UNIT + 1e-9))
    if not equal.bins.size or not fallen.bins.size:
        got = "no models less than half a point apart" if not equal.bins.size else f"no models {drop:g} apart"
        raise DataError("The benchmark has no pairs to measure the gate on.", where="drop", got=got, hint="another drop")
    max_sum = size * pairs.units
    same_items = Falls(equal=normal_moments(equal, size), fallen=normal_moments(fallen, size), max_sum=max_sum)
    variances = _score_variances(benchmark)
    fresh_items = Falls(
        equal=_fresh_moments(equal, size, variances), fallen=_fresh_moments(fallen, size, variances), max_sum=max_sum
    )
    recommended = round(_balanced_tolerance(same_items), 12)
    steps = (round(drop * step / 4, 12) for step in range(TOLERANCE_STEPS + 1))
    rows = []
    for tolerance in sorted({recommended, *steps}):
        false_alarm, miss = same_items.rates(tolerance)
        false_alarm_fresh, miss_fresh = fresh_items.rates(tolerance)
        rows.append(
            GateRates(
                tolerance=tolerance,
                recommended=tolerance == recommended,
                false_alarm=false_alarm,
                miss=miss,
                false_alarm_fresh=false_alarm_fresh,
                miss_fresh=miss_fresh,
            )
        )
    return rows


class Falls(NamedTuple):
    """Falls of a micro-score's sum between two versions, in units of the scores' grid, as normals: (mean, deviation) of pairs."""

    equal: tuple[FloatArray, FloatArray]
    """Of equally good versions, the better one as the earlier; each (n_pairs,)."""
    fallen: tuple[FloatArray, FloatArray]
    """Of versions that fell by the drop."""
    max_sum: int
    """The sum of a version that answers every item correctly."""

    def rates(self, tolerance: float) -> tuple[float, float]:
        """(false alarms, misses): equal pairs that fall by more, in either direction, and fallen pairs that do not."""
        alarm = math.floor(tolerance * self.max_sum + 1e-9) + 1
        mean, deviation = self.equal
        false_alarms = float(
            np.mean((probability_at_least(mean, deviation, alarm) + probability_at_least(-mean, deviation, alarm)) / 2)
        )
        return false_alarms, 1 - float(np.mean(probability_at_least(*self.fallen, alarm)))


def _fresh_moments(pairs: PairMoments, size: int, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of the falls where each version gets its own random items; `variances` are (n_models,)."""
    correction = (pairs.n_items - size) / max(pairs.n_items - 1, 1)
    deviation = np.sqrt(size * correction * (variances[pairs.higher] + variances[pairs.lower]))
    return size * pairs.difference / pairs.shared, deviation


def _score_variances(benchmark: Benchmark) -> FloatArray:
    """(n_models,) variances of the scores over the items that the model answered, in squared units of the scores' grid."""
    answered = benchmark.scores != benchmark.missing
    n_answered = answered.sum(axis=1)
    values = np.where(answered, benchmark.scores, 0).astype(np.float64)
    variances: FloatArray = np.maximum(0.0, np.square(values).sum(axis=1) / n_answered - (values.sum(axis=1) / n_answered) ** 2)
    return variances


def _balanced_tolerance(falls: Falls) -> float:
    """The tolerance at which the larger rate is smallest: false alarms fall and misses rise with it, so bisect to the crossing."""
    low, high = 0, falls.max_sum
    while low < high:
        middle = (low + high) // 2
        false_alarm, miss = falls.rates((middle + 0.5) / falls.max_sum)
        low, high = (low, middle) if miss >= false_alarm else (middle + 1, high)
    candidates = ((k + 0.5) / falls.max_sum for k in (max(low - 1, 0), low))
    return min(candidates, key=lambda tolerance: max(falls.rates(tolerance)))
