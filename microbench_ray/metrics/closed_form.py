"""Closed forms of uniform random sampling: how often n random items order two models as all N items do.

For scores of 0 and 1, a pair of models is described by the number of items that only the first answered correctly (b) and the
number that only the second did (c). A sample holds B and C of them, multivariate hypergeometric, and orders the pair by the sign of
B - C: exactly where few of the b + c items are drawn, by a normal approximation elsewhere.

In general B - C is the sum of the differences on n of N items, with mean n D/N and variance
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
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS, IntArray
from microbench_ray.metrics.items_needed import check_size, check_target_difference
from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pairs import FloatArray, IndexArray
from microbench_ray.metrics.ties import TiePolicy

FEW_DRAWN = 30
"""Expected number of drawn items that only one of two models answered correctly, below which the normal approximation is off."""
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

    Where some responses are missing, the sample holds a random number of the items that both models answered; the sums are over
    these.
    """
    check_size(size, pairs.n_items)
    n_items = pairs.n_items
    mean = pairs.difference / n_items
    per_item = np.maximum(0.0, pairs.squares / n_items - mean**2)
    variance = size * (n_items - size) / max(n_items - 1, 1) * per_item
    return size * mean, np.sqrt(variance)


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
    """Exact probabilities for scores of 0 and 1, from the number of drawn items that only one of the two answered correctly.

    Of the m = b + c such items, K are in the sample, hypergeometric. Given K, their order is that of K draws without replacement
    from b items for the better model and c against it, whose majority follows from that of K - 1 draws: a step for each K.

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
    right, tied = np.zeros(pairs.shared.size), np.zeros(pairs.shared.size)
    for start in range(0, right.size, PAIRS_PER_BLOCK):
        part = slice(start, start + PAIRS_PER_BLOCK)
        right[part], tied[part] = _exact_block(pairs.take(np.arange(right.size)[part]), size)
    return OrderProbabilities(right=np.minimum(right, 1.0), tied=np.minimum(tied, 1.0))


def _exact_block(pairs: PairMoments, size: int) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) probabilities of the right order and of a tie, as `order_exactly`."""
    one_sided = np.rint(pairs.squares).astype(np.int64)
    b = ((one_sided + pairs.difference) // 2).astype(np.float64)
    m, c = one_sided.astype(np.float64), one_sided - b
    ahead, behind = b / np.maximum(m, 1.0), c / np.maximum(m, 1.0)  # by one item, after an odd number of draws
    majority, tie = np.zeros(b.size), np.ones(b.size)
    right, tied = np.zeros(b.size), np.zeros(b.size)
    drawn = DrawnDistribution(one_sided, size, pairs.n_items)
    for k in range(drawn.last + 1):
        share = drawn.probability(k)
        right += share * majority
        tied += share * tie
        rest, j = np.maximum(m - k, 1.0), k // 2
        if k % 2 == 0:  # the next draw breaks every tie
            majority, tie = majority + tie * (b - j) / rest, np.zeros(b.size)
        else:  # the next draw brings those who lead by one to a tie, or not
            ahead_to_tie, behind_to_tie = ahead * (c - j) / rest, behind * (b - j) / rest
            majority, tie = majority - ahead_to_tie, ahead_to_tie + behind_to_tie
            # From k to k + 2 draws, by the ratio of hypergeometric probabilities.
            ratio = (k + 2) * (k + 1) / ((j + 2) * (j + 1) * rest * np.maximum(m - k - 1, 1.0)) * (m >= k + 2)
            ahead, behind = ahead * ratio * (b - j - 1) * (c - j), behind * ratio * (c - j - 1) * (b - j)
    return right, tied


class DrawnDistribution:
    """How many of m items are in a sample of n of N, hypergeometric; for many m."""

    def __init__(self, m: IntArray, size: int, n_items: int) -> None:
        self._m, self._size, self._n_items = m, size, n_items
        self._log_factorial = np.array([math.lgamma(n + 1) for n in range(n_items + 1)])
        self.last = int(min(size, m.max(initial=0)))
        """The largest possible number."""
        self._samples = self._log_ways(np.asarray(n_items), np.asarray(size))

    def probability(self, k: int) -> FloatArray:
        """(n_pairs,) probability of k items."""
        log = self._log_ways(self._m, np.asarray(k)) + self._log_ways(self._n_items - self._m, np.asarray(self._size - k))
        return np.exp(log - self._samples)

    def _log_ways(self, n: IntArray, k: IntArray) -> FloatArray:
        """Log of the binomial coefficient n over k; -inf where k exceeds n."""
        rest = n - k
        log_factorial = self._log_factorial
        return np.where(rest < 0, -np.inf, log_factorial[n] - log_factorial[k] - log_factorial[np.maximum(rest, 0)])


def order_probabilities(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Probabilities by the normal approximation; exact for pairs of 0/1 scores of whose one-sided items few are drawn.

    Where at least `FEW_DRAWN` items that only one of the two answered correctly are expected in the sample, the two differ by less
    than .002. Pairs tied on the whole benchmark have no right order.
    """
    order = order_by_normal(pairs, size)
    if pairs.units == 1:
        few = np.flatnonzero(size * pairs.squares < FEW_DRAWN * pairs.n_items)
        if few.size:
            order.right[few], order.tied[few] = order_exactly(pairs.take(few), size)
    return order


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
            hint=fraction_hint("threshold", threshold, "0.8"),
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
