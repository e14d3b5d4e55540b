"""How probable it is that two micro-scores are in the right order, among the pairs of models at that level of accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.fractions import fractions_hint
from microbench_ray.metrics.closed_form import normal_moments, probability_at_least
from microbench_ray.metrics.items_needed import check_size
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.micro.reference import Reference, reference_of, unweighted_only

LEVEL_WIDTH = 1.5
"""Standard errors of a micro-score, around the mean of the two scores, within which models are at their level.

Measured on seven real boards: among their best models, orders are right about as often as said (`studies/order_calibration.py`)."""
MIN_LEVEL_MODELS = 4
"""Models at the level at least: the nearest ones, where fewer lie in the range."""


class PosteriorRanking(NamedTuple):
    """The posterior probability that two micro-scores are in the right order."""

    size: int
    scores: tuple[float, float]
    difference: float
    right: float | None
    """None for equal micro-scores."""
    expected_difference: float
    """Posterior mean of the models' true difference, in the direction of the micro-scores."""
    n_pairs: int
    """Pairs that the answer speaks of: those of the models at the level of the micro-scores."""
    accuracy_low: float
    """Least and greatest accuracy of these models."""
    accuracy_high: float
    reference: Reference
    """What the order is right on: the benchmark's items, or the population that they are a sample of."""


def posterior_ranking_probability(
    pairs: PairMoments, scores: Sequence[float], size: int, *, level_width: float = LEVEL_WIDTH
) -> PosteriorRanking:
    """Posterior probability that two micro-scores are in the right order, with a uniform prior over the pairs at their level.

    That is the share, among these pairs and draws of `size` random items that show this difference of micro-scores, of those that
    show it in the right order. Pairs tied on all items count as not right. The pairs are those of models whose accuracies lie
    between the two scores, or within `level_width` standard errors of a score from their mean: pairs of models that are further
    apart are easily put in order, and would make the order of two of the best look surer than it is.

    Parameters
    ----------
    pairs
        Of a benchmark of models like these.
    scores
        Two micro-scores, fractions.
    size
        Items that they were measured on.
    level_width
        As above; `math.inf` for all pairs of the benchmark.

    Raises
    ------
    ConfigError
        The scores are not two numbers in [0, 1], or the size is outside the benchmark.
    DataError
        No pair of the benchmark shows such a difference with a probability above 1e-9; or items that count differently.
    """
    if pairs.weighted:
        raise unweighted_only("scores", str(list(scores)))
    check_scores(scores)
    check_size(size, pairs.n_items)
    reference = reference_of(size, pairs.n_items)
    near, low, high = pairs_at_level(pairs, scores, size, level_width)
    mean, deviation = normal_moments(near, size, population=reference == "population")
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
        right = float(right_order[near.difference > 0].sum()) / total
        expected = float(((right_order - wrong_order) * near.difference).sum()) / total
    return PosteriorRanking(
        size=size,
        scores=(scores[0], scores[1]),
        difference=difference,
        right=right,
        expected_difference=expected,
        n_pairs=near.n_pairs,
        accuracy_low=low,
        accuracy_high=high,
        reference=reference,
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


def pairs_at_level(pairs: PairMoments, scores: Sequence[float], size: int, level_width: float) -> tuple[PairMoments, float, float]:
    """The pairs of models at the level of two micro-scores, and the least and greatest accuracy of these models."""
    accuracy: FloatArray = pairs.accuracy
    level = (scores[0] + scores[1]) / 2
    error = math.sqrt(level * (1 - level) / size)
    margin = level_width * error if error else 0.0
    distance = np.abs(accuracy - level)  # NaN, which compares as false, for models without responses
    n_answering = int(np.count_nonzero(~np.isnan(accuracy)))
    reach = max(margin, float(np.sort(distance)[min(MIN_LEVEL_MODELS, n_answering) - 1]))
    low, high = min(scores[0], scores[1], level - reach), max(scores[0], scores[1], level + reach)
    inside = (accuracy >= low - 1e-12) & (accuracy <= high + 1e-12)
    near = pairs.take(inside[pairs.higher] & inside[pairs.lower])
    return near, float(accuracy[inside].min()), float(accuracy[inside].max())
