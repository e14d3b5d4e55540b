"""Estimates that predict the responses to items that were not selected with an item response model (Polo et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.irt import IrtFit, abilities, fit_irt, p_irt, probabilities
from microbench_ray.methods.kernels.irt_fit import FitsIrt, check_dims, irt_bytes, irt_key, irt_seconds
from microbench_ray.methods.readout import weighted_mean


@dataclass(frozen=True)
class PIrt(FitsIrt):
    """The performance-IRT estimate: the mean of the non-missing responses and of the model's probabilities on all other seen items.

    A target's ability is the most probable one given its responses to the selected items; the selection's weights do not enter.

    Parameters
    ----------
    dims
        Maximum number of dimensions of the IRT model; if equal to the selector's, one fit serves both.

    References
    ----------
    Polo, F. M. et al. (2024). tinyBenchmarks: evaluating LLMs with fewer examples. ICML 2024, §4.1.
    """

    dims: int = 10
    signal: ClassVar[Signal] = "correctness"
    source_signal: ClassVar[Signal] = "correctness"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_dims("p_irt", self.dims)

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: IrtFit) -> NDArray[np.float64]:
        """(n_target,) accuracies in [0, 1]."""
        return p_irt(fit, responses, selection.items, seen.weights)


@dataclass(frozen=True)
class IrtAbility(FitsIrt):
    """The accuracy that the IRT model expects of a target's ability: the mean of its probabilities on all seen items.

    As `PIrt`, but the responses only determine the ability and do not enter the mean: a lucky answer changes the estimate only
    through the ability. It does not become exact when all items are selected.

    Parameters
    ----------
    dims
        Maximum number of dimensions of the IRT model; if equal to the selector's, one fit serves both.

    References
    ----------
    Lord, F. M. (1980). Applications of item response theory to practical testing problems. Erlbaum, §4 (the true score).
    """

    dims: int = 10
    signal: ClassVar[Signal] = "correctness"
    source_signal: ClassVar[Signal] = "correctness"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_dims("irt_ability", self.dims)

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: IrtFit) -> NDArray[np.float64]:
        """(n_target,) accuracies in [0, 1]."""
        of_items = probabilities(fit, abilities(fit, responses, selection.items))
        expected: NDArray[np.float64] = of_items.mean(axis=1) if seen.weights is None else (of_items * seen.weights).sum(axis=1)
        expected[np.isnan(responses).all(axis=1)] = np.nan
        return expected


class HeldOutFit(NamedTuple):
    """An IRT model, and the source models held out of its fit.

    Attributes
    ----------
    model
        Fitted to all other source models.
    held_out
        (n_held_out,) positions among the source models; empty if there is only one source model.
    """

    model: IrtFit
    held_out: NDArray[np.intp]


@dataclass(frozen=True)
class GpIrt:
    """The generalised p-IRT estimate: λ × the selection's weighted mean + (1 − λ) × p-IRT.

    λ = b² / (v + b²), as if the weighted mean had variance v and no bias, and p-IRT bias b and no variance. Both are measured on
    source models held out of the IRT fit, with the same selection: b is the mean absolute error of p-IRT against their accuracies
    on all seen items, v the mean squared error of the weighted mean. (The article approximates v by the variance of responses
    over items divided by the size, which holds for random items; the measured one holds for any selector.) λ is 1 if no model can
    be held out, or if both errors are 0.

    Parameters
    ----------
    dims
        Maximum number of dimensions of the IRT model.
    held_out
        Share of the source models that is held out, between 0 and 1; at least one model is held out and at least one is fitted.

    References
    ----------
    Polo, F. M. et al. (2024). tinyBenchmarks: evaluating LLMs with fewer examples. ICML 2024, §4.2.
    """

    dims: int = 10
    held_out: float = 0.2
    signal: ClassVar[Signal] = "correctness"
    source_signal: ClassVar[Signal] = "correctness"
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_dims("gp_irt", self.dims)
        if not 0 < self.held_out < 1:
            raise ConfigError("gp_irt: held_out must be between 0 and 1.", got=str(self.held_out))

    @property
    def fit_key(self) -> str:
        """Names the IRT model and the share of models held out of it."""
        return f"{irt_key(self.dims)}-without-{self.held_out}"

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> HeldOutFit:
        """The IRT model of a random share of the source models; the others are held out."""
        assert seen.responses is not None
        n_source = len(seen.responses)
        n_held_out = min(max(1, round(self.held_out * n_source)), n_source - 1)
        order = rng.permutation(n_source)
        model = fit_irt(seen.responses[np.sort(order[n_held_out:])], self.dims)
        return HeldOutFit(model=model, held_out=np.sort(order[:n_held_out]))

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Cost of the IRT model."""
        return irt_seconds(self.dims, n_source, n_items)

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Cost of the IRT model."""
        return irt_bytes(self.dims, n_source, n_items)

    def estimate(
        self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: HeldOutFit
    ) -> NDArray[np.float64]:
        """(n_target,) accuracies in [0, 1]."""
        share = share_of_mean(selection, seen, fit)
        from_model = p_irt(fit.model, responses, selection.items, seen.weights)
        mean = _mean(responses, selection, seen)
        # The mean is NaN for a target that answered only items of weight 0.
        return share * np.where(np.isnan(mean), from_model, mean) + (1 - share) * from_model


def share_of_mean(selection: Selection, seen: SeenItems, fit: HeldOutFit) -> float:
    """λ of gp-IRT, from the errors of both estimates on the held-out source models; in [0, 1]."""
    assert seen.responses is not None
    held_out = seen.responses[fit.held_out].astype(np.float64)
    held_out = held_out[~np.isnan(held_out[:, selection.items]).all(axis=1)]
    if not len(held_out):
        return 1.0
    answers = held_out[:, selection.items]
    accuracy = np.nanmean(held_out, axis=1) if seen.weights is None else weighted_mean(held_out, seen.weights)
    bias = float(np.mean(np.abs(p_irt(fit.model, answers, selection.items, seen.weights) - accuracy)))
    errors = _mean(answers, selection, seen) - accuracy
    variance = float(np.mean(np.where(np.isnan(errors), 0.0, errors) ** 2))
    return bias**2 / (variance + bias**2) if variance + bias**2 > 0 else 1.0


def _mean(responses: NDArray[np.float64], selection: Selection, seen: SeenItems) -> NDArray[np.float64]:
    equal = seen.stand_for(selection.items, np.ones(responses.shape[1]))
    return weighted_mean(responses, equal if selection.weights is None else selection.weights)
