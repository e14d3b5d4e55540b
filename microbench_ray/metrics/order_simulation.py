"""How often random items order models as all items do, by drawing samples: for scores that have no exact sum.

Models that did not answer the same items have means with different denominators, and graded scores tie in many ways and may have
heavy tails, for which the normal approximation needs more than a hundred items. For one pair of models a sample holds so many items
of every kind, multivariate hypergeometric, where a kind is a pair of responses; all pairs are ordered by the same drawn items.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from microbench_ray.metrics.closed_form import OrderProbabilities
from microbench_ray.metrics.counts import IntArray
from microbench_ray.metrics.pairs import TIE_TOLERANCE, FloatArray

DRAWS, MAX_NUMBERS = 1 << 16, 1 << 22
"""Samples drawn, fewer where they have many kinds of items: the standard error of a probability is at most 0.002, or 0.004."""
SIMULATED_SIZES = 200
"""Items in the sample, or left out of it, up to which all pairs are simulated; with more, the normal approximation is good."""
SAMPLES, MAX_KEYS, MAX_COMPARISONS = 8_000, 1 << 25, 1 << 27
"""Samples that order all pairs; fewer where their items, or the comparisons of all pairs, would be more than these."""
MAX_WEIGHTED_KINDS = 1000
"""The same as `MAX_KINDS` where items count differently, which makes more kinds: the standard error is at most 0.008."""
MAX_KINDS = 200
"""More kinds of items than this take too long to draw; on so fine a grid, ties are rare and the normal approximation is good."""


def simulated_order(
    better: npt.NDArray[Any],
    worse: npt.NDArray[Any],
    missing: int | None,
    size: int,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
) -> OrderProbabilities | None:
    """Probabilities, (1,) each, that the mean over `size` random items is higher for `better`, and that the two are tied.

    Parameters
    ----------
    better, worse
        (n_items,) whole numbers, the scores of two models.
    missing
        The number that marks a missing response; None where no response is missing. A model without a response in the sample ties.
    size
        Items in a sample, 1 to n_items.
    rng
        Draws the samples.
    weights
        (n_items,) what each item counts in a mean, 1 on average; None where all count the same.

    Returns
    -------
    OrderProbabilities or None
        None where the responses are of more than `MAX_KINDS` kinds.
    """
    if weights is not None:
        return _weighted_order(better, worse, missing, size, rng, weights)
    kinds, counts = np.unique(np.stack([better, worse]).astype(np.int64), axis=1, return_counts=True)
    if counts.size > MAX_KINDS:
        return None
    drawn = rng.multivariate_hypergeometric(counts, size, size=min(DRAWS, MAX_NUMBERS // counts.size)).astype(np.float64)

    def means(scores: npt.NDArray[np.int64]) -> FloatArray:
        present = np.ones(scores.size, bool) if missing is None else scores != missing
        with np.errstate(invalid="ignore"):
            mean: FloatArray = (drawn @ np.where(present, scores, 0)) / (drawn @ present.astype(np.float64))
        return mean

    difference = np.nan_to_num(means(kinds[0]) - means(kinds[1]), nan=0.0)
    tied = np.abs(difference) <= TIE_TOLERANCE
    return OrderProbabilities(right=np.array([np.mean((difference > 0) & ~tied)]), tied=np.array([np.mean(tied)]))


def _weighted_order(
    better: npt.NDArray[Any], worse: npt.NDArray[Any], missing: int | None, size: int, rng: np.random.Generator, weights: FloatArray
) -> OrderProbabilities | None:
    """`simulated_order` where items count differently: a kind of item has a weight as well."""
    if missing is None:  # the order is that of the sums of the weighted differences
        terms, counts = np.unique(weights * (better.astype(np.float64) - worse), return_counts=True)
        kinds = np.stack([np.ones(terms.size), terms, np.zeros(terms.size)])
    else:
        of_items = [weights, *(np.where(scores == missing, -1.0, scores) for scores in (better, worse))]
        kinds, counts = np.unique(np.stack(of_items), axis=1, return_counts=True)
    if counts.size > MAX_WEIGHTED_KINDS:
        return None
    drawn = rng.multivariate_hypergeometric(counts, size, size=min(DRAWS, MAX_NUMBERS // counts.size)).astype(np.float64)
    means = []
    for scores in kinds[1:]:
        present = kinds[0] if missing is None else np.where(scores < 0, 0.0, kinds[0])
        with np.errstate(invalid="ignore"):
            means.append((drawn @ (scores * present)) / (drawn @ present))
    difference = np.nan_to_num(means[0] - means[1], nan=0.0)
    even = np.abs(difference) <= TIE_TOLERANCE * max(1.0, float(np.abs(kinds[1:]).max()))
    return OrderProbabilities(right=np.array([np.mean((difference > 0) & ~even)]), tied=np.array([np.mean(even)]))


class SimulatedOrders:
    """How often random items order each pair of models, from samples that are drawn once for all pairs and sizes.

    The items of a smaller sample are among those of a larger one, so that probabilities change little from one size to the next.

    Parameters
    ----------
    scores
        (n_models, n_items) whole numbers.
    missing
        The number that marks a missing response; None where no response is missing.
    rng
        Draws the samples.
    weights
        (n_items,) what each item counts in a mean, 1 on average; None where all count the same.
    """

    def __init__(
        self, scores: npt.NDArray[Any], missing: int | None, rng: np.random.Generator, weights: FloatArray | None = None
    ) -> None:
        n_models, n_items = scores.shape
        present = np.ones(scores.shape, bool) if missing is None else scores != missing
        values = np.where(present, scores, 0).astype(np.int64)
        self._largest = 0 if weights is None else int(values.max())
        self._values = np.ascontiguousarray(values.T if weights is None else (values * weights).T)
        self._present = np.ascontiguousarray(present.T if weights is None else (present * weights).T)
        self.n_samples = int(max(100, min(SAMPLES, MAX_KEYS // n_items, MAX_COMPARISONS // n_models**2)))
        self._order = rng.permuted(np.tile(np.arange(n_items, dtype=np.int32), (self.n_samples, 1)), axis=1)
        self.probabilities = lru_cache(maxsize=64)(self._probabilities)

    def covers(self, size: int) -> bool:
        """Whether samples of a size are simulated."""
        return min(size, len(self._values) - size) <= SIMULATED_SIZES

    def _probabilities(self, size: int) -> npt.NDArray[np.float32]:
        """(n_models, n_models) share of the samples of `size` items in which the first model has the higher mean.

        Models of which a sample holds no response are tied with all others.
        """
        from microbench_ray.metrics.order_kernel import order_counts  # imports numba

        # Products of equal means differ by rounding where items have weights; whole numbers do not.
        tolerance = TIE_TOLERANCE * self._largest * size * size if self._largest else 0
        above: IntArray = order_counts(self._values, self._present, self._order, size, tolerance)
        return (above / self.n_samples).astype(np.float32)
