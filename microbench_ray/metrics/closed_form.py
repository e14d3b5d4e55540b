"""Closed forms of uniform random sampling: how often n random items order two models as all N items do.

For scores of 0 and 1, a pair of models is described by the number of items that only the first answered correctly (b) and the
number that only the second did (c). A sample holds B and C of them, multivariate hypergeometric, and orders the pair by the sign of
B - C: exactly where few of the b + c items are drawn or left out, by a normal approximation elsewhere.

In general the order is that of a sum over n of N items, with mean n M and variance n (N-n)/(N-1) (S - M²), where M and S are the
means over all items of each item's term and of its square (`pair_moments`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS, IntArray
from microbench_ray.metrics.items_needed import check_size, check_target_difference, check_threshold
from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.run_noise import noisy_order
from microbench_ray.metrics.ties import TiePolicy

FEW_DRAWN, FEW_LEFT_OUT = 15, 6
"""Expected number of items that only one of two models answered correctly, in the sample and among those left out of it, below
which the normal approximation is off."""
FEW_UNSHARED = 12
"""Expected number of drawn items that only one of two models answered, below which their distribution is summed exactly."""
TAIL_DEVIATIONS = 7
"""Deviations above its mean beyond which a hypergeometric number is left out of a sum."""
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


def normal_moments(pairs: PairMoments, size: int, *, population: bool = False) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) mean and standard deviation of the difference of the sample's sums, in units of 1/units.

    Parameters
    ----------
    pairs, size
        Pairs, and number of items in the sample.
    population
        Whether the items are drawn from the population that the benchmark's items are a sample of, not from these items.
    """
    check_size(size, pairs.n_items)
    n_items = pairs.n_items
    if pairs.noise is not None:
        return size * pairs.mean, size * pairs.units * np.sqrt(pairs.noise.variance(pairs, size, population=population))
    correction = 1.0 if population else (n_items - size) / max(n_items - 1, 1)
    return size * pairs.mean, np.sqrt(size * correction * pairs.variance)


def probability_at_least(mean: FloatArray, deviation: FloatArray, threshold: float) -> FloatArray:
    """(n_pairs,) probability that a whole number is at least `threshold`: the normal's above `threshold` - 1/2.

    The half is the continuity correction. Where the deviation is 0, the number equals its mean.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        share = normal_share((mean - threshold + 0.5) / deviation)
    return np.where(deviation > 0, share, np.asarray(mean > threshold - 1, np.float64))


def order_by_normal(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Probabilities by the normal approximation with a half-unit continuity correction; for any scores.

    The correction is for differences that are whole numbers, which are those of models of which the sample holds the same number of
    answered items. Elsewhere the two means have different denominators, and ties are rare, as where items count differently.
    """
    mean, deviation = normal_moments(pairs, size)
    if pairs.weighted:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = normal_share(mean / deviation)
        return OrderProbabilities(right=np.where(deviation > 0, share, mean > 0), tied=np.zeros(mean.size))
    right, wrong = probability_at_least(mean, deviation, 1.0), probability_at_least(-mean, deviation, 1.0)
    differ = np.flatnonzero(~pairs.same_items & (deviation > 0))
    if differ.size:
        whole = same_count_probability(pairs.take(differ), size)
        z = mean[differ] / deviation[differ]
        for probability, share in ((right, normal_share(z)), (wrong, normal_share(-z))):
            probability[differ] = whole * probability[differ] + (1 - whole) * share
    return OrderProbabilities(right=right, tied=np.maximum(0.0, 1 - right - wrong))


def same_count_probability(pairs: PairMoments, size: int) -> FloatArray:
    """(n_pairs,) probability that a sample holds equally many items that only the one and that only the other model answered."""
    one, other, n_items = pairs.only_higher, pairs.only_lower, pairs.n_items
    share = size / n_items
    deviation = np.sqrt((one + other) * share * (1 - share))
    normal = normal_share(((one - other) * share + 0.5) / np.maximum(deviation, 1e-9))
    normal -= normal_share(((one - other) * share - 0.5) / np.maximum(deviation, 1e-9))
    few = np.flatnonzero((one + other) * share < FEW_UNSHARED)
    a, b, exact = one[few], other[few], np.zeros(few.size)
    ways = LogWays(n_items)
    for k in range(min(size // 2, int(np.minimum(a, b).max(initial=0)), FEW_UNSHARED) + 1):
        exact += np.exp(ways(a, k) + ways(b, k) + ways(n_items - a - b, size - 2 * k) - ways(n_items, size))
    normal[few] = exact
    return normal


def order_exactly(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Exact probabilities for scores of 0 and 1, from the items in the sample, or left out of it, that only one model got right.

    Raises
    ------
    ConfigError
        Graded scores, models that answered different items, or a size outside 1 to n_items.
    """
    check_size(size, pairs.n_items)
    if pairs.units != 1 or not pairs.same_items.all():
        got = f"units={pairs.units}" if pairs.units != 1 else "models that answered different items"
        raise ConfigError("Exact probabilities are for scores of 0 and 1 on the same items.", where="order_exactly", got=got)
    right, tied = np.zeros(pairs.n_pairs), np.zeros(pairs.n_pairs)
    one_sided = np.rint(pairs.square * pairs.n_items).astype(np.int64)
    ahead = (one_sided + np.rint(pairs.mean * pairs.n_items).astype(np.int64)) // 2
    by_items = _order_by_drawn if 2 * size <= pairs.n_items else _order_by_left_out
    for start in range(0, right.size, PAIRS_PER_BLOCK):
        part = slice(start, start + PAIRS_PER_BLOCK)
        right[part], tied[part] = by_items(ahead[part], one_sided[part] - ahead[part], size, pairs.n_items)
    return OrderProbabilities(right=np.clip(right, 0.0, 1.0), tied=np.clip(tied, 0.0, 1.0))


def _order_by_drawn(b: IntArray, c: IntArray, size: int, n_items: int) -> tuple[FloatArray, FloatArray]:
    """(n_pairs,) probabilities of the right order and of a tie, where b items speak for the better model and c against it.

    Of the m = b + c such items, K are in the sample, hypergeometric. Given K, their order is that of K draws without replacement,
    whose majority follows from that of K - 1 draws: a step for each K.
    """
    m = (b + c).astype(np.float64)
    ahead, behind = b / np.maximum(m, 1.0), c / np.maximum(m, 1.0)  # by one item, after an odd number of draws
    majority, tie = np.zeros(b.size), np.ones(b.size)
    right, tied = np.zeros(b.size), np.zeros(b.size)
    for k, share in enumerate(drawn_probabilities(b + c, size, n_items)):
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


def _order_by_left_out(b: IntArray, c: IntArray, size: int, n_items: int) -> tuple[FloatArray, FloatArray]:
    """As `_order_by_drawn`, from the items left out: i for the better model and j against it make a tie where i - j = b - c."""
    n_out, ways, lead = n_items - size, LogWays(n_items), b - c
    last = last_drawn(b + c, n_out, n_items)
    wrong, tied = np.zeros(b.size), np.zeros(b.size)
    (close,) = np.nonzero(lead <= last)
    b, c, lead = b[close], c[close], lead[close]
    numbers, scale = np.arange(last + 1), math.log(max(n_out, 1) / n_items)  # the scale keeps the factors from overflowing
    of_b, of_c = (np.exp(ways(m, numbers[:, None]) + numbers[:, None] * scale) for m in (b, c))
    log_rest = ways(n_items - b - c, n_out - numbers[:, None]) - ways(n_items, n_out)
    of_rest = np.exp(log_rest - numbers[:, None] * scale)
    for ahead in range(last + 1):
        share = np.zeros(b.size)
        for j in range((last - ahead) // 2 + 1):
            share += of_b[j + ahead] * of_c[j] * of_rest[2 * j + ahead]
        tied[close] += share * (lead == ahead)
        wrong[close] += share * (lead < ahead)
    return 1 - wrong - tied, tied


def drawn_probabilities(m: IntArray, size: int, n_items: int) -> Iterator[FloatArray]:
    """For k = 0, 1, …: (n_pairs,) probability that k of m items are in a sample of n of N; hypergeometric, for many m.

    By the ratio of a probability to the one before. It ends at `last_drawn`.
    """
    others = n_items - m - size  # of the remaining items, those that are not in the sample if none of the m is
    first, ways = np.maximum(0, -others), LogWays(n_items)
    start = np.exp(ways(m, first) + ways(n_items - m, size - first) - ways(n_items, size))
    probability = np.where(first == 0, start, 0.0)
    remaining, others = m.astype(np.float64), others.astype(np.float64)
    late = bool(first.any())
    for k in range(last_drawn(m, size, n_items) + 1):
        yield probability
        probability = probability * ((size - k) / (k + 1)) * (remaining - k) / np.maximum(others + (k + 1), 1.0)
        if late:
            probability = np.where(first == k + 1, start, probability)


def last_drawn(m: IntArray, size: int, n_items: int) -> int:
    """The largest number of m items in a sample of n of N that is not left out of a sum; the rest has a probability below 1e-6."""
    most, share = float(m.max(initial=0)), size / n_items
    tail = most * share + TAIL_DEVIATIONS * math.sqrt(most * share * (1 - share) + 1)
    return int(min(size, most, math.ceil(tail)))


class LogWays:
    """Logs of binomial coefficients up to n over k; -inf where there is no way."""

    def __init__(self, n: int) -> None:
        self._log_factorial = log_factorials(n)

    def __call__(self, n: npt.ArrayLike, k: npt.ArrayLike) -> FloatArray:
        """Logs of n over k, whole numbers."""
        number, chosen = np.asarray(n), np.asarray(k)
        rest, log_factorial = number - chosen, self._log_factorial
        log = log_factorial[np.maximum(number, 0)] - log_factorial[np.maximum(chosen, 0)] - log_factorial[np.maximum(rest, 0)]
        return np.where((rest < 0) | (chosen < 0), -np.inf, log)


@cache
def log_factorials(n: int) -> FloatArray:
    """(n + 1,) logs of 0! to n!."""
    return np.array([math.lgamma(k + 1) for k in range(n + 1)])


def order_probabilities(pairs: PairMoments, size: int) -> OrderProbabilities:
    """Probabilities by the normal approximation; exact for pairs of 0/1 scores of whose one-sided items few are drawn or left out.

    Elsewhere the two differ by less than .006. Pairs tied on the whole benchmark have no right order. Pairs of graded scores, and
    those that did not answer the same items, have shares of `pairs.simulated` samples where few items are drawn or left out. With
    `pairs.noise`, samples are of single runs, and the right order is that of expectations (`run_noise`).
    """
    if pairs.noise is not None:
        check_size(size, pairs.n_items)
        return OrderProbabilities(*noisy_order(pairs, size, pairs.noise))
    if pairs.simulated is not None and size < pairs.n_items and pairs.simulated.covers(size):
        above = pairs.simulated.probabilities(size)
        right, wrong = above[pairs.higher, pairs.lower].astype(np.float64), above[pairs.lower, pairs.higher]
        return OrderProbabilities(right=right, tied=np.maximum(0.0, 1 - right - wrong))
    if pairs.distinct is None:
        return _order_probabilities(pairs, size)
    distinct, place = pairs.distinct
    order = _order_probabilities(distinct, size)
    return OrderProbabilities(right=order.right[place], tied=order.tied[place])


def _order_probabilities(pairs: PairMoments, size: int) -> OrderProbabilities:
    """The same by closed forms, computed for every pair."""
    order, n_out = order_by_normal(pairs, size), pairs.n_items - size
    if pairs.units == 1 and not pairs.weighted:
        few = (size * pairs.square < FEW_DRAWN) | (n_out * pairs.square < FEW_LEFT_OUT)
        (exact,) = np.nonzero(few & pairs.same_items)
        if exact.size:
            order.right[exact], order.tied[exact] = order_exactly(pairs.take(exact), size)
    return order


def population_order(pairs: PairMoments) -> FloatArray:
    """(n_pairs,) probability that the order of a pair on all items is that on the population that the items are a sample of.

    For scores of 0 and 1 it is that of a sign test, with a flat prior on the share of one-sided items that speak for the better
    model: b of b + c items make its posterior Beta(b + 1, c + 1), which is above 1/2 with the probability of at most b heads in
    b + c + 1 throws of a coin, by the normal approximation that of (b - c) / sqrt(b + c + 1). In general D / sqrt(Q + 1). Where
    clusters of items are drawn, Q is the sum of the squares of their sums.
    """
    of_items = pairs.square if pairs.cluster_square is None else pairs.cluster_square
    total, squares = pairs.mean * pairs.n_items, of_items * pairs.n_items
    if pairs.noise is not None:
        squares = squares + pairs.noise.truth_run_variance(pairs) * (pairs.units * pairs.n_items) ** 2
    return normal_share(total / np.sqrt(squares + pairs.units**2))


def population_probabilities(pairs: PairMoments, size: int, order: OrderProbabilities | None = None) -> OrderProbabilities:
    """Probabilities that a sample orders each pair as the population that the benchmark's items are a sample of.

    Given the items, the order in the sample and the order in the population are independent: the sample is right where both agree
    with the benchmark, or neither does.

    Parameters
    ----------
    pairs, size
        Pairs, and number of items in the sample.
    order
        Probabilities that the sample orders the pairs as the benchmark; by default `order_probabilities`.
    """
    of_sample = order_probabilities(pairs, size) if order is None else order
    beyond, wrong = population_order(pairs), np.maximum(0.0, 1 - of_sample.right - of_sample.tied)
    return OrderProbabilities(right=of_sample.right * beyond + wrong * (1 - beyond), tied=of_sample.tied)


def expected_counts(pairs: PairMoments, size: int, *, population: bool = False) -> ExpectedCounts:
    """Expected pair counts by bin of true difference, for the mean over `size` uniformly random items, with all items seen.

    With `population`, pairs agree that are ordered as on the population of items, not as on the benchmark's items.
    """
    differ = pairs.difference > 0
    probabilities = population_probabilities if population else order_probabilities
    order, bins = probabilities(pairs, size), pairs.bins[differ]

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
    check_threshold(threshold)
    agree, out_of = expected_agreeing(counts, tie_policy)
    # As in `mdad.prefix_sums`, the last minimum of the sums of excesses marks the crossing; 1e-9 allows for rounding.
    sums = np.concatenate([[0.0], np.cumsum(agree - (threshold - 1e-9) * out_of)])
    bin_ = sums.size - 1 - int(np.argmin(sums[::-1]))
    return bin_ / BINS_PER_UNIT if bin_ < N_BINS else float("nan")


def smallest_size(
    pairs: PairMoments,
    target_difference: float,
    threshold: float = 0.8,
    tie_policy: TiePolicy = "wrong",
    *,
    counts_at: Callable[[int], ExpectedCounts] | None = None,
) -> int | None:
    """The smallest number of random items whose MDAD is at most `target_difference`, by bisection over sizes.

    None where even all items do not reach it. `counts_at` gives the expected counts of a size, by default `expected_counts`.

    Raises
    ------
    ConfigError
        A target difference outside (0, 1], or as for `expected_mdad`.
    """
    check_target_difference(target_difference)

    def suffices(size: int) -> bool:
        counts = expected_counts(pairs, size) if counts_at is None else counts_at(size)
        return expected_mdad(counts, threshold, tie_policy) <= target_difference + 1e-12

    low, high = 0, pairs.n_items
    if not suffices(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high
