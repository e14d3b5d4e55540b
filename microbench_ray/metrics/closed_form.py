"""Closed forms of uniform random sampling: how often n random items order two models as all N items do.

For scores of 0 and 1, a pair of models is described by the number of items that only the first answered correctly (b) and the
number that only the second did (c). A sample holds B and C of them, multivariate hypergeometric, and orders the pair by the sign of
B - C. In general B - C is the sum of the differences on n of N items, with mean n D/N and variance
n (N-n)/(N-1) (Q/N - (D/N)²), where D and Q are the sums of the differences and of their squares.
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
from microbench_ray.metrics.items_needed import check_size, check_target_difference
from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pairs import FloatArray, IndexArray
from microbench_ray.metrics.ties import TiePolicy

EXACT_SIZE = 10
"""Up to this size the hypergeometric sum is cheap (66 terms) and the normal approximation at its worst."""
ITEMS_PER_BLOCK = 2048
PAIRS_PER_BLOCK = 1 << 14


class OrderProbabilities(NamedTuple):
    """Probabilities of how a sample orders each pair."""

    right: FloatArray
    """(n_pairs,) probability that it orders the pair as the whole benchmark does."""
    tied: FloatArray
    """(n_pairs,) probability that it ties the pair."""


class ExpectedCounts(NamedTuple):
    """Expected pair counts of one run of uniform random sampling, by bin of true difference."""

    n_pairs: FloatArray
    """(201,) pairs that differ on the whole benchmark."""
    n_agree: FloatArray
    """(201,) of those, ordered correctly."""
    n_tied: FloatArray
    """(201,) of those, tied in the sample."""


@dataclass(frozen=True, eq=False)
class PairMoments:
    """The moments of all pairs of models, the better model first, from which closed forms are computed.

    Parameters
    ----------
    higher, lower
        (n_pairs,) positions of the models; in stored order where they are tied.
    difference
        (n_pairs,) D, at least 0: sum of score differences over the items that both answered, in units of 1/units.
    squares
        (n_pairs,) Q: sum of their squares, in units of 1/units²; for 0/1 scores the items that only one of the two answered
        correctly.
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
        """(n_pairs,) bin of the true difference, computed in integers; pairs tied on the whole benchmark are in bin 0."""
        return self.difference * BINS_PER_UNIT // (self.units * self.shared)

    def take(self, index: npt.NDArray[Any]) -> PairMoments:
        """Return the pairs at `index`: positions, or a boolean mask."""
        fields = ("higher", "lower", "difference", "squares", "shared")
        return replace(self, **{name: getattr(self, name)[index] for name in fields})


def pair_moments(scores: npt.NDArray[Any], missing: int | None = None, units: int = 1) -> PairMoments:
    """Compute the moments of all pairs by matrix products, over the items that both models answered.

    Parameters
    ----------
    scores
        (n_models, n_items) whole numbers in units of 1/units.
    missing
        The number that marks a missing response; None where no response is missing.
    units
        Grid of the scores.

    Raises
    ------
    DataError
        Fewer than two models, no items, or no two models that answered the same item.
    """
    if scores.ndim != 2 or scores.shape[0] < 2 or scores.shape[1] < 1:
        raise DataError(
            "At least two models and one item are needed to form pairs.", where="pair_moments", got=f"shape {scores.shape}"
        )
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
            present = (block != missing).astype(kind)
            values = np.where(block == missing, 0, block).astype(kind)
            sums += values @ present.T
            squares += np.square(values) @ present.T
            shared += present @ present.T
        products += values @ values.T
    first, second = np.nonzero(np.triu(shared > 0, 1))
    if not first.size:
        raise DataError("No two models answered the same item.", where="pair_moments", got=f"{n_models} models")
    difference = np.rint(sums - sums.T)[first, second].astype(np.int64)
    total = np.maximum(0.0, squares + squares.T - 2 * products)[first, second]
    swap = difference < 0
    higher, lower = np.where(swap, second, first), np.where(swap, first, second)
    return PairMoments(
        higher=higher,
        lower=lower,
        difference=np.abs(difference),
        squares=total,
        shared=shared[first, second].astype(np.int64),
        units=units,
        n_items=n_items,
    )


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


def probability_at_least(mean: FloatArray, deviation: FloatArray, threshold: float) -> FloatArray:
    """(n_pairs,) probability that a whole number is at least `threshold`: the normal's above `threshold` - 1/2.

    The half is the continuity correction. Where the deviation is 0, the number equals its mean.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = normal_share((mean - threshold + 0.5) / deviation)
    return np.where(deviation > 0, share, np.asarray(mean > threshold - 1, np.float64))


def order_by_normal(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Probabilities by the normal approximation with a half-unit continuity correction; for any scores."""
    mean, deviation = normal_moments(pairs, size)
    right, wrong = probability_at_least(mean, deviation, 1.0), probability_at_least(-mean, deviation, 1.0)
    return OrderProbabilities(right=right, tied=np.maximum(0.0, 1 - right - wrong))


def order_exactly(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Probabilities by the multivariate hypergeometric sum, for scores of 0 and 1; (n+1)(n+2)/2 terms per pair.

    Where some responses are missing, the sample is n M/N of the M items that both answered, rounded to a whole number, at least 1.

    Raises
    ------
    ConfigError
        Graded scores, or a size outside 1 to n_items.
    """
    check_size(size, pairs.n_items)
    if pairs.units != 1:
        raise ConfigError(
            "Exact probabilities are only defined for scores of 0 and 1.", where="order_exactly", got=f"units={pairs.units}"
        )
    log_factorial = np.array([math.lgamma(n + 1) for n in range(int(pairs.shared.max()) + 2)])

    def choose(n: IntArray, k: Any) -> FloatArray:
        """Log of the binomial coefficient n over k; -inf where k exceeds n."""
        rest = n - k
        log_ways = log_factorial[n] - log_factorial[k] - log_factorial[np.maximum(rest, 0)]
        return np.where(rest < 0, -np.inf, log_ways)

    right, tied = np.zeros(pairs.shared.size), np.zeros(pairs.shared.size)
    for start in range(0, right.size, PAIRS_PER_BLOCK):
        part = slice(start, start + PAIRS_PER_BLOCK)
        shared = pairs.shared[part]
        drawn = np.maximum(1, np.rint(size * shared / pairs.n_items)).astype(np.int64)
        only_one = (np.rint(pairs.squares[part]).astype(np.int64) + pairs.difference[part]) // 2
        only_other = only_one - pairs.difference[part]
        same = shared - only_one - only_other
        log_samples = choose(shared, drawn)
        for b in range(int(drawn.max()) + 1):
            if not (enough := only_one >= b).any():
                break
            first = choose(only_one, np.where(enough, b, 0))
            for c in range(min(b, int(drawn.max()) - b) + 1):
                rest = drawn - b - c
                fits = enough & (rest >= 0) & (only_other >= c)
                if not fits.any():
                    break
                log = first + choose(only_other, np.where(fits, c, 0)) + choose(same, np.maximum(rest, 0)) - log_samples
                (right if b > c else tied)[part] += np.where(fits, np.exp(log), 0.0)
    return OrderProbabilities(right=np.minimum(right, 1.0), tied=np.minimum(tied, 1.0))


def order_probabilities(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Probabilities, exact up to `EXACT_SIZE` items of 0/1 scores, else by the normal approximation.

    Pairs tied on the whole benchmark have no right order.
    """
    return order_exactly(pairs, size) if pairs.units == 1 and size <= EXACT_SIZE else order_by_normal(pairs, size)


def expected_counts(pairs: PairMoments, size: int) -> ExpectedCounts:
    """Expected pair counts by bin of true difference, for the mean over `size` uniformly random items, with all items seen."""
    differ = pairs.difference > 0
    order, bins = order_probabilities(pairs, size), pairs.bins[differ]

    def per_bin(weights: FloatArray | None) -> FloatArray:
        return np.bincount(bins, weights, minlength=N_BINS).astype(np.float64)

    return ExpectedCounts(n_pairs=per_bin(None), n_agree=per_bin(order.right[differ]), n_tied=per_bin(order.tied[differ]))


def expected_agreeing(counts: ExpectedCounts, tie_policy: TiePolicy = "wrong") -> tuple[FloatArray, FloatArray]:
    """(201,) agreeing pairs and the number of pairs they are out of; ConfigError for a policy other than wrong, half and drop."""
    if tie_policy == "wrong":
        return counts.n_agree, counts.n_pairs
    if tie_policy == "half":
        return counts.n_agree + counts.n_tied / 2, counts.n_pairs
    if tie_policy == "drop":
        return counts.n_agree, counts.n_pairs - counts.n_tied
    raise ConfigError(
        "This tie policy has no closed form.", where="tie_policy", got=repr(tie_policy), hint="use wrong, half or drop"
    )


def expected_mdad(counts: ExpectedCounts, threshold: float = 0.8, tie_policy: TiePolicy = "wrong") -> float:
    """MDAD of the increasing fit to the expected agreement: a bin's lower edge; NaN where the threshold is never reached."""
    if not 0 < threshold <= 1:
        raise ConfigError(
            "The threshold must be an agreement above 0 and at most 1.",
            where="threshold",
            got=repr(threshold),
            hint="for example 0.8",
        )
    agree, out_of = expected_agreeing(counts, tie_policy)
    # As in `mdad.prefix_sums`, the last minimum of the sums of excesses marks the crossing; 1e-9 allows for rounding.
    sums = np.concatenate([[0.0], np.cumsum(agree - (threshold - 1e-9) * out_of)])
    bin_ = sums.size - 1 - int(np.argmin(sums[::-1]))
    return bin_ / BINS_PER_UNIT if bin_ < N_BINS else float("nan")


def smallest_size(
    pairs: PairMoments, target_difference: float, threshold: float = 0.8, tie_policy: TiePolicy = "wrong"
) -> int | None:
    """The smallest number of random items whose MDAD is at most `target_difference`, by bisection over sizes.

    None where even all items do not reach it: no pair of the benchmark differs by that little.

    Raises
    ------
    ConfigError
        A target difference outside (0, 1], or as for `expected_mdad`.
    """
    check_target_difference(target_difference)

    def suffices(size: int) -> bool:
        return expected_mdad(expected_counts(pairs, size), threshold, tie_policy) <= target_difference + 1e-12

    low, high = 0, pairs.n_items
    if not suffices(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
