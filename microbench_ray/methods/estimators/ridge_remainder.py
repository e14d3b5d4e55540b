"""Accuracy as what was observed and a prediction of the rest: for items that are a good part of all of them, or few sources."""

from __future__ import annotations

from dataclasses import dataclass

from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.estimators.ridge import FitsSources
from microbench_ray.methods.kernels.ridge import predict_rest
from microbench_ray.methods.kernels.sources import MIN_SOURCES, SourceAccuracies, mean_coefficients, read_items
from microbench_ray.methods.readout import Linear, Readout


@dataclass(frozen=True)
class RidgeRemainder(FitsSources, Linear):
    """The sum of the observed scores, plus a ridge regression of the sum of all others (prediction theory, Royall 1970).

    Of N seen items the responses to the selected ones are known: only the rest is predicted, from the responses to the selected
    items, by a regression on the source models. Where the sources support no regression its coefficients shrink to 0, and models
    are ordered as by the plain mean of the selected items; with all items selected the estimate is the accuracy.

    Coefficients are normal around a common one, with variances inverse to the responses' own; the penalty and how freely the
    common coefficient varies have the smallest leave-one-out error. With fewer than four source models the estimate is the mean.
    Missing responses: as for `ridge`.

    Parameters
    ----------
    signal
        What is regressed on: correctness, or both correctness and confidence. The observed part is of scores.

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
            return Readout(0.0, mean_coefficients(selection, both=both))
        observed = mean_coefficients(selection, both=both) / fit.responses.shape[1]
        rest = fit.accuracy - (known * observed).reshape(len(known), -1).sum(axis=1)
        intercept, coefficients = predict_rest(known.reshape(len(known), -1), rest)
        return Readout(intercept, observed + coefficients.reshape(observed.shape), known.mean(axis=0))
