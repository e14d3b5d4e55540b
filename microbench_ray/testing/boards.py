"""Made-up benchmarks for the checks: a logistic world with or without confidences, missing responses, few models or items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Signal

Richest = Literal["correctness", "confidence", "answers"]
"""The richest signal that a board has; it has the simpler ones too."""
RICHEST: tuple[Richest, ...] = ("correctness", "confidence", "answers")

N_ITEMS = 40
N_SOURCE = 30
N_TARGET = 12
N_ANSWERS = 4
SUBTASK_SIZES = (1, 3, 6, 10, 20)
"""Items of the subtasks of a board with 40 items."""


@dataclass(frozen=True)
class Board:
    """Responses of source and target models to all seen items.

    Attributes
    ----------
    item_ids, subtask, labels
        (n_items,) names, codes of subtasks, and positions of the correct answers.
    correctness, confidence
        (n_models, n_items) float32 in [0, 1], NaN where missing; the source models come first.
    answers
        (n_models, n_items, n_answers) float32, NaN where missing.
    n_source
        Number of source models.
    richest
        The richest signal.
    """

    item_ids: NDArray[np.object_]
    subtask: NDArray[np.int32]
    labels: NDArray[np.int32]
    correctness: NDArray[np.float32]
    confidence: NDArray[np.float32]
    answers: NDArray[np.float32]
    n_source: int
    richest: Richest

    def seen(self, signal: Signal | None) -> SeenItems:
        """What a part of a method with this signal may know: its own copy."""
        responses = None if signal is None else self._responses(signal)[: self.n_source].copy()
        labels = self.labels.copy() if self.richest == "answers" else None
        return SeenItems(self.item_ids.copy(), self.subtask.copy(), responses, labels)

    def targets(self, signal: Signal, items: NDArray[np.intp]) -> NDArray[np.float64]:
        """(n_target, size) responses of the target models to `items`, with a third axis as in `Estimator.estimate`."""
        return self._responses(signal)[self.n_source :][:, items].astype(np.float64)

    def _responses(self, signal: Signal) -> NDArray[np.float32]:
        """The responses by a signal, or by the next simpler one that the board has."""
        if signal == "both" and self.richest != "correctness":
            return np.stack([self.correctness, self.confidence], axis=2)
        if signal == "answers" and self.richest == "answers":
            return self.answers
        return self.confidence if signal in ("answers", "confidence") and self.richest != "correctness" else self.correctness

    def reordered(self, *, models: NDArray[np.intp] | None = None, items: NDArray[np.intp] | None = None) -> Board:
        """The same board with its source models, or its items, in another order."""
        rows = np.arange(len(self.correctness)) if models is None else np.append(models, np.arange(self.n_source, self.n_models))
        columns = np.arange(len(self.subtask)) if items is None else items
        return replace(
            self,
            item_ids=self.item_ids[columns],
            subtask=self.subtask[columns],
            labels=self.labels[columns],
            correctness=self.correctness[rows][:, columns],
            confidence=self.confidence[rows][:, columns],
            answers=self.answers[rows][:, columns],
        )

    @property
    def n_models(self) -> int:
        """Number of source and target models."""
        return len(self.correctness)


@cache
def make_board(
    richest: Richest = "confidence",
    *,
    n_items: int = N_ITEMS,
    n_source: int = N_SOURCE,
    n_target: int = N_TARGET,
    gaps: bool = False,
    seed: int = 11,
) -> Board:
    """Make a board of a logistic world.

    Parameters
    ----------
    richest
        The richest signal.
    n_items, n_source, n_target
        Numbers of items and models.
    gaps
        Whether three responses in ten are missing, all responses to one item, those of one source model and of one target model.
    seed
        Another seed, another board.
    """
    rng = np.random.default_rng(seed)
    n_models = n_source + n_target
    ability, difficulty = rng.normal(size=(n_models, 1)), rng.normal(size=n_items)
    confidence = 1 / (1 + np.exp(difficulty - ability - rng.normal(size=(n_models, n_items))))
    correctness = (confidence > 0.5).astype(np.float32)
    labels = rng.integers(0, N_ANSWERS, n_items, dtype=np.int32)
    shares = rng.dirichlet(np.ones(N_ANSWERS - 1), (n_models, n_items)) * (1 - confidence)[:, :, None]
    answers = np.empty((n_models, n_items, N_ANSWERS), dtype=np.float32)
    others = np.array([[k for k in range(N_ANSWERS) if k != label] for label in labels])
    answers[:, np.arange(n_items), labels] = confidence
    answers[:, np.arange(n_items)[:, None], others] = shares
    if gaps:
        missing = rng.random((n_models, n_items)) < 0.3
        missing[:, min(5, n_items - 1)] = n_items > 1
        missing[min(3, n_source - 1)] = n_source > 1
        missing[n_source + min(2, n_target - 1)] = True
        confidence[missing], correctness[missing], answers[missing] = np.nan, np.nan, np.nan
    counts = SUBTASK_SIZES if n_items == N_ITEMS else (n_items,)
    subtask = rng.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    ids: NDArray[Any] = np.array([f"item{k}" for k in range(n_items)], dtype=object)
    return Board(ids, subtask, labels, correctness, confidence.astype(np.float32), answers, n_source, richest)
