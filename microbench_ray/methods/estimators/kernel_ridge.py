"""Accuracy predicted by kernel ridge regression on the responses to the selected items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.estimators.ridge import REGRESSION_SIGNALS, FitsSources
from microbench_ray.methods.kernels.kernel_ridge import fit_kernel_ridge
from microbench_ray.methods.kernels.sources import MIN_SOURCES, SourceAccuracies, mean_coefficients, read_items
from microbench_ray.methods.readout import FloatArray, filled_responses, weighted_mean


@dataclass(frozen=True)
class KernelRidge(FitsSources):
    """Kernel ridge regression from the responses to the selected items to the accuracy on all seen items (Bowyer et al. 2026).

    It is fitted to the source models alone. With degree 2, pairs of items are predictors as well as single items. The penalty is
    the one of the smallest leave-one-out error over the sources. The selection's weights do not enter. With fewer than four source
    models the estimate is the mean.

    Where scores are read, an estimate is clipped to the range that the observed ones allow: all other items wrong, or all right.
    Missing responses are filled as in `Ridge`.

    Parameters
    ----------
    degree
        Degree of the polynomial kernel, at least 1.
    signal
        The predictors: correctness, confidence or both.

    References
    ----------
    Bowyer, S., Locatelli, A. and Cao, K. (2026). Efficient benchmarking is just feature selection and multiple regression.
    arXiv 2605.25773.
    Saunders, C., Gammerman, A. and Vovk, V. (1998). Ridge regression learning algorithm in dual variables. ICML 1998.
    """

    degree: int = 2
    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("kernel_ridge", self.signal, REGRESSION_SIGNALS)
        if not isinstance(self.degree, int) or self.degree < 1:
            raise ConfigError("kernel_ridge: degree must be a whole number of at least 1.", got=repr(self.degree), hint="degree: 2")

    def estimate(self, responses: FloatArray, selection: Selection, seen: SeenItems, fit: SourceAccuracies) -> FloatArray:
        """(n_target,) accuracies in [0, 1]."""
        scores = responses if responses.ndim == 2 else responses[:, :, 0]
        known = read_items(fit, selection, self.signal)
        known = known.reshape(len(known), -1)
        flat = responses.reshape(len(responses), -1)
        weights = mean_coefficients(selection, seen, both=False)
        if fit.accuracy.size < MIN_SOURCES:
            return weighted_mean(scores, weights)
        regression = fit_kernel_ridge(known, fit.accuracy, self.degree)
        estimates = regression.predict(filled_responses(flat, known.mean(axis=0)))
        lowest, highest = (0.0, 1.0) if self.signal == "confidence" else score_range(scores, seen.n_items, weights)
        estimates = np.clip(estimates, lowest, highest)
        estimates[np.isnan(flat).all(axis=1)] = np.nan
        return estimates


def score_range(scores: FloatArray, n_items: int, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The smallest and the largest accuracy on `n_items` items that scores on some of them, (n_target, size), allow.

    The weights of these items, (size,), are 1 on average over all items.

    They hold as well for a model that did not answer all items, whose accuracy is over those that it answered.
    """
    right, wrong = (np.nansum(part * weights, axis=1) / n_items for part in (scores, 1 - scores))
    return right, 1 - wrong
