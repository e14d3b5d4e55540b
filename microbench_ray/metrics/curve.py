"""Agreement as a function of the true difference, with its interval: the public `agreement_curve`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from microbench_ray.metrics import intervals
from microbench_ray.metrics.counts import BINS_PER_UNIT, IntArray, PairCounts
from microbench_ray.metrics.intervals import Bounds, IntervalKind
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy, as_runs, doubled


@dataclass(frozen=True, eq=False)
class AgreementCurve:
    """Agreement per bin, from bin 0 to the last one that holds a pair (bin 0 alone if none does).

    Parameters
    ----------
    diff_lo, diff_hi
        (n_bins,) edges of each bin, as fractions; the last possible bin holds only a difference of exactly 1.
    n_pairs, n_agree, n_tied
        (n_bins,) pairs, those ordered as the truth, and those tied in the estimates, before the tie policy is applied.
        Under `paper` as that code counts: with the true ties in bin 0, and estimates that differ at all not tied.
    agreement
        (n_bins,) share agreeing under the tie policy, NaN in an empty bin.
    ci_lo, ci_hi
        (n_bins,) bounds of its interval, NaN in an empty bin.
    """

    diff_lo: FloatArray
    diff_hi: FloatArray
    n_pairs: IntArray
    n_agree: IntArray
    n_tied: IntArray
    agreement: FloatArray
    ci_lo: FloatArray
    ci_hi: FloatArray


def agreement_curve(
    counts: PairCounts,
    *,
    tie_policy: TiePolicy = "wrong",
    ci: IntervalKind = "runs",
    level: float = 0.95,
    resampled: PairCounts | None = None,
) -> AgreementCurve:
    """Agreement per half-point bin of true difference, pooled over runs, with a confidence interval.

    Parameters
    ----------
    counts
        Of shape (n_runs, n_bins), or (n_bins,) for one run.
    tie_policy
        How tied estimates count, see `TiePolicy`.
    ci
        `runs`: runs are clusters (`intervals.by_runs`), as pairs of one run are not independent. `pairs`: as the paper
        does, too narrow (`intervals.by_pairs`). `models`: for a fixed list of items (`intervals.by_models`).
    level
        Confidence level of the interval.
    resampled
        Counts with resamples of the models as leading axis (`bootstrap_models`), for `ci="models"`.

    Raises
    ------
    ConfigError
        An unknown tie policy or interval, a level outside (0, 1), or `models` without `resampled`.
    DataError
        Counts with more than one leading axis.
    """
    intervals.check_interval(ci, level, resampled)
    runs = as_runs(counts)
    total = runs.total()
    agree, pairs = doubled(total, tie_policy)
    occupied = pairs > 0
    with np.errstate(invalid="ignore"):
        agreement = agree / pairs
    if ci == "models" and resampled is not None:
        bounds = _by_models(total, resampled, tie_policy, level)
    elif ci == "pairs":
        low, high = intervals.by_pairs(agree, pairs, total.n_tied if tie_policy == "half" else 0 * pairs, level)
        with np.errstate(invalid="ignore"):
            bounds = Bounds(low / pairs, high / pairs)
    else:
        bounds = intervals.by_runs(*doubled(runs, tie_policy), level)
    n_pairs, n_agree, n_tied = total.n_pairs, total.n_agree, total.n_tied
    if tie_policy == "paper":
        n_pairs, n_agree, n_tied = pairs // 2, agree // 2, n_tied - total.n_tied_agree
    edges = np.arange(total.n_bins + 1)
    return AgreementCurve(
        diff_lo=edges[:-1] / BINS_PER_UNIT,
        diff_hi=np.minimum(edges[1:] / BINS_PER_UNIT, 1.0),
        n_pairs=n_pairs,
        n_agree=n_agree,
        n_tied=n_tied,
        agreement=agreement,
        ci_lo=np.where(occupied, bounds.low, np.nan),
        ci_hi=np.where(occupied, bounds.high, np.nan),
    )


def _by_models(total: PairCounts, resampled: PairCounts, tie_policy: TiePolicy, level: float) -> Bounds:
    agree, pairs = doubled(total, tie_policy)
    # Resampled models form no pair that the models themselves do not form, so the last occupied bin is never a later one.
    resampled_agree, resampled_pairs = doubled(as_runs(resampled).padded(total.n_bins), tie_policy)
    n_all_pairs = int(total.n_pairs.sum()) + int(total.n_true_tied)
    n_models = (1 + math.isqrt(1 + 8 * n_all_pairs)) // 2  # n models form n(n − 1)/2 pairs
    return intervals.by_models(agree, pairs, resampled_agree, resampled_pairs, n_models, level)
