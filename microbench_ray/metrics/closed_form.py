"""Uniform random sampling without sampling: how often n random items order two models as all N items do.

For scores of 0 and 1 all that matters of a pair is on how many items only the one was right (b) and only the other (c): the
sample holds B and C of them, multivariate hypergeometric, and orders the pair as B - C. In general B - C is the sum of the
differences of n of N items, with mean n D/N and variance n (N-n)/(N-1) (Q/N - (D/N)²), D and Q the sums of differences and of
their squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS, IntArray
from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pairs import FloatArray, IndexArray
from microbench_ray.metrics.ties import TiePolicy

EXACT_SIZE = 10
"""Up to so many items the hypergeometric sum is cheap (66 terms) and the normal approximation at its worst."""
ITEMS_PER_BLOCK = 2048
PAIRS_PER_BLOCK = 1 << 14


class Ordered(NamedTuple):
    """What a sample says of each pair."""

    right: FloatArray
    """(n_pairs,) probability that it orders the pair as the whole does."""
    tied: FloatArray
    """(n_pairs,) probability that it ties the pair."""


class ExpectedCounts(NamedTuple):
    """Expected pair counts of one run of uniform random sampling, by bin of true difference."""

    n_pairs: FloatArray
    """(201,) pairs that differ on the whole benchmark."""
    n_agree: FloatArray
    """(201,) of those, ordered right."""
    n_tied: FloatArray
    """(201,) of those, tied in the sample."""


@dataclass(frozen=True, eq=False)
class PairMoments:
    """All pairs of models, the better one first; what closed forms need of them.

    Parameters
    ----------
    higher, lower
        (n_pairs,) positions of the models; in stored order where they are tied.
    difference
        (n_pairs,) D, at least 0: sum of score differences over the items that both answered, in units of 1/units.
    squares
        (n_pairs,) Q: sum of their squares, in units of 1/units²; for 0/1 scores the items that only one of the two got right.
    shared
        (n_pairs,) items that both answered, at least 1.
    units, n_items
        Grid of the scores; items in the benchmark.
    """

    higher: IndexArray
    lower: IndexArray
    difference: IntArray
    squares: FloatArray
    shared: IntArray
    units: int
    n_items: int

    @cached_property
    def bins(self) -> IntArray:
        """(n_pairs,) bin of the true difference, worked out in integers; pairs that are tied on the whole are in bin 0."""
        return self.difference * BINS_PER_UNIT // (self.units * self.shared)

    def take(self, chosen: npt.NDArray[Any]) -> PairMoments:
        """Some of the pairs."""
        fields = ("higher", "lower", "difference", "squares", "shared")
        return replace(self, **{name: getattr(self, name)[chosen] for name in fields})


def pair_moments(scores: npt.NDArray[Any], missing: int | None = None, units: int = 1) -> PairMoments:
    """Differences of all pairs by matrix products, over the items that both models answered.

    Parameters
    ----------
    scores
        (n_models, n_items) whole numbers in units of 1/units.
    missing
        The number that marks a missing response; None where there is none.
    units
        Grid of the scores.

    Raises
    ------
    DataError
        Fewer than two models, no items, or no pair that shares an item.
    """
    if scores.ndim != 2 or scores.shape[0] < 2 or scores.shape[1] < 1:
        raise DataError("Pairs need at least two models and an item.", where="pair_moments", got=f"shape {scores.shape}")
    n_models, n_items = scores.shape
    # Products of one block are whole numbers that float32 holds exactly up to 2**24.
    kind: Any = np.float32 if units**2 * ITEMS_PER_BLOCK <= 1 << 24 else np.float64
    sums = np.zeros((n_models, n_models))
    products, squares, shared = np.zeros_like(sums), np.zeros_like(sums), np.zeros_like(sums)
    for start in range(0, n_items, ITEMS_PER_BLOCK):
        block = scores[:, start : start + ITEMS_PER_BLOCK]
        if missing is None:
            values = block.astype(kind)
            sums += values.sum(axis=1)[:, None]
            squares += np.square(values).sum(axis=1)[:, None]
            shared += block.shape[1]
        else:
            there = (block != missing).astype(kind)
            values = np.where(block == missing, 0, block).astype(kind)
            sums += values @ there.T
            squares += np.square(values) @ there.T
            shared += there @ there.T
        products += values @ values.T
    first, second = np.nonzero(np.triu(shared > 0, 1))
    if not first.size:
        raise DataError("No two models answered the same item.", where="pair_moments", got=f"{n_models} models")
    difference = np.rint(sums - sums.T)[first, second].astype(np.int64)
    total = np.maximum(0.0, squares + squares.T - 2 * products)[first, second]
    swap = difference < 0
    higher, lower = np.where(swap, second, first), np.where(swap, first, second)
    return PairMoments(higher, lower, np.abs(difference), total, shared[first, second].astype(np.int64), units, n_items)


def normal_moments(pairs: PairMoments, size: int) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) mean and standard deviation of the difference of the sample's sums, in units of 1/units.

    Where some responses are missing, a sample of n of N items is taken as n M/N of the M items that both models answered.
    """
    check_size(size, pairs.n_items)
    shared = pairs.shared.astype(np.float64)
    drawn = size * shared / pairs.n_items
    mean = pairs.difference / shared
    per_item = np.maximum(0.0, pairs.squares / shared - mean**2)
    variance = drawn * (shared - drawn) / np.maximum(shared - 1, 1) * per_item
    return drawn * mean, np.sqrt(np.maximum(0.0, variance))


def above(mean: FloatArray, deviation: FloatArray, least: float) -> FloatArray:
    """(n_pairs,) probability that a whole number is at least `least`, as the normal above `least` - 1/2 (continuity correction).

    Without deviation the number is its mean.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = normal_share((mean - least + 0.5) / deviation)
    return np.where(deviation > 0, share, np.asarray(mean > least - 1, np.float64))


def order_by_normal(pairs: PairMoments, size: int) -> Ordered:
    """Probabilities by the normal approximation with a half-unit continuity correction; any scores."""
    mean, deviation = normal_moments(pairs, size)
    right, wrong = above(mean, deviation, 1.0), above(-mean, deviation, 1.0)
    return Ordered(right, np.maximum(0.0, 1 - right - wrong))


def order_exactly(pairs: PairMoments, size: int) -> Ordered:
    """Probabilities by the multivariate hypergeometric sum, for scores of 0 and 1; (n+1)(n+2)/2 terms per pair.

    Where some responses are missing, the sample is n M/N of the M items that both answered, rounded to a whole number, at least 1.

    Raises
    ------
    ConfigError
        Graded scores, or a size that is not 1 to n_items.
    """
    check_size(size, pairs.n_items)
    if pairs.units != 1:
        raise ConfigError("Exact probabilities are for scores of 0 and 1.", where="order_exactly", got=f"units={pairs.units}")
    log_factorial = np.array([math.lgamma(n + 1) for n in range(int(pairs.shared.max()) + 2)])

    def choose(n: IntArray, k: Any) -> FloatArray:
        """Log of n over k; -inf where k is more than n."""
        left = n - k
        ways = log_factorial[n] - log_factorial[k] - log_factorial[np.maximum(left, 0)]
        return np.where(left < 0, -np.inf, ways)

    right, tied = np.zeros(pairs.shared.size), np.zeros(pairs.shared.size)
    for start in range(0, right.size, PAIRS_PER_BLOCK):
        part = slice(start, start + PAIRS_PER_BLOCK)
        shared = pairs.shared[part]
        drawn = np.maximum(1, np.rint(size * shared / pairs.n_items)).astype(np.int64)
        only_one = (np.rint(pairs.squares[part]).astype(np.int64) + pairs.difference[part]) // 2
        only_other = only_one - pairs.difference[part]
        same = shared - only_one - only_other
        whole = choose(shared, drawn)
        for b in range(int(drawn.max()) + 1):
            if not (some := only_one >= b).any():
                break
            first = choose(only_one, np.where(some, b, 0))
            for c in range(min(b, int(drawn.max()) - b) + 1):
                rest = drawn - b - c
                fits = some & (rest >= 0) & (only_other >= c)
                if not fits.any():
                    break
                log = first + choose(only_other, np.where(fits, c, 0)) + choose(same, np.maximum(rest, 0)) - whole
                (right if b > c else tied)[part] += np.where(fits, np.exp(log), 0.0)
    return Ordered(np.minimum(right, 1.0), np.minimum(tied, 1.0))


def order_probabilities(pairs: PairMoments, size: int) -> Ordered:
    """Exact up to `EXACT_SIZE` items of 0/1 scores, else by the normal. Pairs that are tied on the whole have no right order."""
    return order_exactly(pairs, size) if pairs.units == 1 and size <= EXACT_SIZE else order_by_normal(pairs, size)


def expected_counts(pairs: PairMoments, size: int) -> ExpectedCounts:
    """Expected pair counts by bin of true difference, for uniform random sampling of `size` items, all seen, and their mean."""
    apart = pairs.difference > 0
    ordered, bins = order_probabilities(pairs, size), pairs.bins[apart]
    weights = None, ordered.right[apart], ordered.tied[apart]
    return ExpectedCounts(*(np.bincount(bins, each, minlength=N_BINS).astype(np.float64) for each in weights))


def expected_agreeing(counts: ExpectedCounts, tie_policy: TiePolicy = "wrong") -> tuple[FloatArray, FloatArray]:
    """(201,) agreeing pairs and the pairs that they are out of; ConfigError for a policy other than wrong, half and drop."""
    if tie_policy == "wrong":
        return counts.n_agree, counts.n_pairs
    if tie_policy == "half":
        return counts.n_agree + counts.n_tied / 2, counts.n_pairs
    if tie_policy == "drop":
        return counts.n_agree, counts.n_pairs - counts.n_tied
    raise ConfigError("This tie policy has no closed form.", where="tie_policy", got=repr(tie_policy), hint="wrong, half or drop")


def expected_mdad(counts: ExpectedCounts, threshold: float = 0.8, tie_policy: TiePolicy = "wrong") -> float:
    """MDAD of the increasing fit to the expected agreement: a bin's lower edge; NaN where the threshold is never reached."""
    if not 0 < threshold <= 1:
        raise ConfigError("The threshold is a fraction above 0 and at most 1.", where="threshold", got=repr(threshold), hint="0.8")
    agree, out_of = expected_agreeing(counts, tie_policy)
    # The least sum of what is missing or in excess below a bin marks the crossing; what rounding takes away is given back.
    sums = np.concatenate([[0.0], np.cumsum(agree - (threshold - 1e-9) * out_of)])
    bin_ = sums.size - 1 - int(np.argmin(sums[::-1]))
    return bin_ / BINS_PER_UNIT if bin_ < N_BINS else float("nan")


def smallest_size(pairs: PairMoments, wanted: float, threshold: float = 0.8, tie_policy: TiePolicy = "wrong") -> int | None:
    """The smallest number of random items whose MDAD is at most `wanted`, by bisection over sizes.

    None where even all items do not reach it: no pair of the benchmark differs by so little or less.

    Raises
    ------
    ConfigError
        A wanted difference outside (0, 1], or as for `expected_mdad`.
    """
    if not 0 < wanted <= 1:
        raise ConfigError(
            "The wanted difference is a fraction above 0.", where="wanted", got=repr(wanted), hint="0.01 for one point"
        )

    def suffices(size: int) -> bool:
        return expected_mdad(expected_counts(pairs, size), threshold, tie_policy) <= wanted + 1e-12

    low, high = 0, pairs.n_items
    if not suffices(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


def check_size(size: int, n_items: int) -> None:
    """ConfigError for a size that is not 1 to n_items."""
    if not 1 <= size <= n_items:
        raise ConfigError("A size lies between 1 and the number of items.", where="size", got=f"{size} of {n_items}")
