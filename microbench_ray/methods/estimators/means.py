"""Weighted and unweighted means of the responses to the selected items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.methods.base import EstimatorWithoutFit, SeenItems, Selection, Signal, check_signal
from microbench_ray.methods.readout import FloatArray, Readout, WithReadout


@dataclass(frozen=True)
class Mean(WithReadout, EstimatorWithoutFit):
    """The unweighted mean response to the selected items. Missing responses are left out.

    Where items count differently in the accuracy, the mean is weighted by what the selected items stand for.
    """

    signal: Signal = "correctness"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("mean", self.signal)

    def readout(self, selection: Selection, seen: SeenItems | None = None, fit: None = None) -> Readout:
        """Equal coefficients, or the weights."""
        equal = seen is None or seen.weights is None
        return Readout(intercept=0.0, coefficients=np.ones(len(selection.items)) if equal else design_weights(selection, seen))


@dataclass(frozen=True)
class WeightedMean(WithReadout, EstimatorWithoutFit):
    """The mean response with the selection's weights, scaled to sum to 1 over the items that a target answered."""

    signal: Signal = "correctness"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("weighted_mean", self.signal)

    def readout(self, selection: Selection, seen: SeenItems | None = None, fit: None = None) -> Readout:
        """The weights, scaled to sum to 1."""
        return Readout(intercept=0.0, coefficients=design_weights(selection, seen))


@dataclass(frozen=True)
class HorvitzThompson(WithReadout, EstimatorWithoutFit):
    """The Horvitz–Thompson estimate: the sum of the responses, each divided by n_items × its item's inclusion probability.

    A target with missing responses gets the ratio form (Hájek): the weights of the items that it answered are scaled to the
    total of all.
    """

    signal: Signal = "correctness"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("horvitz_thompson", self.signal)

    def readout(self, selection: Selection, seen: SeenItems | None = None, fit: None = None) -> Readout:
        """The weights as they are."""
        weights = design_weights(selection, seen)
        return Readout(intercept=0.0, coefficients=weights, total=float(weights.sum()))


def design_weights(selection: Selection, seen: SeenItems | None = None) -> FloatArray:
    """(size,) the share of the accuracy that each selected item stands for; of the items alike if the selection has no weights."""
    if selection.weights is not None:
        return selection.weights
    size = len(selection.items)
    equal = np.full(size, 1 / size)
    return equal if seen is None else seen.stand_for(selection.items, equal)
