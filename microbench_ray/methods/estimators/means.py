"""Weighted and unweighted means of the responses to the selected items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microbench_ray.methods.base import EstimatorWithoutFit, SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.readout import FloatArray, Readout, WithReadout


@dataclass(frozen=True)
class Mean(WithReadout, EstimatorWithoutFit):
    """The unweighted mean response to the selected items. Missing responses are left out."""

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("mean", self.signal)

    def readout(self, selection: Selection, seen: SeenItems | None = None, fit: None = None) -> Readout:
        """Equal coefficients."""
        return Readout(intercept=0.0, coefficients=np.ones(len(selection.items)))


@dataclass(frozen=True)
class WeightedMean(WithReadout, EstimatorWithoutFit):
    """The mean response with the selection's weights, scaled to sum to 1 over the items that a target answered."""

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("weighted_mean", self.signal)

    def readout(self, selection: Selection, seen: SeenItems | None = None, fit: None = None) -> Readout:
        """The weights, scaled to sum to 1."""
        return Readout(intercept=0.0, coefficients=design_weights(selection))


@dataclass(frozen=True)
class HorvitzThompson(WithReadout, EstimatorWithoutFit):
    """The Horvitz–Thompson estimate: the sum of the responses, each divided by n_items × its item's inclusion probability.

    A target with missing responses gets the ratio form (Hájek): the weights of the items that it answered are scaled to the
    total of all.
    """

    signal: Signal = "correctness"

    def __post_init__(self) -> None:
        check_signal("horvitz_thompson", self.signal)

    def readout(self, selection: Selection, seen: SeenItems | None = None, fit: None = None) -> Readout:
        """The weights as they are."""
        weights = design_weights(selection)
        return Readout(intercept=0.0, coefficients=weights, total=float(weights.sum()))


def design_weights(selection: Selection) -> FloatArray:
    """(size,) the share of the items that each selected item stands for; equal if the selection has no weights."""
    size = len(selection.items)
    return np.full(size, 1 / size) if selection.weights is None else selection.weights
