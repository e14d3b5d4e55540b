"""The data that methods are given and return. A method is a selector and an estimator; any two can be combined.

Leakage is impossible by signature: a selector is given the source models' responses to the seen items and never a target
model; an estimator is given the target models' responses to the selected items and no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError

Signal = Literal["correctness", "confidence", "answers", "both"]
"""The part of a response that is read: its score, the confidence in the correct answer, the confidences in all answers, or both
the score and the confidence in the correct answer."""

ByCost = bool | Literal["auto"]
"""Whether items are chosen by what they tell per cost; `auto` leaves it to the method."""

SIGNALS: tuple[Signal, ...] = ("correctness", "confidence")
"""Signals that every selector and estimator can read; `answers` and `both` are for those that declare it."""


@dataclass(frozen=True)
class SeenItems:
    """The seen half of the items, as far as a selector may know it.

    Attributes
    ----------
    item_ids
        (n_items,) names of the items.
    subtask
        (n_items,) integer codes of the items' subtasks.
    responses
        (n_source, n_items) float32 in [0, 1]: the source models' scores, or the confidences they gave to the correct answers;
        NaN where a response is missing. (n_source, n_items, n_answers) where the confidences in all answers are read,
        (n_source, n_items, 2) where scores and confidences are read. None for a part of a method without a signal.
    labels
        (n_items,) positions of the correct answers, from 0; None where they are unknown.
    weights
        (n_items,) the share of each item in the accuracy that is estimated, a weighted mean; they sum to 1. None where all items
        count the same.
    costs
        (n_items,) what answering each item costs, positive, in any unit; None where that is unknown.
    budget
        What the selected items may cost together; None where their number is given.
    """

    item_ids: NDArray[np.object_]
    subtask: NDArray[np.int32]
    responses: NDArray[np.float32] | None = None
    labels: NDArray[np.int32] | None = None
    weights: NDArray[np.float64] | None = None
    costs: NDArray[np.float64] | None = None
    budget: float | None = None

    @property
    def n_items(self) -> int:
        """Number of items to choose from."""
        return len(self.subtask)

    def stand_for(self, items: NDArray[np.intp], share: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of the accuracy that selected items stand for, (size,), from the share of the items that each stands for."""
        return share if self.weights is None else share * self.weights[items] * self.n_items

    def relative_costs(self, by_cost: bool) -> NDArray[np.float64] | None:
        """(n_items,) costs, 1 on average, for a part of a method that reads them (`by_cost`); None where all cost the same."""
        return None if self.costs is None or not by_cost else self.costs / self.costs.mean()


@dataclass(frozen=True)
class Selection:
    """The items of a micro-benchmark.

    Attributes
    ----------
    items
        (size,) positions among the seen items, each at most once.
    weights
        (size,) the share of the accuracy on the seen items that each selected item stands for, which is a share of the items where
        these count the same; they sum to 1 in expectation at least. None if they were chosen without regard to their shares.
    """

    items: NDArray[np.intp]
    weights: NDArray[np.float64] | None = None


class Selector(Protocol):
    """Chooses items.

    Attributes
    ----------
    signal
        What `fit` reads of the source models; None for nothing. A signal that a benchmark lacks falls back to the next simpler one:
        `answers` to `confidence`; `confidence` and `both` to `correctness`.
    nested
        Whether the choice for a size is a prefix of the choice for any larger size of the same run.
    fit_key
        Names the fit with all its parameters: selectors with equal keys and signals share one fit in a run. Empty without a
        fit.
    """

    @property
    def signal(self) -> Signal | None: ...  # noqa: D102
    @property
    def nested(self) -> bool: ...  # noqa: D102
    @property
    def fit_key(self) -> str: ...  # noqa: D102

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Any:
        """Compute what a run needs once, for all sizes and for all methods with the same `fit_key`."""
        ...

    def select(self, seen: SeenItems, fit: Any, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` of the seen items."""
        ...

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Expected CPU seconds of one fit, for a plan."""
        ...

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Expected bytes beyond the matrices for one fit and its use at the largest size, for a plan."""
        ...


class Estimator(Protocol):
    """Estimates the target models' accuracy on the seen items from their responses to the selected ones.

    Attributes
    ----------
    signal
        What is read of the target models; a signal that a benchmark lacks falls back to the next simpler one.
    source_signal, fit_key
        What its `fit` reads of the source models, and the name of that fit: as `signal` and `fit_key` of a selector, with which
        it may share the fit. None and empty without a fit.

    An estimator of accuracies in which items count differently, by `SeenItems.weights`, also has `weighted = True`; others are
    refused there.
    """

    @property
    def signal(self) -> Signal: ...  # noqa: D102
    @property
    def source_signal(self) -> Signal | None: ...  # noqa: D102
    @property
    def fit_key(self) -> str: ...  # noqa: D102

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Any:
        """Compute what a run needs once from the source models, for all sizes and for all methods with the same `fit_key`."""
        ...

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: Any) -> NDArray[np.float64]:
        """Estimate accuracies.

        Parameters
        ----------
        responses
            (n_target, size) float64 in [0, 1], NaN where missing, in the order of `selection.items`;
            (n_target, size, n_answers) where the confidences in all answers are read, (n_target, size, 2) where scores and
            confidences are read.
        selection
            The selected items and their weights.
        seen
            The argument of `fit`.
        fit
            The result of `fit`.

        Returns
        -------
        numpy.ndarray
            (n_target,) float64; NaN for a target that answered none of the selected items.
        """
        ...

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Expected CPU seconds of one fit, for a plan."""
        ...

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Expected bytes beyond the matrices for one fit and its use at the largest size, for a plan."""
        ...


def reads_costs(part: object) -> bool:
    """Whether a selector or an estimator is told to read `SeenItems.costs`."""
    return getattr(part, "by_cost", False) is True


class WithoutFit:
    """Mixin of selectors and estimators that do not read the source models."""

    fit_key: ClassVar[str] = ""

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> None:
        """Return nothing."""

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Return 0."""
        return 0.0

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Return 0."""
        return 0


class SelectorWithoutFit(WithoutFit):
    """A selector that does not read the source models."""

    signal: ClassVar[None] = None
    nested: ClassVar[bool] = False


class EstimatorWithoutFit(WithoutFit):
    """An estimator that does not read the source models."""

    source_signal: ClassVar[None] = None


def can_weight(estimator: object) -> bool:
    """Whether an estimator reads `SeenItems.weights`."""
    return getattr(estimator, "weighted", False) is True


def check_by_cost(owner: str, by_cost: object, *, or_auto: bool = False) -> None:
    """Raise ConfigError unless `by_cost` is true or false, or `auto` where that is allowed."""
    if not isinstance(by_cost, bool) and not (or_auto and by_cost == "auto"):
        allowed = "true, false or auto" if or_auto else "true or false"
        raise ConfigError(f"{owner}: by_cost must be {allowed}.", got=repr(by_cost), hint="by_cost: true")


def check_signal(owner: str, signal: str, known: tuple[Signal, ...] = SIGNALS) -> None:
    """Raise ConfigError unless `owner` can read this signal."""
    if signal not in known:
        raise ConfigError(f"{owner}: unknown signal.", got=repr(signal), hint=f"use one of {', '.join(known)}")
