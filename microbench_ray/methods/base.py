"""What a method sees and returns. A method is a selector and an estimator; any selector goes with any estimator.

Leakage is impossible by signature: a selector is given the source models' responses to the seen items and never a target
model; an estimator is given the target models' responses to the selected items and nothing else of theirs. What else it
knows, it has from the source models, as a selector has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from microbench_ray.errors import ConfigError

Signal = Literal["correctness", "confidence"]
SIGNALS: tuple[Signal, ...] = ("correctness", "confidence")


@dataclass(frozen=True)
class SeenItems:
    """The seen half of the items, as a selector may know it.

    Attributes
    ----------
    item_ids
        (n_items,) names of the items.
    subtask
        (n_items,) integer codes of the items' subtasks.
    responses
        (n_source, n_items) float32 in [0, 1]: the source models' scores, or the confidences they gave to the correct answers;
        NaN where a response is missing. None for a selector that reads none.
    """

    item_ids: NDArray[np.object_]
    subtask: NDArray[np.int32]
    responses: NDArray[np.float32] | None = None

    @property
    def n_items(self) -> int:
        """How many items there are to choose from."""
        return len(self.subtask)


@dataclass(frozen=True)
class Selection:
    """The items of a micro-benchmark.

    Attributes
    ----------
    items
        (size,) positions among the seen items, each at most once.
    weights
        (size,) the share of the seen items that each selected item stands for; they sum to 1 in expectation at least.
        None where all count the same.
    """

    items: NDArray[np.intp]
    weights: NDArray[np.float64] | None = None


class Selector(Protocol):
    """Chooses items.

    Attributes
    ----------
    signal
        What `fit` reads of the source models; None for nothing at all. `confidence` falls back to correctness where a
        benchmark has no confidences.
    nested
        Whether the choice for a size is a prefix of the choice for any larger size of the same run.
    fit_key
        Names the fit with all its parameters: selectors with equal keys and signals share one fit in a run. Empty where there
        is none.
    """

    @property
    def signal(self) -> Signal | None: ...  # noqa: D102
    @property
    def nested(self) -> bool: ...  # noqa: D102
    @property
    def fit_key(self) -> str: ...  # noqa: D102

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Any:
        """What is computed once per run, for all sizes and for all methods with the same `fit_key`."""
        ...

    def select(self, seen: SeenItems, fit: Any, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` of the seen items."""
        ...

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Expected CPU seconds of one fit, for a plan."""
        ...


class Estimator(Protocol):
    """Estimates the target models' accuracy on the seen items from their responses to the selected ones.

    Attributes
    ----------
    signal
        What is read of the target models; `confidence` falls back to correctness where a benchmark has no confidences.
    source_signal
        What `fit` reads of the source models; None where nothing is fitted.
    fit_key
        Names the fit with all its parameters: a selector and an estimator with equal keys and signals share one fit in a run.
        Empty where there is none.
    """

    @property
    def signal(self) -> Signal: ...  # noqa: D102
    @property
    def source_signal(self) -> Signal | None: ...  # noqa: D102
    @property
    def fit_key(self) -> str: ...  # noqa: D102

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Any:
        """What is computed once per run, for all sizes and for all methods with the same `fit_key`."""
        ...

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """Expected CPU seconds of one fit, for a plan."""
        ...

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: Any) -> NDArray[np.float64]:
        """Estimate accuracies.

        Parameters
        ----------
        responses
            (n_target, size) float64 in [0, 1], NaN where missing, in the order of `selection.items`.
        selection
            The selected items and their weights.
        seen
            The seen items, with the source models' responses of `source_signal`.
        fit
            Of `fit`.

        Returns
        -------
        numpy.ndarray
            (n_target,) float64; NaN for a target that answered none of the selected items.
        """
        ...


class EstimatorWithoutFit:
    """The part of an estimator that reads no source model."""

    source_signal: ClassVar[None] = None
    fit_key: ClassVar[str] = ""

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> None:
        """Nothing to fit."""

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """No fit, no time."""
        return 0.0


class WithoutFit:
    """The part of a selector that reads no source model."""

    signal: ClassVar[None] = None
    nested: ClassVar[bool] = False
    fit_key: ClassVar[str] = ""

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> None:
        """Nothing to fit."""

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """No fit, no time."""
        return 0.0


def check_signal(owner: str, signal: str) -> None:
    """Raise ConfigError unless `signal` is one that exists."""
    if signal not in SIGNALS:
        raise ConfigError(f"{owner}: unknown signal.", got=repr(signal), mend=f"use one of {', '.join(SIGNALS)}")
