"""Pairs of models that are read item by item until one is known to be the better one, beside a test of a fixed size."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.betting import FiniteList, log_wealth

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]
SignArray = NDArray[np.int8]

VALUES_PER_BLOCK = 1 << 15
"""Differences handled at a time: they stay in the processor's cache."""
PARTS = (4, 2, 1)
"""All pairs are read up to a quarter of the items, and those without a verdict up to one half, and to the end."""


class Stopped(NamedTuple):
    """Pairs after they were read.

    Attributes
    ----------
    n_items
        (n_pairs,) items read: up to the verdict, or all.
    verdict
        (n_pairs,) 1: the first model is the better one, -1: the second, 0: no verdict.
    """

    n_items: NDArray[np.int64]
    verdict: SignArray


def stop_pairs(scores: FloatArray, first: IndexArray, second: IndexArray, n_listed: int, alpha: float) -> Stopped:
    """Read items in their order until a test by betting says which model of a pair is the better one.

    Each direction is tested at `alpha`. In random order, a model that is worse on the whole list is called the better one with a
    probability of at most `alpha`, and one of two equal models with at most twice that: see `betting`.

    Parameters
    ----------
    scores
        (n_models, n) in [0, 1], in the order in which items are read; NaN where missing, which counts as the worst case for either
        verdict.
    first, second
        (n_pairs,) rows of the two models.
    n_listed
        Items of the list that the verdict is about, of which these are the first.
    alpha
        Level.
    """
    n_pairs, n = first.size, scores.shape[1]
    n_items, verdict = np.full(n_pairs, n, np.int64), np.zeros(n_pairs, np.int8)
    listed, limit = FiniteList(n_listed), math.log(1 / alpha)
    least, largest = np.where(np.isnan(scores), 0.0, scores), np.where(np.isnan(scores), 1.0, scores)
    for part in PARTS:
        length, open_ = -(-n // part), np.flatnonzero(verdict == 0)
        step = max(1, VALUES_PER_BLOCK // max(1, length))
        for pairs in (open_[start : start + step] for start in range(0, open_.size, step)):
            one, other = first[pairs], second[pairs]
            gains = least[one, :length] - largest[other, :length], least[other, :length] - largest[one, :length]
            up, down = (_first_true(log_wealth(each, 0.0, listed, alpha) >= limit) for each in gains)
            n_items[pairs] = np.where(up == down, n, np.minimum(up, down) + 1)
            verdict[pairs] = np.sign(down - up)
    return Stopped(n_items, verdict)


def _first_true(reached: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n_rows,) place of the first true value of each row; the length of the row where there is none."""
    places: NDArray[np.int64] = np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])
    return places


def fixed_verdicts(scores: FloatArray, first: IndexArray, second: IndexArray, n_listed: int, alpha: float) -> SignArray:
    """Verdicts of one-sided tests of the mean difference after all items, each direction at `alpha`.

    By Student's distribution, with the correction for a sample of a finite list; after the whole list the means decide. Items that
    one of the two did not answer are left out.

    Parameters and values as for `stop_pairs`.
    """
    from scipy.special import stdtrit

    n_pairs, n = first.size, scores.shape[1]
    verdict = np.zeros(n_pairs, np.int8)
    step = max(1, VALUES_PER_BLOCK // max(1, n))
    for start in range(0, n_pairs, step):
        block = slice(start, start + step)
        difference = scores[first[block]] - scores[second[block]]
        known = ~np.isnan(difference)
        count = known.sum(axis=1)
        difference = np.where(known, difference, 0.0)
        mean = difference.sum(axis=1) / np.maximum(count, 1)
        squares = (np.square(difference - mean[:, None]) * known).sum(axis=1)
        variance = squares / np.maximum(count - 1, 1) / np.maximum(count, 1) * (1 - count / n_listed)
        bound = stdtrit(np.maximum(count - 1, 1), 1 - alpha) * np.sqrt(variance)
        enough = (np.abs(mean) > bound + 1e-12) & ((count > 1) | (count == n_listed))
        verdict[block] = np.where(enough, np.sign(mean), 0)
    return verdict
