"""The Minimum Detectable Ability Difference and its interval: the public `mdad` and `share_reliable`.

With the threshold as a fraction u/v, a bin's *excess* v·agree − u·pairs is a whole number, not negative exactly where the
bin's agreement reaches the threshold. The increasing (isotonic) fit weighted by pairs is the slope of the greatest convex
minorant of cumulated pairs and agreement, so it reaches the threshold from the first minimum of the prefix sums of
excesses on. Prefix sums add over runs: 1,000 resamples of runs are one product of integer matrices, exact in float64 and
hence the same for any order of summation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import intervals
from microbench_ray.metrics.counts import BINS_PER_UNIT, IntArray, PairCounts
from microbench_ray.metrics.intervals import IntervalKind
from microbench_ray.metrics.items_needed import check_threshold
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy, as_runs, doubled


@dataclass(frozen=True)
class Mdad:
    """The smallest difference at which agreement reaches a threshold, as a fraction; NaN where it is never reached.

    Parameters
    ----------
    threshold
        The agreement required.
    mdad, ci_lo, ci_hi
        Lower edge of the first bin whose agreement reaches the threshold (the paper's definition), and its interval. A
        NaN `ci_hi` means unbounded: too many resamples never reach the threshold; likewise a NaN `ci_lo`.
    mdad_monotone, mdad_monotone_ci_lo, mdad_monotone_ci_hi
        The same for the increasing fit to the agreement, weighted by pairs, which one sparse lucky bin cannot fool.
    reached_share
        Share of resamples whose increasing fit reaches the threshold.
    n_runs
        Runs pooled.
    """

    threshold: float
    mdad: float
    ci_lo: float
    ci_hi: float
    mdad_monotone: float
    mdad_monotone_ci_lo: float
    mdad_monotone_ci_hi: float
    reached_share: float
    n_runs: int


def mdad(
    counts: PairCounts,
    threshold: float = 0.8,
    *,
    tie_policy: TiePolicy = "wrong",
    ci: IntervalKind = "runs",
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int | np.random.Generator = 0,
    resampled: PairCounts | None = None,
) -> Mdad:
    """Minimum Detectable Ability Difference, as in the paper and of the monotone fit, with intervals.

    Parameters
    ----------
    counts
        Of shape (n_runs, n_bins), or (n_bins,) for one run.
    threshold
        Agreement to reach, in (0, 1]; read as the decimal fraction it is written as, so that 4 pairs of 5 reach 0.8.
    tie_policy
        How tied estimates count, see `TiePolicy`.
    ci
        `runs`: percentiles over resamples of whole runs; a single run cannot be resampled, and `pairs` is used instead.
        `pairs`: as the paper does, first bins where the bounds of `intervals.by_pairs` reach the threshold, and for the
        monotone fit percentiles over resampled bins; too narrow, as pairs of one run are not independent. `models`:
        percentiles over `resampled`.
    level
        Confidence level of the intervals.
    n_resamples
        Number of resamples for the intervals.
    seed
        Seed of the resamples, or the generator that draws them.
    resampled
        Counts with resamples of the models as leading axis (`bootstrap_models`), for `ci="models"`.

    Raises
    ------
    ConfigError
        A threshold outside (0, 1], fewer than one resample, or as for `agreement_curve`.
    DataError
        Counts with more than one leading axis.

    Examples
    --------
    >>> from microbench_ray.metrics import mdad, pair_counts
    >>> mdad(pair_counts([0.5, 0.75, 1.0], [0.2, 0.4, 0.3], n_items=4), threshold=0.9).mdad
    0.5
    """
    return mdads(
        counts,
        [threshold],
        tie_policy=tie_policy,
        ci=ci,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        resampled=resampled,
    )[0]


def mdads(
    counts: PairCounts,
    thresholds: Sequence[float],
    *,
    tie_policy: TiePolicy = "wrong",
    ci: IntervalKind = "runs",
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int | np.random.Generator = 0,
    resampled: PairCounts | None = None,
) -> list[Mdad]:
    """`mdad` at several thresholds from the same resamples; each equals what `mdad` returns for that threshold.

    Parameters and errors as for `mdad`.
    """
    intervals.check_interval(ci, level, resampled)
    if n_resamples < 1:
        raise ConfigError("An interval needs at least one resample.", where="n_resamples", got=str(n_resamples))
    fractions = [threshold_fraction(threshold) for threshold in thresholds]
    runs = as_runs(counts)
    agree, pairs = doubled(runs, tie_policy)
    n_runs, n_bins = pairs.shape
    pooled_agree, pooled_pairs = agree.sum(axis=0), pairs.sum(axis=0)
    rng = np.random.default_rng(seed)
    bounds: tuple[IntArray, IntArray] | None = None
    weights: FloatArray | None = None
    if ci == "models" and resampled is not None:
        replicates = doubled(as_runs(resampled), tie_policy)
    elif ci == "pairs" or n_runs == 1:
        ties = runs.n_tied.sum(axis=0) if tie_policy == "half" else np.zeros_like(pooled_pairs)
        bounds = intervals.by_pairs(pooled_agree, pooled_pairs, ties, level)
        resampled_agree = intervals.resample_pairs(pooled_agree, pooled_pairs, ties, n_resamples, rng)
        replicates = resampled_agree, np.broadcast_to(pooled_pairs, resampled_agree.shape)
    else:
        replicates, weights = (agree, pairs), intervals.run_weights(n_runs, n_resamples, rng)
    results = []
    for threshold, fraction in zip(thresholds, fractions, strict=True):
        point = crossings(prefix_sums(pooled_agree[None], pooled_pairs[None], fraction))
        sums = prefix_sums(*replicates, fraction, n_runs if weights is not None else 1)
        if weights is not None:
            # Rows are sorted by their values: the interval does not depend on the order of the runs.
            sums = weights @ sums[row_order(sums)]
        bootstrap, n_summed_bins = crossings(sums), sums.shape[1] - 1
        if bounds is None:
            ci_lo, ci_hi = _percentiles(bootstrap.first, n_summed_bins, level)
        else:
            low, high = (crossings(prefix_sums(bound[None], pooled_pairs[None], fraction)).first[0] for bound in bounds)
            ci_lo, ci_hi = _lower_edge(high, n_bins), _lower_edge(low, n_bins)
        monotone_ci_lo, monotone_ci_hi = _percentiles(bootstrap.monotone, n_summed_bins, level)
        results.append(
            Mdad(
                threshold=threshold,
                mdad=_lower_edge(point.first[0], n_bins),
                ci_lo=ci_lo,
                ci_hi=ci_hi,
                mdad_monotone=_lower_edge(point.monotone[0], n_bins),
                mdad_monotone_ci_lo=monotone_ci_lo,
                mdad_monotone_ci_hi=monotone_ci_hi,
                reached_share=float(np.mean(bootstrap.monotone < n_summed_bins)),
                n_runs=n_runs,
            )
        )
    return results


def threshold_fraction(threshold: float) -> Fraction:
    """The threshold as the decimal fraction it is written as: 0.8 is 4/5, though no float is; to four decimals.

    Raises
    ------
    ConfigError
        A threshold outside (0, 1].
    """
    check_threshold(threshold)
    return Fraction(str(float(threshold))).limit_denominator(10_000)


def prefix_sums(agree: IntArray, pairs: IntArray, threshold: Fraction, n_added: int = 1) -> FloatArray:
    """Prefix sums over bins of each row's excess, from all bins down to none.

    Each excess is scaled, and raised by one where the bin holds pairs. So a bin just at the threshold raises the sum and an
    empty one does not, while no other comparison changes, for sums of up to `n_added` rows.

    Parameters
    ----------
    agree, pairs
        (n_rows, n_bins) doubled counts.
    threshold
        As a fraction.
    n_added
        How many rows will be added up, counted with multiplicity.

    Returns
    -------
    array
        (n_rows, n_bins + 1) whole numbers, exact in float64 also when `n_added` rows are added; the last column is 0.

    Raises
    ------
    ConfigError
        So many pairs that such sums are not exact.
    """
    n_rows, n_bins = pairs.shape
    scale = n_added * n_bins + 1
    excess = threshold.denominator * agree - threshold.numerator * pairs
    sums = np.zeros((n_rows, n_bins + 1))
    np.cumsum(excess * float(scale) + (pairs > 0), axis=1, out=sums[:, 1:])
    if n_added * float(np.abs(sums).max(initial=0.0)) >= 2.0**53:
        raise ConfigError(
            "There are too many pairs to compare their agreement with this threshold exactly.",
            where="threshold",
            got=f"{threshold} for {int(pairs.sum()) // 2} pairs",
            hint="use a threshold with fewer decimals",
        )
    return np.ascontiguousarray(sums[:, ::-1])


class Crossings(NamedTuple):
    """First bins that reach the threshold, one per row; the number of bins where none does."""

    first: IntArray
    """(n_rows,) first bin that holds a pair and whose agreement reaches the threshold."""
    monotone: IntArray
    """(n_rows,) first bin that holds a pair and at which the increasing fit reaches it."""


def crossings(sums: FloatArray) -> Crossings:
    """Read both crossings off (n_rows, n_bins + 1) `prefix_sums`, or sums of them."""
    n_bins = sums.shape[1] - 1
    rises = (sums[:, :-1] > sums[:, 1:])[:, ::-1]
    first = rises.argmax(axis=1)
    never = ~rises[np.arange(first.size), first]
    # The first minimum in reverse order is the last in bin order: the sum rises after it, so its bin holds pairs.
    return Crossings(first=np.where(never, n_bins, first), monotone=n_bins - sums.argmin(axis=1))


def row_order(sums: FloatArray) -> IntArray:
    """An order of the rows that depends on their values alone."""
    return sums.view(np.dtype((np.void, sums.itemsize * sums.shape[1]))).ravel().argsort()


def _percentiles(bins: IntArray, n_bins: int, level: float) -> tuple[float, float]:
    """Percentile interval of crossings, by order statistics; bin `n_bins` stands for +∞."""
    ordered = np.sort(bins)
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = (_lower_edge(ordered[int(intervals.order_index(bins.size, tail))], n_bins) for tail in tails)
    return low, high


def _lower_edge(bin_: int | np.int64, n_bins: int) -> float:
    """Lower edge of a bin as a fraction; NaN for the position after the last bin."""
    return int(bin_) / BINS_PER_UNIT if bin_ < n_bins else math.nan


def share_reliable(counts: PairCounts, mdad_value: float) -> float:
    """Share of pairs (not tied on the full benchmark) whose true difference is at least the MDAD.

    Parameters
    ----------
    counts
        Of any leading shape; all are pooled.
    mdad_value
        A bin's lower edge, as `mdad` returns it: the monotone one for verdicts. The result is 0 where it is NaN, and NaN
        where there are no pairs.
    """
    n_pairs = counts.n_pairs.reshape(-1, counts.n_bins).sum(axis=0)
    total = int(n_pairs.sum())
    if total == 0:
        return math.nan
    return 0.0 if math.isnan(mdad_value) else int(n_pairs[round(mdad_value * BINS_PER_UNIT) :].sum()) / total
