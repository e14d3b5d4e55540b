"""Estimates that are a function of the responses to the selected items alone, given by numbers that can be exported."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection

FloatArray = NDArray[np.float64]


class Term(Protocol):
    """A part of an estimate that is not affine in the responses."""

    def added_to(self, estimates: FloatArray, scores: FloatArray) -> FloatArray:
        """(n_target,) estimates, from their affine part, (n_target,), and scores (n_target, size), NaN where missing."""
        ...


@dataclass(frozen=True)
class Readout:
    """accuracy ≈ intercept + responses @ coefficients, or a weighted mean of the non-missing responses; plus a further term.

    Attributes
    ----------
    intercept
        A fraction.
    coefficients
        (size,), in the order of the selected items; (size, 2), for scores and confidences, where both are read.
    means
        Of the same shape: a missing response is filled with its mean, shifted by the model's mean difference from these means on
        the items that it answered. None for a weighted mean, which leaves missing responses out.
    total
        For a weighted mean: the coefficients of the non-missing responses are scaled to sum to this.
    term
        Added to the affine function; only where there are `means`.
    """

    intercept: float
    coefficients: FloatArray
    means: FloatArray | None = None
    total: float = 1.0
    term: Term | None = None

    def estimate(self, responses: FloatArray) -> FloatArray:
        """(n_target,) accuracies from responses in the shape of the coefficients, NaN where missing; NaN for a model without any.

        Each row is summed separately and in one order, so that models with the same responses get the same bits. An affine
        estimate may lie slightly outside [0, 1]; it is not clipped, which would create ties.
        """
        flat = responses.reshape(len(responses), -1)
        coefficients = self.coefficients.ravel()
        if self.means is None:
            return self.intercept + self.total * weighted_mean(flat, coefficients)
        filled = filled_responses(flat, self.means.ravel())
        estimates: FloatArray = self.intercept + (filled * coefficients).sum(axis=1)
        if self.term is not None:
            estimates = self.term.added_to(estimates, responses if responses.ndim == 2 else responses[:, :, 0])
        estimates[np.isnan(flat).all(axis=1)] = np.nan
        return estimates


class WithReadout:
    """Mixin of estimators that are given by a `Readout`, and can therefore be exported."""

    @abstractmethod
    def readout(self, selection: Selection, seen: SeenItems, fit: Any) -> Readout:
        """Return the function of the responses to these items; `seen` and `fit` as for `estimate`."""

    def estimate(self, responses: FloatArray, selection: Selection, seen: SeenItems, fit: Any) -> FloatArray:
        """(n_target,) accuracies."""
        return self.readout(selection, seen, fit).estimate(responses)


def weighted_mean(responses: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean over the non-missing responses; NaN for a row without any, or whose weights are all 0.

    Each row is summed separately and in one order, so that models with the same responses get the same bits.

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
    """Responses with gaps filled by the items' means, shifted by each model's mean difference from them where it answered."""
    missing = np.isnan(responses)
    if not missing.any():
        return responses
    shift = weighted_mean(responses - means, np.ones(len(means)))
    return np.where(missing, np.clip(means + np.nan_to_num(shift)[:, None], 0.0, 1.0), responses)
