"""Estimates that are an affine function of the responses to the selected items: they can be written down and taken elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Readout:
    """accuracy ≈ intercept + responses @ coefficients, or a weighted mean of the responses that there are.

    Attributes
    ----------
    intercept
        A fraction.
    coefficients
        (size,), in the order of the selected items; (size, 2), of scores and of confidences, where both are read.
    means
        Of the same shape: what a missing response is filled with, moved by how far the model is above them where it answered;
        None for a weighted mean, which leaves missing responses out.
    total
        Of a weighted mean: what the coefficients of the responses that there are get scaled to sum to.
    """

    intercept: float
    coefficients: FloatArray
    means: FloatArray | None = None
    total: float = 1.0

    def estimate(self, responses: FloatArray) -> FloatArray:
        """Accuracies, (n_target,), of responses of the coefficients' shape, NaN where missing; NaN for a model without any.

        Each row is summed by itself and in one order, so that models with the same responses get the same bits. An affine
        estimate may lie a little outside [0, 1]; it is left there, as cutting it off would make ties.
        """
        flat = responses.reshape(len(responses), -1)
        coefficients = self.coefficients.ravel()
        if self.means is None:
            return self.intercept + self.total * weighted_mean(flat, coefficients)
        filled = filled_responses(flat, self.means.ravel())
        estimates: FloatArray = self.intercept + (filled * coefficients).sum(axis=1)
        estimates[np.isnan(flat).all(axis=1)] = np.nan
        return estimates


class Linear:
    """The part of an estimator whose estimates are affine: it says how it reads the selected items."""

    @abstractmethod
    def readout(self, selection: Selection, seen: SeenItems, fit: Any) -> Readout:
        """How the responses to these items are read; `seen` and `fit` as `estimate` gets them."""

    def estimate(self, responses: FloatArray, selection: Selection, seen: SeenItems, fit: Any) -> FloatArray:
        """(n_target,) accuracies."""
        return self.readout(selection, seen, fit).estimate(responses)


def weighted_mean(responses: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean over the responses that are there; NaN where none is, or none has weight.

    Each row is summed by itself and in one order, so that models with the same responses get the same bits.

    Parameters
    ----------
    responses
        (n_target, size), NaN where missing.
    weights
        (size,) non-negative.
    """
    missing = np.isnan(responses)
    totals: FloatArray = (np.where(missing, 0.0, responses) * weights).sum(axis=1)
    answered = (~missing * weights).sum(axis=1)
    means = np.full(len(responses), np.nan)
    np.divide(totals, answered, out=means, where=answered > 0)
    return means


def filled_responses(responses: FloatArray, means: FloatArray) -> FloatArray:
    """Responses with gaps filled by the items' means, moved by how far each model is above them where it answered."""
    missing = np.isnan(responses)
    if not missing.any():
        return responses
    above = weighted_mean(responses - means, np.ones(len(means)))
    return np.where(missing, np.clip(means + np.nan_to_num(above)[:, None], 0.0, 1.0), responses)
