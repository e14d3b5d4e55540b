"""Missing responses: counting them, and dropping models and items that have too many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.data.score_grid import TOLERANCE, Rows, blocks
from microbench_ray.data.table_hints import cell_hint

MAX_NAMED, MAX_EXPLAINED = 50, 10
"""Dropped models that a note names, and those of which it says what is missing."""


@dataclass(frozen=True)
class MissingCounts:
    """Numbers of missing responses per model (n_models,) and per item (n_items,)."""

    per_model: NDArray[np.int64]
    per_item: NDArray[np.int64]

    @property
    def n_missing(self) -> int:
        """Total number of missing responses."""
        return int(self.per_model.sum())


@dataclass(frozen=True)
class KeptCells:
    """Positions of the kept models and items, and of the dropped models, ascending."""

    models: NDArray[np.intp]
    items: NDArray[np.intp]
    dropped_models: NDArray[np.intp]
    all_items: bool

    @property
    def n_models(self) -> int:
        """Number of kept models."""
        return len(self.models)

    @property
    def n_items(self) -> int:
        """Number of kept items."""
        return len(self.items)

    def pick(self, block: NDArray[Any]) -> NDArray[Any]:
        """Take the kept items of a block (rows, all items, ...); a view if all items are kept."""
        return block if self.all_items else block[:, self.items]


def count_missing(scores: Rows, models: list[str], items: list[str]) -> MissingCounts:
    """Check that scores lie in [0, 1] and count the missing ones (NaN).

    Raises
    ------
    DataError
        A score is outside [0, 1]; the error names the first model and item.
    """
    per_model = np.zeros(len(models), np.int64)
    per_item = np.zeros(len(items), np.int64)
    for rows, block in blocks(scores):
        low, high = block.min(), block.max()  # NaN if a score is missing
        if np.isnan(low):
            absent = np.isnan(block)
            per_model[rows] = absent.sum(axis=1)
            per_item += absent.sum(axis=0)
        elif low >= -TOLERANCE and high <= 1 + TOLERANCE:
            continue
        outside = (block < -TOLERANCE) | (block > 1 + TOLERANCE)
        if outside.any():
            row, item = (int(k) for k in np.argwhere(outside)[0])
            raise DataError(
                "A score must lie in [0, 1].",
                where=f"model {models[rows.start + row]!r}, item {items[item]!r}",
                got=f"{block[row, item]:g}, and {int(outside[row].sum()) - 1} more of this model's scores outside",
                hint=cell_hint(models[rows.start + row], float(block[row, item])),
            )
    return MissingCounts(per_model, per_item)


def drop_incomplete(
    missing: MissingCounts,
    scores: Rows,
    models: list[str],
    items: list[str],
    max_missing: float,
    subtasks: Sequence[str] | None = None,
) -> tuple[KeptCells, list[str]]:
    """Drop models with a share of missing responses above `max_missing`, and items that no model answered.

    Returns
    -------
    kept, notes
        What is kept, and a note for the user about dropped models, which says how many more a larger `max_missing` keeps, and
        another about dropped items.

    Raises
    ------
    DataError
        Fewer than 2 models are kept.
    """
    all_models, all_items = np.arange(len(models)), np.arange(len(items))
    if not missing.n_missing:
        return KeptCells(models=all_models, items=all_items, dropped_models=all_models[:0], all_items=True), []
    answered = missing.per_item < len(models)
    n_answered = int(answered.sum())
    if not n_answered:
        raise DataError("The table has no responses.", got=f"{len(models)} models, all cells empty")
    share = (missing.per_model - (len(items) - n_answered)) / n_answered
    kept = (share <= max_missing) & (share < 1)
    notes = []
    if not kept.all():
        dropped = np.flatnonzero(~kept)
        lacking = _lacking(scores, dropped[:MAX_EXPLAINED], subtasks)
        parts = [f"{share[m]:.1%} missing{lack}" for m, lack in zip(dropped, lacking, strict=False)]
        parts += [f"{share[m]:.1%} missing" for m in dropped[MAX_EXPLAINED:MAX_NAMED]]
        named = ", ".join(f"{models[m]!r} ({part})" for m, part in zip(dropped, parts, strict=False))
        more = f" and {len(dropped) - MAX_NAMED} more" if len(dropped) > MAX_NAMED else ""
        notes.append(
            f"{len(dropped)} of {len(models)} models dropped, with more than {max_missing:.0%} of the responses missing "
            f"(max_missing) or without responses: {named}{more}{_kept_by_more(share[~kept])}"
        )
        if kept.sum() < 2:
            raise DataError(
                "Fewer than 2 models have enough responses.",
                got=notes[0],
                hint=f"{'raise max_missing, or ' if (share[~kept] < 1).any() else ''}remove items that most models did not answer",
            )
        answered = np.zeros(len(items), bool)
        for _, block in blocks(scores, np.flatnonzero(kept)):
            answered |= (~np.isnan(block)).any(axis=0)
    if not answered.all():
        unanswered = np.flatnonzero(~answered)
        named = ", ".join(repr(items[i]) for i in unanswered[:5]) + (" …" if len(unanswered) > 5 else "")
        notes.append(f"{len(unanswered)} of {len(items)} items dropped, because no remaining model answered them: {named}")
    kept_cells = KeptCells(
        models=np.flatnonzero(kept),
        items=np.flatnonzero(answered),
        dropped_models=np.flatnonzero(~kept),
        all_items=bool(answered.all()),
    )
    return kept_cells, notes


def _lacking(scores: Rows, models: NDArray[np.intp], subtasks: Sequence[str] | None) -> list[str]:
    """For each of these models the subtasks that it has no response in, as words for a note; empty where there are none."""
    names = np.asarray(subtasks if subtasks is not None else ())
    groups = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    lacking: list[str] = []
    for _, block in blocks(scores, models):
        for row in np.isnan(block):
            without = [name for name, members in groups.items() if row[members].all()]
            several = 0 < len(without) < len(groups)
            lacking.append(f", all of {first_few(without)}" if several else "")
    return lacking


def _kept_by_more(shares: NDArray[Any]) -> str:
    """Which larger `max_missing` keeps half, and which all, of the dropped models with responses; empty where none has any.

    Parameters
    ----------
    shares
        (n_dropped,) their shares of missing responses.
    """
    answering = np.sort(shares[shares < 1])
    if not answering.size:
        return ""
    levels = sorted({math.ceil(100 * float(answering[k]) - 1e-9) / 100 for k in ((answering.size - 1) // 2, -1)})
    kept = [f"max_missing={level:g} keeps {int((answering <= level).sum())} more" for level in levels]
    return ". " + ", ".join(kept)
