"""The 95 % intervals of `microbench score`, as pure functions of arrays: which accuracies an estimate is compatible with.

An error is estimate − true accuracy throughout.

| kind | function | used for |
|---|---|---|
| `split_conformal` | `split_conformal_interval` | a model like the known ones, errors of 39 or more groups of held-out models |
| `split_conformal_absolute` | `split_conformal_absolute_interval` | the same, with 19 to 38 groups |
| `student` | `student_interval` | the same, with fewer groups |
| `extrapolated` | `extrapolated_interval` | a model unlike the known ones, which may be better than all of them |
| `reserve_wilson` | `wilson_interval` | a model scored by the reserve's random items |
| `random_wilson` | `wilson_interval` | a model scored by the micro-benchmark's own items, where these are random |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ScoreIntervalKind = Literal[
    "split_conformal", "split_conformal_absolute", "student", "extrapolated", "reserve_wilson", "random_wilson"
]

LEVEL = 0.95
Z = 1.959963984540054
"""Standard normal quantile of a two-sided interval at `LEVEL`."""
MIN_ERRORS = 19
"""Groups of held-out errors needed for a distribution-free level: the largest of 20 exchangeable errors is the new one with
probability 1/20."""
STUDENT = (
    *(12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157),
    *(2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922),
)
"""Student's quantiles of a two-sided interval at `LEVEL`, for 1 to 18 degrees of freedom; importing scipy takes longer than all
else."""
MIN_SLOPE = 0.1
"""Slope of the calibration line below which estimates carry no information about models unlike the known ones."""


class AccuracyInterval(NamedTuple):
    """An interval of accuracies, fractions in [0, 1], and the rule that made it."""

    low: float
    high: float
    kind: ScoreIntervalKind


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of held-out models.

    Attributes
    ----------
    values
        (n,) errors, estimate − true accuracy, without NaN; divided by `binomial_scale` of the estimate.
    weights
        (n,) 1 / the number of the errors of the same group, so that each group weighs 1.
    """

    values: FloatArray
    weights: FloatArray

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return round(float(self.weights.sum()))

    @cached_property
    def tails(self) -> tuple[float, float]:
        """The errors that cut off `(1 − LEVEL) / 2` below and above; infinite where there are too few groups."""
        tail = (1 + LEVEL) / 2
        return -upper_quantile(-self.values, self.weights, tail), upper_quantile(self.values, self.weights, tail)

    @cached_property
    def absolute_quantile(self) -> float:
        """The absolute error that one more model does not exceed with a probability of 95 %; inf below `MIN_ERRORS` groups."""
        return upper_quantile(np.abs(self.values), self.weights, LEVEL)


def errors_of(values: FloatArray, groups: NDArray[np.intp] | None = None) -> Errors:
    """Errors with the weights of their groups; by default each is by itself."""
    if groups is None or not values.size:
        return Errors(values=values, weights=np.ones(values.size))
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return Errors(values=values, weights=1 / sizes[codes])


def binomial_scale(estimates: FloatArray, size: int) -> FloatArray:
    """The deviation of right and wrong answers at these accuracies, with two of each added to the `size` observed ones.

    Errors of estimates near 0 and 1 are smaller than those in the middle. Divided by this scale, errors of all models are alike, so
    that the interval of a model is as wide as its own accuracy demands (normalised conformal prediction; the added answers are
    those of Agresti and Coull 1998, without which the scale is 0 at either end).

    References
    ----------
    Papadopoulos, H., Gammerman, A. and Vovk, V. (2008). Normalized nonconformity measures for regression conformal prediction. AIA.
    """
    share = (np.clip(estimates, 0, 1) * size + 2) / (size + 4)
    scale: FloatArray = np.sqrt(share * (1 - share))
    return scale


def errors_interval(estimate: float, errors: Errors, scale: float = 1.0) -> AccuracyInterval | None:
    """The interval of a model like the held-out ones, by the rule for their number; None where it would be all of [0, 1].

    Parameters
    ----------
    estimate
        The model's estimated accuracy.
    errors
        Of held-out models, divided by their scales.
    scale
        `binomial_scale` of the estimate.
    """
    rule = student_interval
    if errors.n_groups >= MIN_ERRORS:
        rule = split_conformal_interval if tail_level_reached(errors) else split_conformal_absolute_interval
    interval = rule(estimate, errors, scale) if errors.values.size else None
    return None if interval is None or (interval.low <= 0 and interval.high >= 1) else interval


def tail_level_reached(errors: Errors) -> bool:
    """Whether 2.5 % can be cut off each tail."""
    return errors.n_groups / (errors.n_groups + 1) >= (1 + LEVEL) / 2 - 1e-9


def split_conformal_interval(estimate: float, errors: Errors, scale: float = 1.0) -> AccuracyInterval:
    """Each tail of the errors is cut by itself at 2.5 %, which also removes a bias that all estimates share; at least 39 groups.

    The error of one more model, exchangeable with n held-out ones, has any of the n + 1 ranks with equal probability, so the
    interval holds the true accuracy of 95 % of such models (Vovk, Gammerman and Shafer 2005); with groups, of models of one more
    group (Lee, Barber and Willett 2023).

    References
    ----------
    Vovk, V., Gammerman, A. and Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.

    Lee, Y., Barber, R. F. and Willett, R. (2023). Distribution-free inference with hierarchical data. arXiv 2306.06342.
    """
    error_low, error_high = errors.tails
    return interval_from_errors(estimate, scale * error_low, scale * error_high, "split_conformal")


def split_conformal_absolute_interval(estimate: float, errors: Errors, scale: float = 1.0) -> AccuracyInterval:
    """Symmetric about the estimate, by the quantile of the absolute error; at least `MIN_ERRORS` groups."""
    half_width = scale * errors.absolute_quantile
    return interval_from_errors(estimate, -half_width, half_width, "split_conformal_absolute")


def student_interval(estimate: float, errors: Errors, scale: float = 1.0) -> AccuracyInterval:
    """Symmetric about the estimate, by Student's quantile times the root mean square error, and at least the largest error.

    For normal errors the level is 95 %; for any errors it is at least n / (n + 1) with n groups, which the largest of them gives.
    """
    weights, values = errors.weights / errors.weights.sum(), errors.values
    root_mean_square = math.sqrt(float((weights * np.square(values)).sum()))
    quantile = STUDENT[min(errors.n_groups, len(STUDENT)) - 1]
    half_width = scale * max(quantile * root_mean_square, float(np.abs(values).max()))
    return interval_from_errors(estimate, -half_width, half_width, "student")


def extrapolated_interval(
    calibrated: float, errors: Errors, inner: AccuracyInterval, *, open_above: bool
) -> AccuracyInterval | None:
    """The interval of a model unlike the known ones, symmetric about the calibrated estimate and joined with the inner one.

    Its half-width is the quantile of the absolute errors of the best models, each estimated by a micro-benchmark built without
    them.

    Parameters
    ----------
    calibrated
        `Calibration.accuracy` of the estimate; NaN where estimates do not follow accuracy.
    errors
        Errors of the best models' calibrated estimates, not divided by a scale.
    inner
        The interval of a model like the known ones, which the result contains.
    open_above
        Whether the items cannot show how much better a model is, so that the interval reaches up to 1.

    Returns
    -------
    AccuracyInterval or None
        None where `calibrated` is NaN, there are errors of fewer than `MIN_ERRORS` groups, or the interval would be all of [0, 1].
    """
    half_width = errors.absolute_quantile
    if math.isnan(calibrated) or math.isinf(half_width):
        return None
    outer = interval_from_errors(calibrated, -half_width, half_width, "extrapolated")
    low, high = min(inner.low, outer.low), 1.0 if open_above else max(inner.high, outer.high)
    return None if low <= 0 and high >= 1 else AccuracyInterval(low=low, high=high, kind="extrapolated")


def wilson_interval(mean: float, n: int, n_items: int, dispersion: float, kind: ScoreIntervalKind) -> AccuracyInterval:
    """Wilson's interval with finite-population correction: the accuracy on all items from the mean of a uniform random sample.

    Drawn without replacement, the sample counts as n (N − 1) / (N − n) draws, and graded scores as 1 / dispersion times as many.

    Parameters
    ----------
    mean
        Mean response over the sample, in [0, 1].
    n, n_items
        Size of the sample, and the number of all items.
    dispersion
        Variance of the responses as a share of that of right and wrong answers with the same mean: 1 for those.
    kind
        `reserve_wilson` or `random_wilson`.

    References
    ----------
    Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal of the American Statistical
    Association 22.
    """
    if n >= n_items or dispersion <= 0:
        return AccuracyInterval(low=mean, high=mean, kind=kind)
    draws = n * (n_items - 1) / (n_items - n) / dispersion
    centre = (mean + Z * Z / (2 * draws)) / (1 + Z * Z / draws)
    half_width = Z / (1 + Z * Z / draws) * math.sqrt(mean * (1 - mean) / draws + Z * Z / (4 * draws * draws))
    return AccuracyInterval(low=max(0.0, centre - half_width), high=min(1.0, centre + half_width), kind=kind)


def interval_from_errors(estimate: float, error_low: float, error_high: float, kind: ScoreIntervalKind) -> AccuracyInterval:
    """The accuracies, clipped to [0, 1], for which the estimate's error lies between `error_low` and `error_high`."""
    return AccuracyInterval(low=min(1.0, max(0.0, estimate - error_high)), high=max(0.0, min(1.0, estimate - error_low)), kind=kind)


def upper_quantile(values: FloatArray, weights: FloatArray, level: float) -> float:
    """The value that one more group's value does not exceed with probability `level`; inf where there are too few groups.

    Each group has the probability 1 / (groups + 1), shared by its values, and the new one stands at infinity. Between two values
    the quantile is interpolated: rounded up, 30 values would give a level of .968 for one of .95 (Hyndman and Fan 1996, definition
    6).

    References
    ----------
    Hyndman, R. J. and Fan, Y. (1996). Sample quantiles in statistical packages. The American Statistician 50.
    """
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order]) / (weights.sum() + 1)
    if not values.size or level > cumulative[-1] + 1e-9:
        return math.inf
    return float(np.interp(level, cumulative, values[order]))


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
