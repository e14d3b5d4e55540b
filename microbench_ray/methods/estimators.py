"""From a target's responses to the selected items to its estimated accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import EstimatorWithoutFit, SeenItems, Selection, Signal, check_signal


@dataclass(frozen=True)
class Mean(EstimatorWithoutFit):
    """The mean response to the selected items, all alike. Missing responses: the mean of those there are."""

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("mean", self.signal)

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: None) -> NDArray[np.float64]:
        """(n_target,) means."""
        return weighted_mean(responses, np.ones(responses.shape[1]))


@dataclass(frozen=True)
class WeightedMean(EstimatorWithoutFit):
    """The mean response with the selection's weights, scaled to sum to 1 over the items that a target answered."""

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("weighted_mean", self.signal)

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: None) -> NDArray[np.float64]:
        """(n_target,) weighted means."""
        weights = selection.weights
        return weighted_mean(responses, np.ones(responses.shape[1]) if weights is None else weights)


@dataclass(frozen=True)
class HorvitzThompson(EstimatorWithoutFit):
    """The Horvitz–Thompson estimate: the sum of the responses, each divided by n_items × its item's inclusion probability.

    A target with missing responses gets the ratio form (Hájek): the weights of the items that it answered are scaled to the
    total of all.
    """

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("horvitz_thompson", self.signal)

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: None) -> NDArray[np.float64]:
        """(n_target,) weighted sums."""
        weights = np.full(responses.shape[1], 1 / responses.shape[1]) if selection.weights is None else selection.weights
        return weighted_mean(responses, weights) * float(weights.sum())


def weighted_mean(responses: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
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
    totals: NDArray[np.float64] = (np.where(missing, 0.0, responses) * weights).sum(axis=1)
    answered = (~missing * weights).sum(axis=1)
    means = np.full(len(responses), np.nan)
    np.divide(totals, answered, out=means, where=answered > 0)
    return means
