"""What a method sees and returns. A method is a selector and an estimator; any selector goes with any estimator.

Leakage is impossible by signature: a selector is given the source models' responses to the seen items and never a target
model; an estimator is given the target models' responses to the selected items and nothing else of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError

Signal = Literal["correctness", "confidence", "answers", "both"]
"""What is read of a response: its score, the confidence given to the correct answer, the confidences given to all answers, or
both score and confidence."""

SIGNALS: tuple[Signal, ...] = ("correctness", "confidence")
"""Those that every part of a method can read; `answers` is for the parts that say so."""


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
        NaN where a response is missing. (n_source, n_items, n_answers) where the confidences in all answers are read,
        (n_source, n_items, 2) where scores and confidences are. None where nothing is read.
    labels
        (n_items,) positions of the correct answers, from 0; None where they are not known.
    """

    item_ids: NDArray[np.object_]
    subtask: NDArray[np.int32]
    responses: NDArray[np.float32] | None = None
    labels: NDArray[np.int32] | None = None

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
        What `fit` reads of the source models; None for nothing at all. One that a benchmark does not have falls back to the next
        simpler one: `answers` to `confidence`, and that to `correctness`, as `both` does.
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

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """Bytes that a worker needs beside the matrices, for one fit and what is done with it at the largest size, for a plan."""
        ...


class Estimator(Protocol):
    """Estimates the target models' accuracy on the seen items from their responses to the selected ones.

    Attributes
    ----------
    signal
        What is read of the target models; one that a benchmark does not have falls back to the next simpler one.
    source_signal, fit_key
        What its `fit` reads of the source models, and the name of that fit: as `signal` and `fit_key` of a selector, with which
        it may share the fit. None and empty where there is none.
    """

    @property
    def signal(self) -> Signal: ...  # noqa: D102
    @property
    def source_signal(self) -> Signal | None: ...  # noqa: D102
    @property
    def fit_key(self) -> str: ...  # noqa: D102

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> Any:
        """What is computed once per run from the source models, for all sizes and for all methods with the same `fit_key`."""
        ...

    def estimate(self, responses: NDArray[np.float64], selection: Selection, seen: SeenItems, fit: Any) -> NDArray[np.float64]:
        """Estimate accuracies.

        Parameters
        ----------
        responses
            (n_target, size) float64 in [0, 1], NaN where missing, in the order of `selection.items`;
            (n_target, size, n_answers) where the confidences in all answers are read, (n_target, size, 2) where scores and
            confidences are.
        selection
            The selected items and their weights.
        seen
            What `fit` was given.
        fit
            What `fit` returned.

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
        """Bytes that a worker needs beside the matrices, for one fit and what is done with it at the largest size, for a plan."""
        ...


class WithoutFit:
    """The part of a selector, or of an estimator, that reads no source model."""

    fit_key: ClassVar[str] = ""

    def fit(self, seen: SeenItems, rng: np.random.Generator) -> None:
        """Nothing to fit."""

    def fit_seconds(self, n_source: int, n_items: int) -> float:
        """No fit, no time."""
        return 0.0

    def fit_bytes(self, n_source: int, n_items: int, size: int) -> int:
        """No fit, no memory."""
        return 0


class SelectorWithoutFit(WithoutFit):
    """A selector that reads no source model."""

    signal: ClassVar[None] = None
    nested: ClassVar[bool] = False


class EstimatorWithoutFit(WithoutFit):
    """An estimator that reads no source model."""

    source_signal: ClassVar[None] = None


def check_signal(owner: str, signal: str, known: tuple[Signal, ...] = SIGNALS) -> None:
    """Raise ConfigError unless `signal` is one that `owner` can read."""
    if signal not in known:
        raise ConfigError(f"{owner}: unknown signal.", got=repr(signal), hint=f"use one of {', '.join(known)}")
