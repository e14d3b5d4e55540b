"""Differences between two methods over the same runs: resamples of runs that both methods share.

Runs share their targets, sources and halves of the items between methods, so what a run's draw does to one method it does to the
other, and the difference of the two varies less between runs than either. A method's crossings under a set of resamples are
kept by themselves (`spread`), a few bytes per resample: any two methods can be compared after all counts are gone.
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
from microbench_ray.metrics.crossing import crossings, prefix_sums, rational
from microbench_ray.metrics.curve import as_runs
from microbench_ray.metrics.mdad import run_weights
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy, doubled

NEVER = 255
"""Stands for the bin of a threshold that is never reached."""


@dataclass(frozen=True, eq=False)
class Spread:
    """What a method's counts say in the sample itself (first) and in each resample of its runs.

    Parameters
    ----------
    first, monotone
        (n_thresholds, 1 + n_resamples) uint8: bins of the first crossing and of the increasing fit's; `NEVER` where there is none.
    agree, pairs
        (n_runs,) doubled counts over all bins, under the tie policy.
    """

    first: npt.NDArray[np.uint8]
    monotone: npt.NDArray[np.uint8]
    agree: IntArray
    pairs: IntArray


class Difference(NamedTuple):
    """A method's value less the baseline's, with its interval; fractions.

    +∞ where the method alone never reaches the threshold, −∞ where the baseline alone never does, NaN where neither does (or
    where an agreement is out of no pair). In an interval an undefined resample counts as −∞ at the lower end and as +∞ at the
    upper one.
    """

    value: float
    ci_lo: float
    ci_hi: float


class Paired(NamedTuple):
    """A method against a baseline at one threshold."""

    mdad: Difference
    """Of the first crossing, the paper's."""
    mdad_monotone: Difference
    mean_agreement: Difference
    """The same at every threshold."""


def resampled_runs(n_runs: int, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """(1 + n_resamples, n_runs) how often each run counts: once in the first row, which is the sample itself."""
    return np.concatenate([np.ones((1, n_runs)), run_weights(n_runs, n_resamples, rng)])


def spread(counts: PairCounts, thresholds: Sequence[float], weights: FloatArray, tie_policy: TiePolicy = "wrong") -> Spread:
    """A method's crossings under resamples that other methods share.

    Parameters
    ----------
    counts
        (n_runs, n_bins), in the order of the runs that `weights` is in.
    thresholds
        As for `mdads`.
    weights
        From `resampled_runs`.
    tie_policy
        How tied estimates count.
    """
    runs = as_runs(counts)
    agree, pairs = doubled(runs, tie_policy)
    found = [crossings(weights @ prefix_sums(agree, pairs, rational(each), runs.n_pairs.shape[0])) for each in thresholds]
    n_bins = pairs.shape[1]
    first, monotone = (
        np.stack([np.where(bins < n_bins, bins, NEVER).astype(np.uint8) for bins in kind])
        for kind in ([each.first for each in found], [each.monotone for each in found])
    )
    return Spread(first, monotone, agree.sum(axis=1), pairs.sum(axis=1))


def paired(method: Spread, baseline: Spread, weights: FloatArray, level: float = 0.95) -> list[Paired]:
    """The method less the baseline at each threshold, with percentile intervals over the resamples that both share.

    Parameters
    ----------
    method, baseline
        From `spread`, of the same runs with the same `weights`.
    weights
        From `resampled_runs`. A single run cannot be resampled: the intervals are then NaN.
    level
        Of the intervals.
    """
    bounded = weights.shape[1] > 1
    with np.errstate(invalid="ignore"):
        agreement = _agreement(method, weights) - _agreement(baseline, weights)
        crossed = [
            [_edges(of_method) - _edges(of_baseline) for of_method, of_baseline in zip(mine, theirs, strict=True)]
            for mine, theirs in ((method.first, baseline.first), (method.monotone, baseline.monotone))
        ]
    whole = _difference(agreement, 1.0, level, bounded)
    return [
        Paired(_difference(first, BINS_PER_UNIT, level, bounded), _difference(monotone, BINS_PER_UNIT, level, bounded), whole)
        for first, monotone in zip(*crossed, strict=True)
    ]


def _difference(values: FloatArray, unit: float, level: float, bounded: bool) -> Difference:
    """The first value, and an interval from the others by order statistics."""
    point, again = float(values[0]) / unit, values[1:]
    if not bounded:
        return Difference(point, math.nan, math.nan)
    undefined = np.isnan(again)
    bounds = []
    for tail, stand_in in (((1 - level) / 2, -np.inf), ((1 + level) / 2, np.inf)):
        ordered = np.sort(np.where(undefined, stand_in, again))
        bounds.append(float(ordered[int(intervals.order_index(again.size, tail))]) / unit)
    return Difference(point, *bounds)


def _edges(bins: npt.NDArray[np.uint8]) -> FloatArray:
    """Bins as numbers, +∞ where there is none."""
    return np.where(bins == NEVER, np.inf, bins.astype(np.float64))


def _agreement(of: Spread, weights: FloatArray) -> FloatArray:
    """(1 + n_resamples,) share of pairs that agree; NaN where there is no pair."""
    agreement: FloatArray = (weights @ of.agree) / (weights @ of.pairs)
    return agreement
