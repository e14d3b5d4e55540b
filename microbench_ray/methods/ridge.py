"""Accuracy as a ridge regression on the responses to the selected items, learnt from the source models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.readout import FloatArray, Linear, Readout, weighted_mean

LEAST_SOURCES = 4
"""Fewer source models give no regression: the mean takes its place."""
PENALTIES = np.logspace(-4, 3, 29)
"""Penalties that are tried, in units of the mean eigenvalue of the source models' Gram matrix."""
SECONDS_PER_RESPONSE = 2e-9


class SourceAccuracies(NamedTuple):
    """The source models' responses, (n_source, n_items), missing ones filled; and their accuracies, (n_source,)."""

    responses: FloatArray
    accuracy: FloatArray


class Regression(NamedTuple):
    """accuracy ≈ intercept + responses @ coefficients."""

    intercept: float
    coefficients: FloatArray
    penalty: float
    loo_error: float
    """Root mean squared error of every source model predicted from the others."""


@dataclass(frozen=True)
class Ridge(Linear):
    """Ridge regression from the responses to the selected items to the accuracy on all seen items (Hoerl and Kennard 1970).

    It is fitted to the source models alone, with the penalty that has the smallest leave-one-out error, in closed form (Allen
    1974). The selection's weights do not enter. With fewer than four source models the estimate is the mean.

    Missing responses: of source models an item's mean over those that answered it; of a target, too, plus how far the target is
    above the sources' means on the items that it answered.

    References
    ----------
    Hoerl, A. E. and Kennard, R. W. (1970). Ridge regression: biased estimation for nonorthogonal problems. Technometrics 12.
    Allen, D. M. (1974). The relationship between variable selection and data augmentation and a method for prediction.
    Technometrics 16.
    """

    signal: ClassVar[Signal] = "correctness"
    source_signal: ClassVar[Signal] = "correctness"
    fit_key: ClassVar[str] = "source_accuracies"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> SourceAccuracies:
        """Responses without gaps, and accuracies over the items that each model answered."""
        assert seen.responses is not None
        responses = np.asarray(seen.responses, np.float64)
        missing = np.isnan(responses)
        if not missing.any():
            return SourceAccuracies(responses, responses.mean(axis=1))
        accuracy = weighted_mean(responses, np.ones(responses.shape[1]))
        answered = ~np.isnan(accuracy)
        responses, missing, accuracy = responses[answered], missing[answered], accuracy[answered]
        means = weighted_mean(responses.T, np.ones(len(responses)))
        means = np.where(np.isnan(means), accuracy.mean() if accuracy.size else 0.0, means)
        return SourceAccuracies(np.where(missing, means, responses), accuracy)

    def readout(self, selection: Selection, seen: SeenItems, fit: SourceAccuracies) -> Readout:
        """The regression on these items."""
        if fit.accuracy.size < LEAST_SOURCES:
            return Readout(0.0, np.ones(len(selection.items)))
        known = fit.responses[:, selection.items]
        line = fit_regression(known, fit.accuracy)
        return Readout(line.intercept, line.coefficients, known.mean(axis=0))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Filling gaps; the regressions of the sizes are small beside other fits."""
        return SECONDS_PER_RESPONSE * n_source * n_items

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """The responses, those to the largest selection, and a few square matrices."""
        return 8 * n_source * (2 * n_items + 2 * size + 4 * n_source)


def fit_regression(responses: FloatArray, accuracy: FloatArray) -> Regression:
    """Ridge regression with an intercept that is not penalised, and the penalty with the smallest leave-one-out error.

    Parameters
    ----------
    responses
        (n, size) without gaps.
    accuracy
        (n,) of the same models.
    """
    n = len(accuracy)
    centre, level = responses.mean(axis=0), float(accuracy.mean())
    x, y = responses - centre, accuracy - level
    values, vectors = np.linalg.eigh(x @ x.T)
    values = np.maximum(values, 0.0)
    scale = float(values.mean())
    if scale <= 0:
        return Regression(level, np.zeros(responses.shape[1]), float("inf"), float(np.sqrt(np.mean((y * n / (n - 1)) ** 2))))
    turned = vectors.T @ y
    shrunk = values / (values + scale * PENALTIES[:, None])
    residuals = y - (shrunk * turned) @ vectors.T
    leverage = 1 / n + shrunk @ (vectors**2).T
    errors = np.sqrt(np.mean((residuals / np.maximum(1 - leverage, 1e-9)) ** 2, axis=1))
    best = int(np.argmin(errors))
    penalty = scale * float(PENALTIES[best])
    coefficients = x.T @ (vectors @ (turned / (values + penalty)))
    return Regression(level - float(centre @ coefficients), coefficients, penalty, float(errors[best]))
