"""Accuracy by a ridge regression on the responses to the selected items, fitted to the source models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.methods.base import SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.kernels.ridge import fit_regression
from microbench_ray.methods.kernels.sources import (
    FIT_KEY,
    MIN_SOURCES,
    SECONDS_PER_RESPONSE,
    SourceAccuracies,
    mean_coefficients,
    read_items,
    source_accuracies,
    source_bytes,
)
from microbench_ray.methods.readout import Readout, WithReadout

REGRESSION_SIGNALS: tuple[Signal, ...] = ("correctness", "confidence", "both")


class FitsSources:
    """Mixin of estimators that read the source models' responses and accuracies."""

    signal: Signal
    fit_key = FIT_KEY
    weighted: ClassVar[bool] = True

    @property
    def source_signal(self) -> Signal:
        """`both` unless only scores are read, as accuracies are computed from scores."""
        return "correctness" if self.signal == "correctness" else "both"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> SourceAccuracies:
        """Responses with gaps filled, and accuracies over the items that each model answered."""
        return source_accuracies(seen)

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of filling gaps; that of the regressions is small in comparison with other fits."""
        return SECONDS_PER_RESPONSE * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses, those to the largest selection, and a few square matrices."""
        return source_bytes(n_source, n_items, size, self.signal)


@dataclass(frozen=True)
class Ridge(FitsSources, WithReadout):
    """Ridge regression from the responses to the selected items to the accuracy on all seen items (Hoerl and Kennard 1970).

    It is fitted to the source models alone, with the penalty that has the smallest leave-one-out error, in closed form (Allen
    1974). The selection's weights do not enter. With fewer than four source models the estimate is the mean.

    Missing responses are filled with the item's mean over the source models that answered it; for a target, shifted by the target's
    mean difference from these means on the items that it answered.

    Parameters
    ----------
    signal
        The predictors: correctness, confidence or both.

    References
    ----------
    Hoerl, A. E. and Kennard, R. W. (1970). Ridge regression: biased estimation for nonorthogonal problems. Technometrics 12.
    Allen, D. M. (1974). The relationship between variable selection and data augmentation and a method for prediction.
    Technometrics 16.
    """

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("ridge", self.signal, REGRESSION_SIGNALS)

    def readout(self, selection: Selection, seen: SeenItems, fit: SourceAccuracies) -> Readout:
        """The regression on these items."""
        known = read_items(fit, selection, self.signal)
        if fit.accuracy.size < MIN_SOURCES:
            return Readout(intercept=0.0, coefficients=mean_coefficients(selection, seen, both=known.ndim == 3))
        regression = fit_regression(known.reshape(len(known), -1), fit.accuracy)
        return Readout(
            intercept=regression.intercept,
            coefficients=regression.coefficients.reshape(known.shape[1:]),
            means=known.mean(axis=0),
        )
