"""The Minimum Detectable Ability Difference and its interval: the public `mdad` and `share_reliable`.

A resample of runs adds their prefix sums (see `crossing`), so that 1,000 resamples are one product of integer matrices,
exact in float64 and hence the same for any order of summation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import intervals
from microbench_ray.metrics.counts import BINS_PER_UNIT, IntArray, PairCounts
from microbench_ray.metrics.crossing import crossings, prefix_sums, rational, row_order
from microbench_ray.metrics.curve import as_runs
from microbench_ray.metrics.intervals import IntervalKind
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy, doubled


@dataclass(frozen=True)
class Mdad:
    """The smallest difference at which agreement reaches a threshold, as a fraction; NaN where it is never reached.

    Parameters
    ----------
    threshold
        The agreement asked for.
    mdad, ci_lo, ci_hi
        Lower edge of the first bin whose agreement reaches the threshold (the paper's definition), and its interval. A
        NaN `ci_hi` is unbounded: that share of resamples never reaches the threshold; so is a NaN `ci_lo`.
    mdad_monotone, mdad_monotone_ci_lo, mdad_monotone_ci_hi
        The same of the increasing fit to the agreement, weighted by pairs, which one sparse lucky bin cannot fool.
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
        Agreement to reach, in (0, 1]; taken as the fraction it is written as, so that 4 pairs of 5 reach 0.8.
    tie_policy
        How tied estimates count, see `TiePolicy`.
    ci
        `runs`: percentiles over resamples of whole runs; one run alone cannot be resampled, and `pairs` takes its place.
        `pairs`: as the paper does, first bins where the bounds of `intervals.by_pairs` reach the threshold, and for the
        monotone fit percentiles over resampled bins; too narrow, as pairs of one run are not independent. `models`:
        percentiles over `resampled`.
    level
        Of the intervals.
    n_resamples
        Resamples for the intervals.
    seed
        Of the resamples: a number, or a generator that is drawn from.
    resampled
        Counts with resamples of the models as leading axis (`bootstrap_models`), for `ci="models"`.

    Raises
    ------
    ConfigError
        A threshold outside (0, 1], fewer than one resample, or as for `agreement_curve`.
    DataError
        Counts with more than one leading axis.
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
    """`mdad` at several thresholds from the same resamples; each is what `mdad` returns for it alone.

    Parameters and errors as for `mdad`.
    """
    intervals.check_interval(ci, level, resampled)
    if n_resamples < 1:
        raise ConfigError("An interval needs at least one resample.", where="n_resamples", got=str(n_resamples))
    ratios = [rational(threshold) for threshold in thresholds]
    runs = as_runs(counts)
    n_runs = runs.n_pairs.shape[0]
    rng = np.random.default_rng(seed)
    agree, pairs = doubled(runs, tie_policy)
    pooled_agree, pooled_pairs = agree.sum(axis=0), pairs.sum(axis=0)
    ties = runs.n_tied.sum(axis=0) if tie_policy == "half" else np.zeros_like(pooled_pairs)
    bounds: tuple[IntArray, IntArray] | None = None
    weights: FloatArray | None = None
    if ci == "models" and resampled is not None:
        again = doubled(as_runs(resampled), tie_policy)
    elif ci == "pairs" or n_runs == 1:
        bounds = intervals.by_pairs(pooled_agree, pooled_pairs, ties, level)
        drawn = _resample_pairs(pooled_agree, pooled_pairs, ties, n_resamples, rng)
        again = drawn, np.broadcast_to(pooled_pairs, drawn.shape)
    else:
        again, weights = (agree, pairs), run_weights(n_runs, n_resamples, rng)
    n_bins = pooled_pairs.size
    results = []
    for threshold, ratio in zip(thresholds, ratios, strict=True):
        point = crossings(prefix_sums(pooled_agree[None], pooled_pairs[None], ratio))
        sums = prefix_sums(*again, ratio, n_runs if weights is not None else 1)
        if weights is not None:
            # Rows in an order of their own: the interval does not depend on the order of the runs.
            sums = weights @ sums[row_order(sums)]
        spread = crossings(sums)
        if bounds is None:
            first = _percentiles(spread.first, sums.shape[1] - 1, level)
        else:
            low, high = (crossings(prefix_sums(b[None], pooled_pairs[None], ratio)).first[0] for b in bounds)
            first = _edge(high, n_bins), _edge(low, n_bins)
        monotone = _percentiles(spread.monotone, sums.shape[1] - 1, level)
        results.append(
            Mdad(
                threshold,
                _edge(point.first[0], n_bins),
                *first,
                _edge(point.monotone[0], n_bins),
                *monotone,
                float(np.mean(spread.monotone < sums.shape[1] - 1)),
                n_runs,
            )
        )
    return results


def share_reliable(counts: PairCounts, mdad_value: float) -> float:
    """Share of pairs (not tied on the full benchmark) whose true difference is at least the MDAD.

    Parameters
    ----------
    counts
        Of any leading shape; all are pooled.
    mdad_value
        A bin's lower edge, as `mdad` returns it: the monotone one for verdicts. 0 is returned where it is NaN; NaN where
        there is no pair.
    """
    n_pairs = counts.n_pairs.reshape(-1, counts.n_bins).sum(axis=0)
    total = int(n_pairs.sum())
    if total == 0:
        return math.nan
    return 0.0 if math.isnan(mdad_value) else int(n_pairs[round(mdad_value * BINS_PER_UNIT) :].sum()) / total


def run_weights(n_runs: int, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """(n_resamples, n_runs) how often each resample draws each run; rows add up to n_runs."""
    drawn = rng.integers(0, n_runs, (n_resamples, n_runs))
    drawn += np.arange(0, n_resamples * n_runs, n_runs)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n_runs).reshape(n_resamples, n_runs).astype(np.float64)


def _resample_pairs(agree: IntArray, pairs: IntArray, ties: IntArray, n_resamples: int, rng: np.random.Generator) -> IntArray:
    """(n_resamples, n_bins) doubled numbers agreeing when each bin's pairs are resampled as if independent."""
    n = pairs // 2
    ones = (agree - ties) // 2
    shape = (n_resamples, n.size)
    drawn = rng.binomial(n, ones / np.maximum(n, 1), shape)
    if not ties.any():
        return 2 * drawn
    rest = n - ones
    return 2 * drawn + rng.binomial(n - drawn, np.where(rest > 0, ties / np.maximum(rest, 1), 0.0))


def _percentiles(bins: IntArray, n_bins: int, level: float) -> tuple[float, float]:
    """Percentile interval of crossings, by order statistics; bin `n_bins` stands for +∞."""
    ordered = np.sort(bins)
    tails = (1 - level) / 2, (1 + level) / 2
    low, high = (_edge(ordered[int(intervals.order_index(bins.size, tail))], n_bins) for tail in tails)
    return low, high


def _edge(bin_: int | np.int64, n_bins: int) -> float:
    """Lower edge of a bin as a fraction; NaN for the one after the last."""
    return int(bin_) / BINS_PER_UNIT if bin_ < n_bins else math.nan
