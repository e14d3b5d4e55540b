"""Anytime-valid evidence about the mean of a finite list that is looked at in random order: tests by betting.

A list of N values in [low, high] with the mean μ is read in random order, without replacement. After t − 1 values with the sum
S, the next one has the expectation m_t(μ) = (N μ − S) / (N − t + 1). A bet of the share λ_t, fixed before the value is seen,
multiplies a wealth of 1:

    W_t(m) = ∏ (1 + λ_s (x_s − m_s(m))),    0 ≤ λ_s < 1 / (m_s(m) − low).

If μ ≤ m, the expected factor is at most 1 (it is 1 + λ_t N (μ − m) / (N − t + 1)), so W(m) is a non-negative supermartingale, and
by Ville's inequality it ever reaches 1/α with probability at most α, however often it is looked at (Waudby-Smith and Ramdas 2020,
"Confidence sequences for sampling without replacement", and 2024, "Estimating means of bounded random variables by betting",
JRSS B 86, section 5). The values m that are not yet refuted form a confidence sequence.

The bets. For a mean that differs from m by Δ, the logarithm grows most with λ = Δ/σ²; the difference that takes T values to refute
m has λ = √(2 log(1/α) / (σ² T)). The wealth is therefore the average over bets for several horizons T, from the whole list down (a
mixture of martingales is one), and σ² is estimated from the values before. Near the end of a list the remaining values make up for
what m lacks: both grow by N/(N − t + 1), and so do the bets. Bets do not depend on m unless they are capped, and every factor
falls in m, so that what is refuted is a half-line.

Predictions. Let g be predicted values whose mean over the list is known, fixed before the values are seen. The next one has the
known expectation ḡ_t, so that x_t − β_t (g_t − ḡ_t) has the expectation m_t for every β_t that depends on values before only (a
control variate). Bets on it keep the guarantee whatever g is, and need as many fewer values as the residual's variance is smaller.
The slope is that of a regression on the values before, which starts at 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

STEP = 3.0
"""Ratio of two horizons."""
SHORTEST = 30
"""Least items of a horizon."""
CAP = 0.5
"""Share of the wealth that a single value can take at most."""
PRIOR_VARIANCE = 1 / 16
"""Variance before any value was seen, in units of the squared range; it weighs as much as one value."""
PRIOR_SQUARES = 1.0
"""Weight of a slope of 1 of the predictions, in units of the sum of their squared deviations."""
MAX_SLOPE = 2.0
POINTS = 33
"""Candidates of each round of the search for an end of an interval."""
ROUNDS = 4
ROUNDING = 1e-12


class Predictions(NamedTuple):
    """Predicted values in [0, 1] of a list.

    Attributes
    ----------
    values
        (n,) of the values that were seen, in their order.
    mean
        Of the whole list.
    """

    values: FloatArray
    mean: float


class FiniteList(NamedTuple):
    """What is known of a list before its values are seen.

    Attributes
    ----------
    n_items
        Its size N.
    low, high
        Range of the values.
    predictions
        Predicted values; None without any.
    """

    n_items: int
    low: float = -1.0
    high: float = 1.0
    predictions: Predictions | None = None

    def mirrored(self) -> FiniteList:
        """The list of the negative values. Predictions become 1 − g: a slope of 1 remains one."""
        g = self.predictions
        return FiniteList(self.n_items, -self.high, -self.low, None if g is None else Predictions(1 - g.values, 1 - g.mean))


class Bounds(NamedTuple):
    """Ends of an interval of a mean."""

    low: float
    high: float


def horizons(n_items: int) -> FloatArray:
    """Numbers of items after which the bets of the mixture would refute a value: the whole list, and shorter ones."""
    count = 1 + max(0, math.floor(math.log(n_items / SHORTEST) / math.log(STEP))) if n_items > SHORTEST else 1
    return np.maximum(n_items / STEP ** np.arange(count), 1.0)


def log_wealth(values: ArrayLike, null: ArrayLike, of: FiniteList, alpha: float) -> FloatArray:
    """Logarithm of the wealth of bets against a mean of at most `null`, after each value.

    Parameters
    ----------
    values
        (…, n) values of the list, n at most N, in the random order in which they were seen.
    null
        (…) values of the mean that are tested; broadcast against the leading axes of `values`.
    of
        The list.
    alpha
        Level that the bets aim at; any level can be tested with the result.

    Returns
    -------
    numpy.ndarray
        (…, n) The probability that it ever reaches log(1/α) is at most α if the mean is at most `null`. Infinite from where on the
        values left cannot lower the mean to `null`.
    """
    x = np.asarray(values, np.float64)
    n_items, low, high, predictions = of
    seen = np.arange(x.shape[-1])
    left = n_items - seen
    tested = np.asarray(null, np.float64)[..., None]
    total = np.cumsum(x, axis=-1)
    expected = (n_items * tested - (total - x)) / left  # of the next value, if the mean is the tested one
    offset, below = (0.0, 0.0) if predictions is None else _offsets(x, predictions, n_items)
    residual = x - offset
    bet = np.sqrt(2 * math.log(1 / alpha) / _variance_before(residual, (high - low) ** 2) / n_items) * (n_items / left)
    largest = np.where(expected < high, CAP / np.maximum(expected - low + below, ROUNDING), 0.0)
    gain = np.where(expected < low, 0.0, residual - expected)  # below the range the tested mean is refuted
    lengths = horizons(n_items)
    wealth = np.full(np.broadcast_shapes(x.shape, expected.shape), -np.inf)
    for length in lengths:
        share = np.minimum(bet * math.sqrt(n_items / length), largest)
        wealth = np.logaddexp(wealth, np.cumsum(np.log1p(np.maximum(share * gain, -CAP)), axis=-1))
    certain = np.maximum.accumulate((total + (left - 1) * low) / n_items > tested + ROUNDING, axis=-1)
    result: FloatArray = np.where(certain, np.inf, wealth - math.log(len(lengths)))
    return result


def _variance_before(values: FloatArray, spread: float) -> FloatArray:
    """(…, n) variance of the values before each one, with one more of `PRIOR_VARIANCE`."""
    seen = np.arange(values.shape[-1])
    before = np.cumsum(values, axis=-1) - values
    squares = np.cumsum(np.square(values), axis=-1) - np.square(values)
    deviations: FloatArray = np.maximum(squares - before**2 / np.maximum(seen, 1), 0.0)
    return (PRIOR_VARIANCE * spread + deviations) / (1 + seen)


def _offsets(x: FloatArray, predictions: Predictions, n_items: int) -> tuple[FloatArray, FloatArray]:
    """(…, n) β_t (g_t − ḡ_t), and the most that it may be for any prediction in [0, 1]."""
    g = np.asarray(predictions.values, np.float64)
    seen = np.arange(x.shape[-1])
    expected = (n_items * predictions.mean - (np.cumsum(g, axis=-1) - g)) / (n_items - seen)
    centred = g - predictions.mean
    products = np.cumsum(x * centred, axis=-1) - x * centred
    before = np.cumsum(centred, axis=-1) - centred
    mean = (np.cumsum(x, axis=-1) - x) / np.maximum(seen, 1)
    squares = np.cumsum(np.square(centred), axis=-1) - np.square(centred)
    slope = np.clip((PRIOR_SQUARES + products - mean * before) / (PRIOR_SQUARES + squares), 0.0, MAX_SLOPE)
    return slope * (g - expected), slope * (1 - expected)


def refutes(values: ArrayLike, null: float, of: FiniteList, alpha: float) -> bool:
    """Whether a mean of at most `null` has been refuted at some time; parameters as for `log_wealth`."""
    return bool(log_wealth(values, null, of, alpha).max(initial=-np.inf) >= math.log(1 / alpha))


def lower_bound(values: ArrayLike, of: FiniteList, alpha: float, thresholds: tuple[float, ...] = ()) -> float:
    """The lower end of a confidence sequence: a value such that smaller means have been refuted.

    Parameters
    ----------
    values
        (n,) values of the list in the order in which they were seen.
    of
        The list.
    alpha
        Probability that the true mean is ever below the bound.
    thresholds
        Means that are tested exactly; the search for others stops within (high − low) / 10⁶ of the end.
    """
    x = np.asarray(values, np.float64)
    limit = math.log(1 / alpha)
    if not x.size:
        return of.low
    if x.size == of.n_items:
        return float(x.mean())
    refuted, standing = of.low, of.high
    for _ in range(ROUNDS):
        tested = np.linspace(refuted, standing, POINTS)[1:-1]
        wealth = log_wealth(x, tested, of, alpha)
        out = wealth.max(axis=-1) >= limit
        last = int(out.sum())  # refuted means are a half-line
        refuted, standing = (
            tested[last - 1] if last else refuted,
            tested[last] if last < tested.size else standing,
        )
    for threshold in sorted(thresholds):
        if threshold >= refuted and refutes(x, threshold, of, alpha):
            refuted = max(refuted, threshold + 2 * ROUNDING)
    return float(refuted)


def bounds_of_mean(
    least: ArrayLike, largest: ArrayLike, of: FiniteList, alpha: float, thresholds: tuple[float, ...] = ()
) -> Bounds:
    """A confidence sequence at the last value seen.

    Parameters
    ----------
    least, largest
        (n,) values in the order in which they were seen; they differ where a value is only known to lie between.
    of
        The list.
    alpha
        Of each end.
    thresholds
        As for `lower_bound`.
    """
    against = tuple(-each for each in thresholds)
    negative = -np.asarray(largest, np.float64)
    return Bounds(low=lower_bound(least, of, alpha, thresholds), high=-lower_bound(negative, of.mirrored(), alpha, against))
