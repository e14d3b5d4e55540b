"""Which models and items are kept where responses are missing, and what the user is told about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.score_grid import TOLERANCE, Rows, blocks


@dataclass(frozen=True)
class MissingCounts:
    """How many responses are missing, per model (n_models,) and per item (n_items,)."""

    per_model: NDArray[np.int64]
    per_item: NDArray[np.int64]

    @property
    def n_missing(self) -> int:
        """Missing responses in all."""
        return int(self.per_model.sum())


@dataclass(frozen=True)
class KeptCells:
    """Positions, ascending, of the models and items that stay."""

    models: NDArray[np.intp]
    items: NDArray[np.intp]
    dropped_models: NDArray[np.intp]
    all_items: bool

    @property
    def n_models(self) -> int:
        """Models that stay."""
        return len(self.models)

    @property
    def n_items(self) -> int:
        """Items that stay."""
        return len(self.items)

    def pick(self, block: NDArray[Any]) -> NDArray[Any]:
        """Take the kept items of a block (rows, all items, ...); a view where all stay."""
        return block if self.all_items else block[:, self.items]


def count_missing(scores: Rows, models: list[str], items: list[str]) -> MissingCounts:
    """Check that scores lie in [0, 1] and count the missing ones (NaN).

    Raises
    ------
    DataError
        With the first model and item whose score lies outside.
    """
    per_model = np.zeros(len(models), np.int64)
    per_item = np.zeros(len(items), np.int64)
    for place, block in blocks(scores):
        low, high = block.min(), block.max()  # NaN where anything is missing
        if np.isnan(low):
            absent = np.isnan(block)
            per_model[place] = absent.sum(axis=1)
            per_item += absent.sum(axis=0)
        elif low >= -TOLERANCE and high <= 1 + TOLERANCE:
            continue
        outside = (block < -TOLERANCE) | (block > 1 + TOLERANCE)
        if outside.any():
            row, item = (int(k) for k in np.argwhere(outside)[0])
            raise DataError(
                "A score must lie in [0, 1].",
                where=f"model {models[place.start + row]!r}, item {items[item]!r}",
                got=f"{block[row, item]:g}, and {int(outside[row].sum()) - 1} more of this model's scores outside",
                hint="divide the scores by their maximum; leave a cell empty (NaN) where there is no response",
            )
    return MissingCounts(per_model, per_item)


def thin(
    found: MissingCounts, scores: Rows, models: list[str], items: list[str], max_missing: float
) -> tuple[KeptCells, list[str]]:
    """Drop items that nobody answered and models with more than a share `max_missing` of missing responses.

    Returns
    -------
    kept, notes
        What stays, and one sentence for the user about each kind of thing that was dropped.

    Raises
    ------
    DataError
        If fewer than 2 models stay.
    """
    every = np.arange(len(models)), np.arange(len(items))
    if not found.n_missing:
        return KeptCells(*every, dropped_models=every[0][:0], all_items=True), []
    asked = found.per_item < len(models)
    n_asked = int(asked.sum())
    if not n_asked:
        raise DataError("There is not one response in the table.", got=f"{len(models)} models, all cells empty")
    share = (found.per_model - (len(items) - n_asked)) / n_asked
    stays = (share <= max_missing) & (share < 1)
    notes = []
    if not stays.all():
        gone = np.flatnonzero(~stays)
        worst = ", ".join(f"{models[m]!r} ({share[m]:.1%} missing)" for m in gone[:5])
        more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
        notes.append(
            f"{len(gone)} of {len(models)} models dropped, with more than {max_missing:.0%} of the responses missing "
            f"(max_missing) or none at all: {worst}{more}"
        )
        if stays.sum() < 2:
            raise DataError(
                "Fewer than 2 models have enough responses.",
                got=notes[0],
                hint="raise max_missing, or remove the items that most models did not answer",
            )
        asked = np.zeros(len(items), bool)
        for _, block in blocks(scores, np.flatnonzero(stays)):
            asked |= (~np.isnan(block)).any(axis=0)
    if not asked.all():
        unasked = np.flatnonzero(~asked)
        named = ", ".join(repr(items[i]) for i in unasked[:5]) + (" …" if len(unasked) > 5 else "")
        notes.append(f"{len(unasked)} of {len(items)} items dropped, which no remaining model answered: {named}")
    return KeptCells(np.flatnonzero(stays), np.flatnonzero(asked), np.flatnonzero(~stays), bool(asked.all())), notes
