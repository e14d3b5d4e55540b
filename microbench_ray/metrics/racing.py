"""Which of several models is the best one: models are eliminated by bets that others are ahead of them.

All models answer the same items of a finite list, in random order. If model k is the best one, no other one has a larger mean, nor
has any average of the others whose weights are fixed before the next item is seen: the expected value of Σ w_j x_j − x_k at the
next item is at most what follows from the sums so far, Σ w_j (S_k − S_j) / (N − t + 1). Bets on it, as in `betting`, multiply a
wealth that is a supermartingale as long as k is the best one. So the best model is eliminated with a probability of at most α,
however many models there are: no other hypothesis is wrong to refute.

The weights follow the leaders: w_j ∝ exp(−t (m − m_j)² / 2v), with the means so far of the models that are not out, and the
largest one m. As v is much less than the variance of a difference, nearly all the weight is on models that are as good as the
best one so far.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.betting import CAP, PRIOR_VARIANCE, ROUNDING, horizons

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SPREAD = 0.02
"""v: from .005 to .05 races take as many answers, within 2 %."""
RANGE = 2.0
"""Of a difference of two scores in [0, 1]."""


def elimination_times(
    least: FloatArray, largest: FloatArray, n_listed: int, alpha: float, head: NDArray[np.intp] | None = None
) -> IntArray:
    """After how many items each model is certainly not the best one.

    The answers of an eliminated model are ignored from the next item on. The last model is never eliminated.

    Parameters
    ----------
    least, largest
        (…, n_models, n) scores in [0, 1] in the order in which items are read; they differ where a score is missing.
    n_listed
        Size N of the list.
    alpha
        Largest probability that the best model is eliminated.
    head
        (n_models,) how many items each model has answered; None: all. An item that a model in the race has not answered does not
        count, nor do those after it.

    Returns
    -------
    numpy.ndarray
        (…, n_models); 0 for a model that is still in the race.
    """
    out: IntArray = np.zeros(least.shape[:-1], np.int64)
    low, high, total, squares = (np.zeros(out.shape) for _ in range(4))
    lengths = horizons(n_listed)
    wealth = np.zeros((lengths.size, *out.shape))
    limit = math.log(lengths.size / alpha)
    for t in range(least.shape[-1]):
        active = out == 0
        going: NDArray[np.bool_] = active.sum(axis=-1) > 1
        if head is not None:
            going = going & (~active | (head > t)).all(axis=-1)
        if not going.any():
            break
        playing, left = active & going[..., None], n_listed - t
        x, y = least[..., t], largest[..., t]
        ahead, of_next = leaders(low, x, active, t)
        value, expected = of_next - y, (high - ahead) / left  # of the next item, if the model is the best one
        variance = (PRIOR_VARIANCE * RANGE**2 + np.maximum(squares - total**2 / max(t, 1), 0.0)) / (1 + t)
        bet = np.sqrt(2 * math.log(1 / alpha) / variance / n_listed) * (n_listed / left)
        cap = np.where(expected < 1, CAP / np.maximum(expected + 1, ROUNDING), 0.0)
        gain = np.where(expected < -1, 0.0, value - expected)
        for k, length in enumerate(lengths):
            share = np.minimum(bet * math.sqrt(n_listed / length), cap)
            wealth[k] += np.where(playing, np.log1p(np.maximum(share * gain, -CAP)), 0.0)
        for sums, own in ((total, value), (squares, np.square(value)), (low, x), (high, y)):
            sums += np.where(playing, own, 0.0)
        best = np.where(active, low, -np.inf).max(axis=-1, keepdims=True)
        certain = best - high - (left - 1) > ROUNDING * n_listed  # the items left cannot make up for it
        beaten = playing & (certain | (np.logaddexp.reduce(wealth, axis=0) >= limit))
        leader = np.argmax(np.where(active, low, -np.inf), axis=-1, keepdims=True) == np.arange(out.shape[-1])
        none_left = (beaten == active).all(axis=-1)[..., None]
        out[beaten & ~(none_left & leader)] = t + 1
    return out


def leaders(sums: FloatArray, scores: FloatArray, active: NDArray[np.bool_], t: int) -> tuple[FloatArray, FloatArray]:
    """(…, n_models) of each model, the weighted averages over the others of their sums before and of their scores on an item."""
    mean = np.where(active, sums / max(t, 1), -np.inf)
    first = np.argmax(mean, axis=-1, keepdims=True) == np.arange(mean.shape[-1])
    others = np.where(first, -np.inf, mean)
    weights, of_first = (_weights(each, t) for each in (mean, others))
    rest = np.maximum(weights.sum(axis=-1, keepdims=True) - weights, ROUNDING)
    found = []
    for values in (sums, scores):
        weighted = weights * values
        average = (weighted.sum(axis=-1, keepdims=True) - weighted) / rest
        own = (of_first * values).sum(axis=-1, keepdims=True) / np.maximum(of_first.sum(axis=-1, keepdims=True), ROUNDING)
        found.append(np.where(first, own, average))
    return found[0], found[1]


def _weights(mean: FloatArray, t: int) -> FloatArray:
    """Weights by how far each mean is behind the largest one; 0 for −∞."""
    gap = mean.max(axis=-1, keepdims=True) - np.where(np.isinf(mean), 0.0, mean)
    weights: FloatArray = np.where(np.isinf(mean), 0.0, np.exp(-t * np.square(gap) / (2 * SPREAD)))
    return weights
