"""Where agreement first reaches a threshold, and where its increasing fit does: the arithmetic behind MDAD.

With the threshold as a fraction u/v, a bin's *excess* v·agree − u·pairs is a whole number, not negative exactly where the
bin's agreement reaches the threshold. The increasing (isotonic) fit weighted by pairs is the slope of the greatest convex
minorant of cumulated pairs and agreement, so it reaches the threshold from the first minimum of the prefix sums of
excesses on. Prefix sums add over runs: a resample of runs needs only the weighted sum of theirs.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics.counts import IntArray
from microbench_ray.metrics.pairs import FloatArray


class Crossings(NamedTuple):
    """First bins that reach the threshold, one per row; the number of bins where none does."""

    first: IntArray
    """(n_rows,) first bin that holds a pair and whose agreement reaches the threshold."""
    monotone: IntArray
    """(n_rows,) first bin that holds a pair and at which the increasing fit reaches it."""


def rational(threshold: float) -> Fraction:
    """The threshold as the fraction that it is written as: 0.8 is 4/5, though no float is; to four decimals.

    Raises
    ------
    ConfigError
        A threshold that is no share.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(
            "The threshold is an agreement: a fraction above 0 and at most 1.",
            where="threshold",
            got=repr(threshold),
            hint="for example 0.8",
        )
    return Fraction(str(float(threshold))).limit_denominator(10_000)


def prefix_sums(agree: IntArray, pairs: IntArray, threshold: Fraction, added: int = 1) -> FloatArray:
    """Prefix sums over bins of each row's excess, from all bins down to none.

    Each excess is scaled, and raised by one where the bin holds pairs. So a bin just at the threshold raises the sum and an
    empty one does not, while no other comparison changes, for sums of up to `added` rows.

    Parameters
    ----------
    agree, pairs
        (n_rows, n_bins) doubled counts.
    threshold
        As a fraction.
    added
        Rows that will be added up, with multiplicity.

    Returns
    -------
    array
        (n_rows, n_bins + 1) whole numbers, exact in float64 also when `added` rows are added; the last column is 0.

    Raises
    ------
    ConfigError
        So many pairs that such sums are not exact.
    """
    n_rows, n_bins = pairs.shape
    scale = added * n_bins + 1
    excess = threshold.denominator * agree - threshold.numerator * pairs
    sums = np.zeros((n_rows, n_bins + 1))
    np.cumsum(excess * float(scale) + (pairs > 0), axis=1, out=sums[:, 1:])
    if added * float(np.abs(sums).max(initial=0.0)) >= 2.0**53:
        raise ConfigError(
            "There are too many pairs to compare their agreement with this threshold exactly.",
            where="threshold",
            got=f"{threshold} for {int(pairs.sum()) // 2} pairs",
            hint="use a threshold with fewer decimals",
        )
    return np.ascontiguousarray(sums[:, ::-1])


def crossings(sums: FloatArray) -> Crossings:
    """Read both crossings off (n_rows, n_bins + 1) `prefix_sums`, or sums of them."""
    n_bins = sums.shape[1] - 1
    rises = (sums[:, :-1] > sums[:, 1:])[:, ::-1]
    first = rises.argmax(axis=1)
    never = ~rises[np.arange(first.size), first]
    # The first minimum in reverse order is the last: behind it the sum rises, so its bin holds pairs.
    return Crossings(np.where(never, n_bins, first), n_bins - sums.argmin(axis=1))


def row_order(sums: FloatArray) -> IntArray:
    """An order of the rows that depends on their values alone."""
    return sums.view(np.dtype((np.void, sums.itemsize * sums.shape[1]))).ravel().argsort()
