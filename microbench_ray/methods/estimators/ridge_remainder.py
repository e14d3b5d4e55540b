"""Accuracy as the observed scores plus a prediction of the rest: for selections of a large share of the items, or few sources."""

from __future__ import annotations

from dataclasses import dataclass

from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.estimators.ridge import FitsSources
from microbench_ray.methods.kernels.ridge import predict_rest
from microbench_ray.methods.kernels.sources import MIN_SOURCES, SourceAccuracies, mean_coefficients, read_items
from microbench_ray.methods.readout import Readout, WithReadout


@dataclass(frozen=True)
class RidgeRemainder(FitsSources, WithReadout):
    """The sum of the observed scores, plus a ridge regression of the sum of all others (prediction theory, Royall 1970).

    Of the seen items, the responses to the selected ones are known. Only the rest is predicted, by a regression on them that is
    fitted to the source models. Where the sources do not support a regression, its coefficients shrink to 0 and models are ordered
    as by the plain mean of the selected items; with all items selected, the estimate is the accuracy.

    Coefficients are normal around a common one, with variances inverse to those of the responses; the penalty and the variance of
    the common coefficient are chosen by the smallest leave-one-out error. With fewer than four source models the estimate is the
    mean. Missing responses are filled as in `Ridge`.

    Parameters
    ----------
    signal
        The predictors: correctness, or both correctness and confidence. The observed part consists of scores.

    References
    ----------
    Royall, R. M. (1970). On finite population sampling theory under certain linear regression models. Biometrika 57.
    """

    signal: Signal = "both"

    def __post_init__(self) -> None:
        check_signal("ridge_remainder", self.signal, ("correctness", "both"))

    def readout(self, selection: Selection, seen: SeenItems, fit: SourceAccuracies) -> Readout:
        """The observed share of each score, and its coefficient in the regression."""
        known = read_items(fit, selection, self.signal)
        both = known.ndim == 3
        if fit.accuracy.size < MIN_SOURCES:
            return Readout(intercept=0.0, coefficients=mean_coefficients(selection, seen, both=both))
        observed = mean_coefficients(selection, seen, both=both) / fit.responses.shape[1]
        rest = fit.accuracy - (known * observed).reshape(len(known), -1).sum(axis=1)
        regression = predict_rest(known.reshape(len(known), -1), rest)
        coefficients = observed + regression.coefficients.reshape(observed.shape)
        return Readout(intercept=regression.intercept, coefficients=coefficients, means=known.mean(axis=0))
