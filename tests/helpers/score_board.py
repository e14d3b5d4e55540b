"""`Board`: scores in memory, and whether a benchmark has the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Board:
    """Scores of models on items, NaN where missing."""

    models: list[str]
    items: list[str]
    subtasks: list[str]
    scores: NDArray[np.float64]
    """(n_models, n_items)."""

    def wide(self) -> pd.DataFrame:
        """`item_id`, `subtask`, a column per model."""
        frame = pd.DataFrame(self.scores.T, columns=self.models)
        frame.insert(0, "subtask", self.subtasks)
        frame.insert(0, "item_id", self.items)
        return frame

    def plain(self) -> pd.DataFrame:
        """A row per item, with the ids as index."""
        return pd.DataFrame(self.scores.T, columns=self.models, index=self.items)

    def long(self, model: str = "model", item: str = "item_id", score: str = "score") -> pd.DataFrame:
        """A row per response, without the missing ones."""
        rows, columns = np.nonzero(~np.isnan(self.scores))
        return pd.DataFrame({
            model: np.array(self.models)[rows],
            item: np.array(self.items)[columns],
            "subtask": np.array(self.subtasks)[columns],
            score: self.scores[rows, columns],
        })  # fmt: skip

    def binary(self) -> Board:
        """The same with scores of 0 and 1."""
        return Board(self.models, self.items, self.subtasks, np.where(np.isnan(self.scores), np.nan, np.round(self.scores)))


def same_scores(found: Any, board: Board, *, ids: bool) -> bool:
    """Whether a benchmark has the scores of a board, in any order of models and, by ids, of items."""
    if sorted(found.model_ids) != sorted(board.models):
        return False
    kept = np.asarray(~np.isnan(board.scores).all(axis=0))
    expected = board.scores[[board.models.index(model) for model in found.model_ids]][:, kept]
    items = [item for item, answered in zip(board.items, kept, strict=True) if answered]
    scores = np.where(found.scores == found.missing, np.nan, found.scores / found.units)
    if scores.shape != expected.shape:
        return False
    if ids:
        if sorted(found.item_ids) != sorted(items):
            return False
        expected = expected[:, _positions(found.item_ids, items)]
    else:  # the same responses to each item, whatever it is called
        scores, expected = _sorted_columns(scores), _sorted_columns(expected)
    return bool(np.allclose(scores, expected, atol=2e-6, equal_nan=True))


def _positions(names: Sequence[str], among: Sequence[str]) -> list[int]:
    position = {name: k for k, name in enumerate(among)}
    return [position[name] for name in names]


def _sorted_columns(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    rounded = np.round(np.nan_to_num(scores, nan=-1.0), 4)
    return scores[:, np.lexsort(rounded)]
