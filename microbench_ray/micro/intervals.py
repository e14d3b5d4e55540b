"""The four 95 % intervals of `microbench score`, as pure functions of arrays: which accuracies an estimate is compatible with.

An error is estimate − true accuracy throughout.

| kind | function | used for |
|---|---|---|
| `split_conformal` | `split_conformal_interval` | a model like the known ones, 39 or more held-out errors |
| `split_conformal_absolute` | `split_conformal_absolute_interval` | the same, with fewer held-out errors |
| `extrapolated` | `extrapolated_interval` | a model unlike the known ones, which may be better than all of them |
| `reserve_wilson` | `reserve_wilson_interval` | a model scored by the reserve's random items |
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ScoreIntervalKind = Literal["split_conformal", "split_conformal_absolute", "extrapolated", "reserve_wilson"]

LEVEL = 0.95
Z = 1.959963984540054
"""Standard normal quantile of a two-sided interval at `LEVEL`."""
MIN_ERRORS = 19
"""Held-out errors needed for a finite interval: the largest of 20 exchangeable errors is the new one with probability 1/20."""
MIN_SLOPE = 0.1
"""Slope of the calibration line below which estimates carry no information about models unlike the known ones."""


class AccuracyInterval(NamedTuple):
    """An interval of accuracies, fractions in [0, 1], and the rule that made it."""

    low: float
    high: float
    kind: ScoreIntervalKind


def conformal_interval(estimate: float, errors: FloatArray) -> AccuracyInterval:
    """The split-conformal interval of a model like the held-out ones: each tail cut by itself where there are enough errors.

    The error of one more model, exchangeable with n held-out ones, has any of the n + 1 ranks with equal probability, so the
    interval holds the true accuracy of at least 95 % of such models (Vovk, Gammerman and Shafer 2005).

    Parameters
    ----------
    estimate
        The model's estimated accuracy.
    errors
        (n,) errors of held-out models, without NaN.

    References
    ----------
    Vovk, V., Gammerman, A. and Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.
    """
    if tail_rank(errors.size) >= 1:
        return split_conformal_interval(estimate, errors)
    return split_conformal_absolute_interval(estimate, errors)


def split_conformal_interval(estimate: float, errors: FloatArray) -> AccuracyInterval:
    """Each tail of the errors is cut by itself at 2.5 %, which also removes a bias that all estimates share; at least 39 errors."""
    rank, ordered = tail_rank(errors.size), np.sort(errors)
    error_low, error_high = float(ordered[rank - 1]), float(ordered[errors.size - rank])
    return interval_from_errors(estimate, error_low, error_high, "split_conformal")


def split_conformal_absolute_interval(estimate: float, errors: FloatArray) -> AccuracyInterval:
    """Symmetric about the estimate, by the quantile of the absolute error; [0, 1] for fewer than `MIN_ERRORS` errors."""
    quantile = absolute_error_quantile(errors)
    return interval_from_errors(estimate, -quantile, quantile, "split_conformal_absolute")


def extrapolated_interval(
    calibrated: float, errors: FloatArray, inner: AccuracyInterval, *, open_above: bool
) -> AccuracyInterval | None:
    """The wider interval, symmetric about the calibrated estimate, joined with the split-conformal one.

    Its half-width is the quantile of the absolute errors of the best models, each estimated by a micro-benchmark built without
    them.

    Parameters
    ----------
    calibrated
        `Calibration.accuracy` of the estimate; NaN where estimates do not follow accuracy.
    errors
        (n,) errors of the best models' calibrated estimates, without NaN.
    inner
        The split-conformal interval, which the result contains.
    open_above
        Whether the items cannot show how much better a model is, so that the interval reaches up to 1.

    Returns
    -------
    AccuracyInterval or None
        None where `calibrated` is NaN or there are fewer than `MIN_ERRORS` errors.
    """
    half_width = absolute_error_quantile(errors)
    if math.isnan(calibrated) or math.isinf(half_width):
        return None
    outer = interval_from_errors(calibrated, -half_width, half_width, "extrapolated")
    high = 1.0 if open_above else max(inner.high, outer.high)
    return AccuracyInterval(low=min(inner.low, outer.low), high=high, kind="extrapolated")


def reserve_wilson_interval(mean: float, n: int, n_items: int) -> AccuracyInterval:
    """Wilson's interval with finite-population correction: the accuracy on all items from the mean of a uniform random sample.

    Drawn without replacement, the sample counts as n (N − 1) / (N − n) draws. Conservative for graded scores, whose variance is
    smaller than that of right and wrong answers.

    Parameters
    ----------
    mean
        Mean response over the sample, in [0, 1].
    n, n_items
        Size of the sample, and the number of all items.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the American Statistical
    Association 22.
    """
    if n >= n_items:
        return AccuracyInterval(low=mean, high=mean, kind="reserve_wilson")
    draws = n * (n_items - 1) / (n_items - n)
    centre = (mean + Z * Z / (2 * draws)) / (1 + Z * Z / draws)
    half_width = Z / (1 + Z * Z / draws) * math.sqrt(mean * (1 - mean) / draws + Z * Z / (4 * draws * draws))
    return AccuracyInterval(low=max(0.0, centre - half_width), high=min(1.0, centre + half_width), kind="reserve_wilson")


def interval_from_errors(estimate: float, error_low: float, error_high: float, kind: ScoreIntervalKind) -> AccuracyInterval:
    """The accuracies, clipped to [0, 1], for which the estimate's error lies between `error_low` and `error_high`."""
    return AccuracyInterval(low=min(1.0, max(0.0, estimate - error_high)), high=max(0.0, min(1.0, estimate - error_low)), kind=kind)


def tail_rank(n_errors: int) -> int:
    """The rank, from either end, of the error at which 2.5 % are cut off each tail; 0 below 39 errors."""
    return math.floor((n_errors + 1) * (1 - LEVEL) / 2 + 1e-9)


def absolute_error_quantile(errors: FloatArray) -> float:
    """The absolute error that one more model does not exceed with a probability of at least 95 %; inf below `MIN_ERRORS`."""
    rank = math.ceil((errors.size + 1) * LEVEL - 1e-9)
    return math.inf if rank > errors.size else float(np.sort(np.abs(errors))[rank - 1])


class Calibration(NamedTuple):
    """The line that held-out models' estimates follow: estimate ≈ intercept + slope × accuracy."""

    intercept: float
    slope: float

    def accuracy(self, estimates: FloatArray) -> FloatArray:
        """The accuracies at which the line has these estimates; NaN for all of them where the slope is below `MIN_SLOPE`."""
        if self.slope < MIN_SLOPE:
            return np.full(estimates.shape, np.nan)
        accuracies: FloatArray = (estimates - self.intercept) / self.slope
        return accuracies


def calibration(estimates: FloatArray, accuracy: FloatArray) -> Calibration:
    """Least-squares line of estimates on accuracies, to be inverted (Eisenhart 1939).

    A regression's estimates shrink towards the known models' mean, the more so the further a model is from it: unbiased on average
    over models like the known ones, too low for each model that is better. Inverting the line removes that bias.

    Parameters
    ----------
    estimates, accuracy
        (n,) of held-out models; models with a NaN are left out.

    References
    ----------
    Eisenhart, C. (1939). The interpretation of certain regression methods and their use in biological and industrial research.
    Annals of Mathematical Statistics 10.
    """
    known = ~np.isnan(estimates) & ~np.isnan(accuracy)
    x, y = accuracy[known], estimates[known]
    spread = float(np.square(x - x.mean()).sum()) if x.size > 1 else 0.0
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
    return Calibration(intercept=float(y.mean() - slope * x.mean()) if x.size else 0.0, slope=slope)
