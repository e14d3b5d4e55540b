"""How far the truth may lie from an estimate, from the errors of models that were held out: pure functions of arrays."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEVEL = 0.95
MIN_ERRORS = 19
"""Held-out models that an interval needs: of 19 errors and one more, one in twenty is the largest."""
MIN_SLOPE = 0.1
"""Where estimates follow the truth less than this, they say nothing of a model that may be unlike the known ones."""


class Calibration(NamedTuple):
    """How estimates of held-out models go with the truth: estimate ≈ intercept + slope × truth."""

    intercept: float
    slope: float

    def truth(self, estimates: FloatArray) -> FloatArray:
        """The accuracies that these estimates stand for, whatever accuracies are common; NaN where estimates tell nothing."""
        if self.slope < MIN_SLOPE:
            return np.full(estimates.shape, np.nan)
        turned: FloatArray = (estimates - self.intercept) / self.slope
        return turned


def calibration(estimates: FloatArray, truth: FloatArray) -> Calibration:
    """The line by least squares of estimates on the truth (Eisenhart 1939), which is read backwards.

    A regression's estimates are drawn towards the known models' mean, the more so the further a model is from it: right on average
    over models like the known ones, too low for each one that is better than they are. The line read backwards is not.

    Parameters
    ----------
    estimates, truth
        (n,) of models that were held out; NaN left out.

    References
    ----------
    Eisenhart, C. (1939). The interpretation of certain regression methods and their use in biological and industrial research.
    Annals of Mathematical Statistics 10.
    """
    known = ~np.isnan(estimates) & ~np.isnan(truth)
    x, y = truth[known], estimates[known]
    spread = float(np.square(x - x.mean()).sum()) if x.size > 1 else 0.0
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 0.0
    return Calibration(float(y.mean() - slope * x.mean()) if x.size else 0.0, slope)


def error_bounds(errors: FloatArray) -> tuple[float, float]:
    """Bounds that hold the error of one more model with a probability of at least 95 %; infinite where there are too few.

    The error of one more model like n others has any of n + 1 places among theirs with equal chance (split conformal). From 39 on
    each tail is cut by itself, which takes out what all estimates are off by; with fewer the absolute error is cut.

    Parameters
    ----------
    errors
        (n,) truth minus estimate, of held-out models.
    """
    cut = math.floor((errors.size + 1) * (1 - LEVEL) / 2 + 1e-9)
    if cut >= 1:
        ordered = np.sort(errors)
        return float(ordered[cut - 1]), float(ordered[errors.size - cut])
    most = absolute_bound(errors)
    return -most, most


def absolute_bound(errors: FloatArray) -> float:
    """What the absolute error of one more model does not exceed with a probability of at least 95 %; infinite for too few."""
    within = math.ceil((errors.size + 1) * LEVEL - 1e-9)
    return math.inf if within > errors.size else float(np.sort(np.abs(errors))[within - 1])


def sample_interval(mean: float, n: int, n_items: int) -> tuple[float, float]:
    """The accuracy on all items, with 95 % confidence, from the mean of a uniform random sample of them (Wilson 1927).

    The sample counts as n (N − 1) / (N − n) draws, as it was drawn without replacement. Of graded scores, whose variance is smaller
    than that of right and wrong answers, it is wider than need be.

    Parameters
    ----------
    mean
        Of the sample, in [0, 1].
    n, n_items
        Its size, and the number of all items.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the American Statistical
    Association 22.
    """
    if n >= n_items:
        return mean, mean
    draws = n * (n_items - 1) / (n_items - n)
    z = 1.959963984540054
    middle = (mean + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(mean * (1 - mean) / draws + z * z / (4 * draws * draws))
    return max(0.0, middle - half), min(1.0, middle + half)
