"""How often random items order two models as all items do, by drawing samples: for scores that have no exact sum.

Models that did not answer the same items have means with different denominators, and graded scores tie in many ways; for one pair
of models it is simplest to draw. A sample holds so many items of every kind, multivariate hypergeometric, where a kind is a pair of
responses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from microbench_ray.metrics.closed_form import OrderProbabilities
from microbench_ray.metrics.pairs import TIE_TOLERANCE, FloatArray

DRAWS, MAX_NUMBERS = 1 << 16, 1 << 22
"""Samples drawn, fewer where they have many kinds of items: the standard error of a probability is at most 0.002, or 0.004."""
MAX_KINDS = 200
"""More kinds of items than this take too long to draw; on so fine a grid, ties are rare and the normal approximation is good."""


def simulated_order(
    better: npt.NDArray[Any], worse: npt.NDArray[Any], missing: int | None, size: int, rng: np.random.Generator
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

    Returns
    -------
    OrderProbabilities or None
        None where the responses are of more than `MAX_KINDS` kinds.
    """
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
