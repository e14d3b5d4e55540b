"""Differences between two methods over the same runs: resamples of runs that both methods share.

Methods share a run's targets, sources and halves of the items, so what the draw of a run does to one method it also does to the
other, and their difference varies less between runs than either method. A method's crossings under a set of resamples are kept
separately (`bootstrap_crossings`), a few bytes per resample: any two methods can be compared without their counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from microbench_ray.metrics import intervals
from microbench_ray.metrics.counts import BINS_PER_UNIT, IntArray, PairCounts
from microbench_ray.metrics.mdad import crossings, prefix_sums, threshold_fraction
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy, as_runs, doubled

MIN_RUNS = 10
"""Runs below which differences of MDADs have no interval: percentiles over resamples of fewer runs exclude 0 too often, because all
resamples lie between the runs' own extremes."""
NEVER = 255
"""Stands for the bin of a threshold that is never reached."""


@dataclass(frozen=True, eq=False)
class BootstrapCrossings:
    """A method's crossings in the sample itself (column 0) and in each resample of its runs, and its counts per run.

    Parameters
    ----------
    first, monotone
        (n_thresholds, 1 + n_resamples) uint8: bins of the first crossing and of the increasing fit's; `NEVER` where the threshold
        is never reached.
    agree, pairs
        (n_runs,) doubled counts over all bins, under the tie policy.
    """

    first: npt.NDArray[np.uint8]
    monotone: npt.NDArray[np.uint8]
    agree: IntArray
    pairs: IntArray


class Difference(NamedTuple):
    """A method's value minus the baseline's, with its interval; fractions.

    +∞ where only the method never reaches the threshold, −∞ where only the baseline never does, NaN where neither does (or where
    an agreement is out of no pairs). In an interval, an undefined resample counts as −∞ at the lower end and as +∞ at the upper
    end. NaN where there are too few runs for an interval.
    """

    value: float
    ci_lo: float
    ci_hi: float


class PairedDifferences(NamedTuple):
    """A method minus a baseline at one threshold."""

    mdad: Difference
    """Of the first crossing, the paper's."""
    mdad_monotone: Difference
    mean_agreement: Difference
    """The same at every threshold."""


def paired_run_weights(n_runs: int, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """(1 + n_resamples, n_runs) how often each run counts: once each in the first row, which is the sample itself."""
    return np.concatenate([np.ones((1, n_runs)), intervals.run_weights(n_runs, n_resamples, rng)])


def bootstrap_crossings(
    counts: PairCounts, thresholds: Sequence[float], weights: FloatArray, tie_policy: TiePolicy = "wrong"
) -> BootstrapCrossings:
    """Compute a method's crossings under resamples of runs that other methods share.

    Parameters
    ----------
    counts
        (n_runs, n_bins), with the runs in the order of the columns of `weights`.
    thresholds
        As for `mdads`.
    weights
        From `paired_run_weights`.
    tie_policy
        How tied estimates count.
    """
    runs = as_runs(counts)
    agree, pairs = doubled(runs, tie_policy)
    n_runs, n_bins = pairs.shape
    by_threshold = [crossings(weights @ prefix_sums(agree, pairs, threshold_fraction(each), n_runs)) for each in thresholds]

    def as_bytes(bins_by_threshold: list[IntArray]) -> npt.NDArray[np.uint8]:
        return np.stack([np.where(bins < n_bins, bins, NEVER).astype(np.uint8) for bins in bins_by_threshold])

    return BootstrapCrossings(
        first=as_bytes([each.first for each in by_threshold]),
        monotone=as_bytes([each.monotone for each in by_threshold]),
        agree=agree.sum(axis=1),
        pairs=pairs.sum(axis=1),
    )


def paired_differences(
    method: BootstrapCrossings, baseline: BootstrapCrossings, weights: FloatArray, level: float = 0.95
) -> list[PairedDifferences]:
    """The method minus the baseline at each threshold: MDADs with percentile intervals over the resamples that both share.

    Parameters
    ----------
    method, baseline
        From `bootstrap_crossings`, for the same runs and the same `weights`.
    weights
        From `paired_run_weights`. Below `MIN_RUNS` runs, the intervals of MDADs are NaN; that of mean agreement needs two runs.
    level
        Confidence level of the intervals.
    """
    with_interval = weights.shape[1] >= MIN_RUNS
    agreement = mean_agreement_difference(method, baseline, level)
    with np.errstate(invalid="ignore"):
        first = _bins_or_inf(method.first) - _bins_or_inf(baseline.first)
        monotone = _bins_or_inf(method.monotone) - _bins_or_inf(baseline.monotone)
    return [
        PairedDifferences(
            mdad=_difference(first_at_threshold, BINS_PER_UNIT, level, with_interval),
            mdad_monotone=_difference(monotone_at_threshold, BINS_PER_UNIT, level, with_interval),
            mean_agreement=agreement,
        )
        for first_at_threshold, monotone_at_threshold in zip(first, monotone, strict=True)
    ]


def mean_agreement_difference(method: BootstrapCrossings, baseline: BootstrapCrossings, level: float) -> Difference:
    """The difference of two ratios of sums over the same runs, with Student's interval of its linearised values per run.

    A run's linearised value is what it adds to the pooled agreement beyond its share of the pairs (Cochran 1977, section 6.3). With
    n − 1 degrees of freedom, the interval holds also for a few runs, where percentiles over resamples are too narrow.

    References
    ----------
    Cochran, W. G. (1977). Sampling Techniques. Wiley.
    """
    from scipy import special  # slow to import

    n_runs = method.pairs.size
    if not (method.pairs.sum() and baseline.pairs.sum()):
        bound = math.inf if n_runs > 1 else math.nan
        return Difference(value=math.nan, ci_lo=-bound, ci_hi=bound)
    own, linearised = linearised_agreement(method.agree, method.pairs)
    other, of_baseline = linearised_agreement(baseline.agree, baseline.pairs)
    value, linearised = own - other, linearised - of_baseline
    if n_runs == 1:
        return Difference(value=value, ci_lo=math.nan, ci_hi=math.nan)
    half_width = float(special.stdtrit(n_runs - 1, (1 + level) / 2) * linearised.std(ddof=1) / math.sqrt(n_runs))
    return Difference(value=value, ci_lo=value - half_width, ci_hi=value + half_width)


def linearised_agreement(agree: IntArray, pairs: IntArray) -> tuple[float, FloatArray]:
    """Mean agreement from (n_runs,) counts with at least one pair, and each run's linearised value: these sum to 0."""
    agreement = float(agree.sum() / pairs.sum())
    return agreement, (agree - agreement * pairs) / pairs.mean()


def _bins_or_inf(bins: npt.NDArray[np.uint8]) -> FloatArray:
    """Bins as floats, +∞ where the threshold is never reached."""
    return np.where(bins == NEVER, np.inf, bins.astype(np.float64))


def _difference(values: FloatArray, unit: float, level: float, with_interval: bool) -> Difference:
    """The first value, and an interval from the others by order statistics; NaN where it is not wanted."""
    value, resampled = float(values[0]) / unit, values[1:]
    if not with_interval:
        return Difference(value=value, ci_lo=math.nan, ci_hi=math.nan)
    undefined = np.isnan(resampled)

    def quantile(tail: float, stand_in: float) -> float:
        ordered = np.sort(np.where(undefined, stand_in, resampled))
        return float(ordered[int(intervals.order_index(resampled.size, tail))]) / unit

    return Difference(value=value, ci_lo=quantile((1 - level) / 2, -np.inf), ci_hi=quantile((1 + level) / 2, np.inf))
