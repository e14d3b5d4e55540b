"""The difference of two runs on the same items: its interval over items, clusters of items, and repeats."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.tail_shares import chi_square_tail, student_quantile, student_share
from microbench_ray.metrics.variance_components import grouped

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Reference = Literal["population", "benchmark"]
REFERENCES: tuple[Reference, ...] = get_args(Reference)

POWER = 0.8
"""Probability of detecting the minimum detectable effect."""
RUN_EFFECT_LEVEL = 0.001
"""p-value below which the means of repeats vary more than independent responses let them."""
PSEUDO_ITEMS = 2
"""Items that are added to the data: one on which each run is ahead (Bonett & Price 2012)."""


class Items(NamedTuple):
    """What two runs scored on the items that both answered.

    Attributes
    ----------
    a, b
        (n_items, n_repeats) scores in [0, 1], NaN where an item has fewer repeats than others; one column where each item was
        answered once.
    stratum
        (n_items,) group from 0 on, each with the same weight in the difference; all 0 where every item has the same weight.
    cluster
        (n_items,) from 0 on: items of one cluster (a passage, a repository) are not independent of one another.
    whole_runs
        Whether column k is the k-th run of all items, which may be better or worse than other runs on all of them (another server,
        another seed). Otherwise the repeats of an item are independent of those of other items.
    weight
        (n_items,) positive numbers, what each item counts in a weighted mean, where all are of one stratum; None where items of a
        stratum count the same.
    """

    a: FloatArray
    b: FloatArray
    stratum: IntArray
    cluster: IntArray
    whole_runs: bool = False
    weight: FloatArray | None = None

    @property
    def shares(self) -> FloatArray:
        """(n_items,) what each item counts in the difference; they sum to 1."""
        return item_weights(self.stratum) if self.weight is None else self.weight / self.weight.sum()


class RunDifference(NamedTuple):
    """The mean score of run B less that of run A, a fraction.

    Attributes
    ----------
    value
        The difference.
    low, high
        Its interval.
    level
        Of the interval, such as 0.95.
    standard_error
        Of the difference.
    df
        Degrees of freedom of Student's distribution behind the interval; infinite for the normal one.
    p_better
        Confidence that B is better: one less the one-sided p-value.
    p_value
        Two-sided, of no difference; below 1 − level exactly where the interval excludes 0.
    mde
        Minimum detectable effect: the true difference that a comparison with this standard error finds with probability `POWER`.
    interval_kind
        What the interval takes as drawn at random: `items` or `clusters`, with their repeats; or `repeats` or `runs` of the same
        items.
    """

    value: float
    low: float
    high: float
    level: float
    standard_error: float
    df: float
    p_better: float
    p_value: float
    mde: float
    interval_kind: str


class _Spread(NamedTuple):
    """Centre, squared standard error and degrees of freedom of a difference."""

    centre: float
    variance: float
    df: float


def run_difference(items: Items, *, level: float = 0.95, reference: Reference = "population") -> RunDifference:
    """Difference of two runs with its interval.

    Parameters
    ----------
    items
        At least one item.
    level
        Of the interval.
    reference
        `population`: the items are a sample, and so are their clusters; the interval is for the difference on all such items.
        `benchmark`: the items are all there are, and only repeats vary; needs items with at least two repeats in both runs, or at
        least two whole runs of all items.

    Notes
    -----
    Over items, the interval is that of Bonett and Price (2012, Statistics in Medicine 31) for paired proportions: Wald's, with two
    more items, one on which each run is ahead. For graded scores their squared difference is the mean of the squared differences
    that were seen, weighted by themselves, so that heavy tails widen the interval; it is 1 for scores of 0 and 1, and where all
    items are tied. The width is never zero. Over clusters the variance is that of the sums of their residuals, with Student's
    quantile. With weights, the variance is that of a ratio, and the pseudo-items count against the effective number of items.

    Raises
    ------
    ValueError
        No item; several items of one cluster; no repeats for the reference `benchmark`.
    """
    if not len(items.a):
        raise ValueError("no items")
    if len(items.a) > 1 and reference == "population" and len(np.unique(items.cluster)) < 2:
        raise ValueError("one cluster")
    weights = items.shares
    mean_a, mean_b = np.nanmean(items.a, axis=1), np.nanmean(items.b, axis=1)
    value = float(weights @ (mean_b - mean_a))
    clustered = len(np.unique(items.cluster)) < len(items.cluster)
    if reference == "benchmark":
        spread, kind = _over_repeats(items, weights, value), "runs" if items.whole_runs else "repeats"
    else:
        spread, kind = _over_items(mean_b - mean_a, items, weights, value), "clusters" if clustered else "items"
        if items.whole_runs:
            spread = _with_shifts(spread, items, weights)
    error = math.sqrt(spread.variance)
    tail = (1 + level) / 2
    quantile, powered = student_quantile(spread.df, tail), student_quantile(spread.df, POWER)
    z = spread.centre / error if error else math.copysign(math.inf, spread.centre) if spread.centre else 0.0
    return RunDifference(
        value=value,
        low=max(-1.0, min(value, spread.centre - quantile * error)),
        high=min(1.0, max(value, spread.centre + quantile * error)),
        level=level,
        standard_error=error,
        df=spread.df,
        p_better=student_share(spread.df, z),
        p_value=2 * student_share(spread.df, -abs(z)),
        mde=min(1.0, (quantile + powered) * error),
        interval_kind=kind,
    )


def item_weights(stratum: IntArray) -> FloatArray:
    """(n_items,) weights that sum to 1: every stratum has the same weight, and so have the items of one stratum."""
    counts = np.bincount(stratum)
    weights: FloatArray = 1.0 / (counts[stratum] * np.count_nonzero(counts))
    return weights


def _over_items(differences: FloatArray, items: Items, weights: FloatArray, value: float) -> _Spread:
    """Items or clusters of items are drawn."""
    _, cluster = np.unique(items.cluster, return_inverse=True)
    n_clusters = int(cluster.max()) + 1
    clustered = n_clusters < len(cluster)
    independent = _variance(differences, items.stratum, None, weights)
    variance = _variance(differences, items.stratum, cluster, weights) if clustered else independent
    effective = 1.0 / float(np.square(weights).sum())
    if clustered:
        effective = max(1.0, effective * min(1.0, independent / variance)) if variance > 0 else float(n_clusters)
    squares = np.square(differences)
    pseudo = float(np.square(squares).sum() / squares.sum()) if squares.any() else 1.0
    n = effective + PSEUDO_ITEMS
    centre = effective * value / n
    # The mean square of independent items: the correction of their variance by n/(n − 1) is that of the two more items.
    of_items = variance * (effective if clustered else effective - 1)
    per_item = (effective * (of_items + value**2) + PSEUDO_ITEMS * pseudo) / n - centre**2
    n_strata = len(np.unique(items.stratum))
    df = float(max(1, n_clusters - n_strata) + PSEUDO_ITEMS) if clustered else math.inf
    return _Spread(centre, max(0.0, per_item) / n, df)


def _variance(differences: FloatArray, stratum: IntArray, cluster: IntArray | None, weights: FloatArray) -> float:
    """Variance of the weighted mean when clusters, or for None items, are drawn within strata.

    A stratum with one cluster has no variance of its own: such strata are collapsed, with the smallest other one if there is only
    one of them (Cochran 1977, Sampling Techniques, section 5A.12).
    """
    if cluster is None and not stratum.any():
        n = differences.size
        return float(np.square(weights * (differences - weights @ differences / weights.sum())).sum()) * n / max(1, n - 1)
    cluster = np.arange(differences.size) if cluster is None else cluster
    stratum = collapsed_strata(stratum, cluster)
    n_strata = int(stratum.max()) + 1
    sums = np.bincount(stratum, weights * differences, n_strata)
    residuals = differences - (sums / np.bincount(stratum, weights, n_strata))[stratum]
    _, place = np.unique(np.stack([stratum, cluster]), axis=1, return_inverse=True)
    place = place.ravel()
    totals = np.bincount(place, weights * residuals)
    of_total = np.zeros(len(totals), np.intp)
    of_total[place] = stratum
    per_stratum = np.bincount(of_total, minlength=n_strata)
    correction = np.where(per_stratum > 1, per_stratum / np.maximum(1, per_stratum - 1), 1.0)
    if n_strata == 1 or len(np.unique(cluster)) == len(totals):
        return float((np.square(totals) * correction[of_total]).sum())
    # Clusters that reach over several strata: their corrected totals add up before they are squared.
    of_cluster = np.zeros(len(totals), np.intp)
    of_cluster[place] = cluster
    return float(np.square(np.bincount(of_cluster, totals * np.sqrt(correction[of_total]))).sum())


def collapsed_strata(stratum: IntArray, cluster: IntArray) -> IntArray:
    """Strata, from 0 on without gaps, of at least two clusters each if there are as many."""
    _, stratum = np.unique(stratum, return_inverse=True)
    pairs = np.unique(np.stack([stratum, cluster]), axis=1)
    sizes = np.bincount(pairs[0])
    single = np.flatnonzero(sizes == 1)
    if not single.size or sizes.size == 1:
        return stratum
    if single.size == 1:
        others = np.where(sizes > 1, sizes, sizes.max() + 1)
        single = np.append(single, int(np.argmin(others)))
    joined = np.where(np.isin(stratum, single), single[0], stratum)
    result: IntArray = np.unique(joined, return_inverse=True)[1]
    return result


class MeanVariance(NamedTuple):
    """Two estimates of the variance of a run's mean over its repeats.

    Attributes
    ----------
    within
        From the variance between the repeats of each item, which are taken as independent of other items'; NaN without repeats.
    between
        From the means of whole repeats; NaN with fewer than two, or where an item has fewer repeats than others.
    df
        Degrees of freedom of `between`.
    """

    within: float
    between: float
    df: int


def mean_variance(scores: FloatArray, weights: FloatArray) -> MeanVariance:
    """Variance of the mean of `scores`, (n_items, n_repeats) with NaN where missing; `weights` are (n_items,)."""
    counts = np.count_nonzero(~np.isnan(scores), axis=1)
    within = float((np.square(weights) * item_variances(scores) / counts).sum())
    n_repeats = scores.shape[1]
    complete = n_repeats > 1 and not (counts < n_repeats).any()
    between = float(np.var(weights @ scores, ddof=1)) / n_repeats if complete else math.nan
    return MeanVariance(within, between, n_repeats - 1)


def repeats_shift(scores: FloatArray, weights: FloatArray) -> bool:
    """Whether the means of whole repeats vary more than independent responses let them, beyond chance.

    False where unknown, as where equal scores stand together among the repeats of an item.
    """
    found = mean_variance(scores, weights)
    if math.isnan(found.between) or not found.within > 0 or grouped(scores):
        return False
    return chi_square_tail(found.df * found.between / found.within, found.df) < RUN_EFFECT_LEVEL


def item_variances(scores: FloatArray) -> FloatArray:
    """(n_items,) variance between the repeats of each item; for items answered once, the mean variance of the others.

    NaN everywhere where no item was answered twice.
    """
    counts = np.count_nonzero(~np.isnan(scores), axis=1)
    means = np.nanmean(scores, axis=1)
    squares = np.nansum(np.square(scores - means[:, None]), axis=1)
    repeated = counts > 1
    variances = np.full(len(scores), np.nan)
    if repeated.any():
        variances[repeated] = squares[repeated] / (counts[repeated] - 1)
        variances[~repeated] = float(squares[repeated].sum() / (counts[repeated] - 1).sum())
    return variances


def _over_repeats(items: Items, weights: FloatArray, value: float) -> _Spread:
    """The items are fixed: whole runs are drawn, as in Welch's (1947) test of their means, or repeats of each item."""
    variance, squares_by_df = 0.0, 0.0
    for scores in (items.a, items.b):
        found = mean_variance(scores, weights)
        counts = np.count_nonzero(~np.isnan(scores), axis=1)
        # Two more items whose repeats differ, so that equal repeats of few items do not look like certainty.
        pseudo = PSEUDO_ITEMS * float(np.square(weights).mean()) * 0.25 / float(counts.mean())
        own, df = (found.between, found.df) if items.whole_runs else (found.within, float((counts - 1).sum()))
        if math.isnan(own):
            raise ValueError("no repeats")
        own += pseudo
        variance += own
        squares_by_df += own**2 / df
    return _Spread(value, variance, variance**2 / squares_by_df)


def _with_shifts(spread: _Spread, items: Items, weights: FloatArray) -> _Spread:
    """Add what whole runs vary beyond their items, with Satterthwaite's (1946) degrees of freedom."""
    variance, squares_by_df = spread.variance, spread.variance**2 / spread.df
    for scores in (items.a, items.b):
        found = mean_variance(scores, weights)
        excess = 0.0 if math.isnan(found.between) else max(0.0, found.between - found.within)
        variance += excess
        squares_by_df += excess**2 / max(1, found.df)
    return _Spread(spread.centre, variance, variance**2 / squares_by_df if squares_by_df else math.inf)


def repeat_variance(items: Items) -> float | None:
    """The part of a difference's variance that is noise between repeats; None where a run has no item that was repeated."""
    weights = items.shares
    parts = [
        float((np.square(weights) * item_variances(each) / (~np.isnan(each)).sum(axis=1)).sum()) for each in (items.a, items.b)
    ]
    return None if any(math.isnan(part) for part in parts) else sum(parts)
