"""Planning a micro-benchmark: how many items it needs, which differences n items detect, and how reliable an order is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError, closest
from microbench_ray.core.seeding import plan_stream
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import mean_one_weights
from microbench_ray.metrics.closed_form import (
    ExpectedCounts,
    expected_agreeing,
    expected_counts,
    expected_mdad,
    order_probabilities,
    population_order,
    population_probabilities,
    smallest_size,
)
from microbench_ray.metrics.comparison_power import NORMAL_95, comparison_power
from microbench_ray.metrics.counts import BINS_PER_UNIT
from microbench_ray.metrics.items_needed import check_differences, check_size, curve_reaches, items_needed_by_curve
from microbench_ray.metrics.order_simulation import SimulatedOrders, simulated_order
from microbench_ray.metrics.pair_moments import PairMoments, pair_moments
from microbench_ray.metrics.run_noise import with_noise
from microbench_ray.metrics.size_interval import ResampledMdads
from microbench_ray.metrics.ties import TiePolicy
from microbench_ray.micro.reference import Reference, reference_of
from microbench_ray.micro.single_runs import run_noise_of

CLOSED_FORM = "random sampling (closed form)"
"""The method of the answers that need no sweep."""


_RESAMPLED: WeakKeyDictionary[PairMoments, dict[tuple[Criterion, Reference, str], ResampledMdads]] = WeakKeyDictionary()
"""By pairs in use, what `resampled_mdads` has made for them: several questions are answered from the same resamples."""


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
    low: int | None
    """95 % interval over models of the size; None where there is no size, and for methods of a sweep."""
    high: int | None
    """None also where more than all items would be needed."""
    extrapolated: bool
    """Whether the size lies beyond those that the method was swept at."""
    reference: Reference
    """What models are ordered as: on the benchmark's items, or on the population that they are a sample of."""


class DetectableDifference(NamedTuple):
    """What `size` random items detect; fractions."""

    size: int
    mdad: float | None
    """None where no difference is detected."""
    share_of_pairs: float
    """Share of the pairs that differ by at least the MDAD; 0 where it is None."""
    mean_agreement: float | None
    """Agreement over all pairs; None where there are no pairs to order."""
    mdad_low: float | None
    """95 % interval over models of the MDAD; None for an end at which no difference is detected."""
    mdad_high: float | None
    reference: Reference
    """What models are ordered as: on the benchmark's items, or on the population that they are a sample of."""


class RankingProbability(NamedTuple):
    """How often `size` random items order two models correctly; None everywhere but in the difference for tied models."""

    size: int
    better: str | None
    worse: str | None
    difference: float
    """Of their accuracies on the benchmark, each over the items that the model answered."""
    right: float | None
    """Probability that the items order the models as the `reference` does."""
    tied: float | None
    right_beyond: float | None
    """Probability that the order on all items is that of the population which the benchmark's items are a sample of."""
    difference_low: float
    """95 % interval of the difference on the population, in the direction of `difference`."""
    difference_high: float
    reference: Reference
    """`benchmark`: the order on all its items. `population`: that of the population of items, where they are few or all drawn."""
    n_answered: tuple[int, int]
    """Items that the better and the worse model answered."""
    power: float | None
    """Probability that a comparison of the two on such items finds the better one: its 95 % interval is above 0. None where
    items count differently, are in clusters, or were not all answered by both."""


def pairs_of(benchmark: Benchmark, n_repeats: int | None = None) -> PairMoments:
    """Moments of all pairs of the benchmark's models, with samples where no closed form is good; DataError without pairs.

    Of a benchmark with repeats they are for micro-scores of single runs, or of the mean of `n_repeats` repeats of each item.
    """
    pairs, noise = board_moments(benchmark), run_noise_of(benchmark, n_repeats)
    if noise is not None:
        return with_noise(pairs, noise)
    missing, weights = benchmark.missing if benchmark.has_missing else None, mean_one_weights(benchmark)
    if benchmark.units == 1 and missing is None and weights is None:
        return pairs
    simulated = SimulatedOrders(benchmark.scores, missing, plan_stream(0, benchmark.name, "pairs"), weights)
    return replace(pairs, simulated=simulated)


def board_moments(benchmark: Benchmark) -> PairMoments:
    """Moments of all pairs of the benchmark's models, by its scores: with repeats, by their means."""
    missing, weights = benchmark.missing if benchmark.has_missing else None, mean_one_weights(benchmark)
    accuracy = None if weights is None else benchmark.accuracies()
    return pair_moments(benchmark.scores, missing, benchmark.units, weights, benchmark.cluster_codes, accuracy)


def items_needed(
    pairs: PairMoments,
    differences: Iterable[float],
    criterion: Criterion,
    curves: Mapping[str, SweptCurve] | None = None,
    *,
    name: str = "",
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
    name
        The benchmark's name, on which the resamples of the models depend.

    Raises
    ------
    ConfigError
        A difference outside (0, 1].
    """
    differences = list(differences)
    check_differences(differences)
    reference = reference_of(0, pairs.n_items)
    population = reference == "population"
    resampled = resampled_mdads(pairs, criterion, reference, name)

    @cache
    def counts_at(size: int) -> ExpectedCounts:
        return expected_counts(pairs, size, population=population)

    answers: list[ItemsNeeded] = []
    for difference in differences:
        size = smallest_size(pairs, difference, criterion.threshold, criterion.tie_policy, counts_at=counts_at)
        low, high = (None, None) if size is None else resampled.size_interval(difference, size)
        answers.append(
            ItemsNeeded(
                difference=difference,
                method=CLOSED_FORM,
                size=size,
                low=low,
                high=high,
                extrapolated=False,
                reference=reference,
            )
        )
        for method, curve in (curves or {}).items():
            size = items_needed_by_curve(difference, curve.points, curve.n_items)
            answers.append(
                ItemsNeeded(
                    difference=difference,
                    method=method,
                    size=size,
                    low=None,
                    high=None,
                    extrapolated=size is not None and not curve_reaches(difference, curve.points),
                    reference="benchmark",
                )
            )
    return answers


def resampled_mdads(pairs: PairMoments, criterion: Criterion, reference: Reference, name: str) -> ResampledMdads:
    """The bootstrap over models of these answers: the same for the same name of a benchmark, and made once per `pairs`."""
    of_pairs, key = _RESAMPLED.setdefault(pairs, {}), (criterion, reference, name)
    if key not in of_pairs:
        rng = plan_stream(0, name, "models")
        of_pairs[key] = ResampledMdads(pairs, criterion.threshold, criterion.tie_policy, reference == "population", rng)
    return of_pairs[key]


def detectable_difference(pairs: PairMoments, size: int, criterion: Criterion, *, name: str = "") -> DetectableDifference:
    """The smallest difference that `size` random items detect, and how well they order all pairs; `name` as for `items_needed`.

    Raises
    ------
    DataError
        All models are tied.
    """
    check_size(size, pairs.n_items)
    reference = reference_of(size, pairs.n_items)
    counts = expected_counts(pairs, size, population=reference == "population")
    agree, ordered = expected_agreeing(counts, criterion.tie_policy)
    mdad = expected_mdad(counts, criterion.threshold, criterion.tie_policy)
    n_pairs = float(counts.n_pairs.sum())
    if not n_pairs:
        raise DataError("All models are tied: there are no pairs to order.", where="benchmark", hint="add models that differ")
    reached = not math.isnan(mdad)
    low, high = resampled_mdads(pairs, criterion, reference, name).mdad_interval(size, mdad)
    return DetectableDifference(
        size=size,
        mdad=mdad if reached else None,
        share_of_pairs=float(counts.n_pairs[round(mdad * BINS_PER_UNIT) :].sum()) / n_pairs if reached else 0.0,
        mean_agreement=float(agree.sum() / ordered.sum()) if ordered.sum() else None,
        mdad_low=low,
        mdad_high=high,
        reference=reference,
    )


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int, n_repeats: int | None = None) -> RankingProbability:
    """How often `size` random items order two models of the benchmark as all items do, or as the population of items does.

    The order is the leaderboard's, by accuracies that are each over the items that the model answered, also where the two answered
    different items. The probabilities are exact or within .006 for scores of 0 and 1 on the same items; where responses are
    missing or graded, or items count differently, they are shares of drawn samples, with a standard error of .002 to .004
    (`simulated_order`). Of a benchmark with repeats they are those of single runs, or of the mean of `n_repeats` repeats of each
    item, and the order is that of the models' expectations.

    Raises
    ------
    ConfigError
        The models are not two different models of the benchmark, or the size is outside it.
    DataError
        Missing responses of items in clusters, or as for `drawn_interval`.
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
    rows = [row_of[name] for name in models]
    scores = benchmark.scores[rows]
    missing = benchmark.missing if benchmark.has_missing else None
    weights, noise = mean_one_weights(benchmark), run_noise_of(benchmark, n_repeats, rows)
    accuracy = None if weights is None else benchmark.accuracies()[rows]
    pair = pair_moments(scores, missing, benchmark.units, weights, benchmark.cluster_codes, accuracy)
    if noise is not None:
        pair = with_noise(pair, noise)
    check_size(size, pair.n_items)
    better, worse = int(pair.higher[0]), int(pair.lower[0])
    n_answered = tuple(scores.shape[1] if missing is None else int((scores[row] != missing).sum()) for row in (better, worse))
    low, high = population_interval(pair)
    if (benchmark.truth == "macro" and missing is None) or benchmark.cluster_codes is not None:
        low, high = drawn_interval(benchmark, worse=row_of[models[worse]], better=row_of[models[better]])
    reference = reference_of(size, pair.n_items)
    if pair.difference[0] == 0:
        return RankingProbability(
            size=size,
            better=None,
            worse=None,
            difference=0.0,
            right=None,
            tied=None,
            right_beyond=None,
            difference_low=low,
            difference_high=high,
            reference=reference,
            n_answered=(n_answered[0], n_answered[1]),
            power=None,
        )
    plain = not pair.weighted and pair.cluster_square is None and bool(pair.same_items[0])
    order = None
    if noise is None and (pair.units != 1 or pair.weighted or not pair.same_items[0]):
        rng = plan_stream(0, benchmark.name, "order", *models, size)
        order = simulated_order(scores[better], scores[worse], missing, size, rng, weights)
    order = order_probabilities(pair, size) if order is None else order
    if reference == "population":
        order = population_probabilities(pair, size, order)
    return RankingProbability(
        size=size,
        better=models[better],
        worse=models[worse],
        difference=float(pair.difference[0]),
        right=float(order.right[0]),
        tied=float(order.tied[0]),
        right_beyond=float(population_order(pair)[0]),
        difference_low=low,
        difference_high=high,
        reference=reference,
        n_answered=(n_answered[0], n_answered[1]),
        power=float(comparison_power(pair, size)[0]) if plain else None,
    )


def population_interval(pair: PairMoments) -> tuple[float, float]:
    """95 % interval of the difference of two models' accuracies on the population that the items are a sample of; fractions.

    By the normal approximation, with one more item on which one of the two is right and the other wrong, either way.

    Parameters
    ----------
    pair
        One pair of models.
    """
    n = pair.n_items
    square = (float(pair.square[0]) * n + pair.units**2) / (n + 1)
    deviation = math.sqrt(max(0.0, square - (float(pair.mean[0]) * n / (n + 1)) ** 2) / n)
    difference = float(pair.difference[0])
    # `mean` is the difference times the mean share of answered items, and so is its deviation.
    exact = difference and not (pair.weighted and not pair.same_items[0])
    share = float(pair.mean[0]) / (pair.units * difference) if exact else 1 - _unanswered(pair)
    margin = NORMAL_95 * deviation / (pair.units * share)
    return max(-1.0, difference - margin), min(1.0, difference + margin)


def drawn_interval(benchmark: Benchmark, *, worse: int, better: int) -> tuple[float, float]:
    """The same where items are drawn within subtasks that count the same, or in clusters (`metrics.run_difference`).

    Parameters
    ----------
    benchmark
        Without missing responses.
    worse, better
        Positions of the models.

    Raises
    ------
    DataError
        All items are in one cluster.
    """
    from microbench_ray.metrics.run_difference import Items, run_difference  # imports scipy

    clusters = benchmark.cluster_codes
    if clusters is not None and int(clusters.max()) == 0:
        raise DataError("All items are in one cluster.", where="columns.cluster", hint="an interval needs at least two")
    a, b = (benchmark.scores[[row]].T / benchmark.units for row in (worse, better))
    stratum = benchmark.subtask_codes if benchmark.truth == "macro" else np.zeros(benchmark.n_items)
    cluster = np.arange(benchmark.n_items) if clusters is None else clusters
    found = run_difference(Items(a, b, stratum.astype(np.intp), cluster.astype(np.intp), weight=benchmark.weights))
    return found.low, found.high


def _unanswered(pair: PairMoments) -> float:
    """Half the share of the items that only one of the two models answered."""
    return float(pair.only_higher[0] + pair.only_lower[0]) / (2 * pair.n_items)
