"""The estimate of the method `auto`: predictions by a regression and by an IRT model, weighted by errors on held-out models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.auto import FIT_KEY, AutoFit, auto_bytes, auto_seconds, fit_auto, fit_stack, predictors
from microbench_ray.methods.readout import FloatArray, weighted_mean


@dataclass(frozen=True)
class AutoEstimator:
    """The observed scores, and two predictions of all others, stacked.

    The predictions are those of `RidgeRemainder` and of `PIrt`: the first compresses the differences between models where the
    sources are few, the second exaggerates them where items have little in common. Their weights are near one half each, and are
    moved from there by their errors on source models that are held out, with items chosen without these. With fewer than eight
    source models both weights are one half, with fewer than four the estimate is the mean. With all items selected, the estimate
    is the accuracy.

    Parameters
    ----------
    signal
        What the regression reads of the targets: correctness, or both correctness and confidence.

    References
    ----------
    Breiman, L. (1996). Stacked regressions. Machine Learning 24.
    """

    signal: Signal = "both"
    source_signal: ClassVar[Signal] = "both"
    fit_key: ClassVar[str] = FIT_KEY

    def __post_init__(self) -> None:
        check_signal("auto", self.signal, ("correctness", "both"))

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> AutoFit:
        """Fit both predictors, to all sources and to those of every fold."""
        return fit_auto(seen, rng)

    def estimate(self, responses: FloatArray, selection: Selection, seen: SeenItems, fit: AutoFit) -> FloatArray:
        """(n_target,) accuracies."""
        scores = responses if responses.ndim == 2 else responses[:, :, 0]
        if fit.learned.irt is None:
            return weighted_mean(scores, np.ones(scores.shape[1]))
        observed, rest = predictors(fit.learned, selection, self.signal).observed_and_rest(responses)
        estimates = observed + fit_stack(fit, selection, self.signal).rest(rest)
        estimates[np.isnan(responses.reshape(len(responses), -1)).all(axis=1)] = np.nan
        return estimates

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of two forward selections and an IRT model, of all sources and of every fold."""
        return auto_seconds(n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses of all sources and of every fold, and of the IRT model."""
        return auto_bytes(n_source, n_items, size)
