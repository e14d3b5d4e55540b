"""The estimate of the method `auto`: predictions by a regression and by an IRT model, weighted by errors on held-out models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from microbench_ray.methods.base import ByCost, SeenItems, Selection, Signal, check_by_cost, check_signal
from microbench_ray.methods.kernels.auto import AutoFit, auto_bytes, auto_seconds, fit_stack, predictors
from microbench_ray.methods.kernels.auto_cost import fit_for_costs
from microbench_ray.methods.kernels.irt_term import Beyond, irt_term
from microbench_ray.methods.kernels.sources import mean_coefficients, read_items
from microbench_ray.methods.readout import FloatArray, Readout, WithReadout

BETTER_VARIANCE = 3.0
"""Prior variance of the abilities of models that are better than all source models; that of these is 1."""
WORSE_ERRORS = 2.0
"""So many root mean squared errors of held-out models below all source models, an estimate moves to that of the IRT model."""


@dataclass(frozen=True)
class AutoEstimator(WithReadout):
    """The observed scores, and two predictions of all others, stacked.

    The predictions are those of `RidgeRemainder` and of `PIrt`: the first compresses the differences between models where the
    sources are few, the second exaggerates them where items have little in common. Their weights are near one half each, and are
    moved from there by their errors on source models that are held out, with items chosen without these. With fewer than eight
    source models both weights are one half, with fewer than four the estimate is the mean. With all items selected, the estimate
    is the accuracy.

    Above the accuracies of all source models the estimate moves to that of the IRT model, within five points: a regression cannot
    tell what it has not seen, and pulls a better model towards the sources. Such a model is not one of their population: the prior
    of its ability is three times as wide. Whether an estimate is above them is judged by the middle of both.

    Likewise below the accuracies of all source models, by two held-out errors or more: a regression learnt from few models
    overestimates those that are far worse. The prior is that of the sources.

    Parameters
    ----------
    signal
        What the regression reads of the targets: correctness, or both correctness and confidence.
    by_cost
        As for the selector, which chooses so in every fold.

    References
    ----------
    Breiman, L. (1996). Stacked regressions. Machine Learning 24.
    """

    signal: Signal = "both"
    by_cost: ByCost = "auto"
    source_signal: ClassVar[Signal] = "both"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_signal("auto", self.signal, ("correctness", "both"))
        check_by_cost("auto", self.by_cost, or_auto=True)

    @property
    def fit_key(self) -> str:
        """Names the fit, which depends on the costs if these are read."""
        return "auto by cost" if self.by_cost is True else "auto"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> AutoFit:
        """Fit both predictors, to all sources and to those of every fold."""
        return fit_for_costs(seen, rng, self.by_cost)

    def readout(self, selection: Selection, seen: SeenItems, fit: AutoFit) -> Readout:
        """The observed share of each score, its coefficient in the regression, and a share of the p-IRT estimate."""
        both = read_items(fit.learned.known, selection, self.signal).ndim == 3
        shares = mean_coefficients(selection, seen, both=both)
        if fit.learned.irt is None:
            return Readout(intercept=0.0, coefficients=shares)
        both_predictors, stack = predictors(fit.learned, selection, self.signal), fit_stack(fit, selection, self.signal)
        by_ridge, by_irt = stack.weights
        ridge = both_predictors.ridge
        return Readout(
            intercept=stack.level * (1 - by_ridge - by_irt) + by_ridge * ridge.intercept,
            coefficients=(1 - by_irt) / seen.n_items * shares + by_ridge * ridge.coefficients.reshape(shares.shape),
            means=both_predictors.means,
            term=irt_term(
                float(by_irt), fit.learned.irt, selection.items, seen.weights, *_beyond(fit.learned.known.accuracy, stack.error)
            ),
        )

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of a forward selection and an IRT model, of all sources and of every fold."""
        return auto_seconds(n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Size of the responses of all sources and of every fold, and of the IRT model."""
        return auto_bytes(n_source, n_items, size)


def _beyond(accuracy: FloatArray, error: float | None) -> tuple[Beyond, Beyond | None]:
    """Above and below which estimates the IRT model's is taken, by the accuracies of all source models."""
    above = Beyond(float(accuracy.max()), BETTER_VARIANCE, own_share=0.5)
    return above, None if error is None else Beyond(float(accuracy.min()) - WORSE_ERRORS * error, own_share=0.5)
