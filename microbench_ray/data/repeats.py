"""Repeats of responses: arrays of their scores, aligned with the models and items of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.columns import number_array
from microbench_ray.data.missing import KeptCells
from microbench_ray.data.score_grid import TOLERANCE

MEAN_TOLERANCE = 1e-4
"""How far a score may be from the mean of its repeats: tables are rounded."""
MAX_BYTES = 2**31
"""Size above which repeats are left out of a benchmark, with a note."""


class Repeats(NamedTuple):
    """Scores of repeats by model and item.

    Attributes
    ----------
    model_ids, item_ids
        Names of the rows and columns.
    values
        (n_models, n_items, n_repeats) scores, NaN where a response has fewer repeats.
    """

    model_ids: Sequence[str]
    item_ids: Sequence[str]
    values: NDArray[np.float64]

    def aligned(self, model_ids: Sequence[str], item_ids: Sequence[str]) -> NDArray[np.float64]:
        """(n_models, n_items, n_repeats) scores of these models and items; NaN for others than those of the table."""
        places = []
        for known, wanted in ((self.model_ids, model_ids), (self.item_ids, item_ids)):
            position = {name: k for k, name in enumerate(known)}
            places.append(np.array([position.get(name, -1) for name in wanted]))
        found: NDArray[np.float64] = self.values[places[0]][:, places[1]]
        found[places[0] < 0] = np.nan
        found[:, places[1] < 0] = np.nan
        return found


def too_large(n_models: int, n_items: int, n_repeats: int) -> str | None:
    """The note on repeats that are left out because they take too much memory; None where they do not."""
    if 4 * n_models * n_items * n_repeats <= MAX_BYTES:
        return None
    return (
        f"repeats are left out: up to {n_repeats:,} of each of {n_models:,} × {n_items:,} responses take more than "
        f"{MAX_BYTES >> 30} GiB"
    )


def means(repeats: NDArray[Any]) -> NDArray[np.float64]:
    """(n_models, n_items) means of the repeats, NaN where there are none."""
    counts = np.count_nonzero(~np.isnan(repeats), axis=2)
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = np.nansum(repeats, axis=2, dtype=np.float64) / counts
    return result


def repeat_column(
    repeats: NDArray[Any],
    kept: KeptCells,
    scores: NDArray[Any],
    units: int,
    absent: int | None,
    models: list[str],
    items: list[str],
) -> dict[str, pa.Array]:
    """The column `repeat_scores` of a benchmark; empty where no response was repeated.

    Parameters
    ----------
    repeats
        (n_models, n_items, n_repeats) of all models and items; NaN where a response has fewer repeats.
    kept
        The models and items of the benchmark.
    scores, units, absent
        Its scores in units of 1/units, and the value of missing ones.
    models, items
        Its ids.

    Raises
    ------
    DataError
        Another shape, a score outside [0, 1], or a score that is not the mean of its repeats.
    """
    if repeats.ndim != 3 or repeats.dtype.kind not in "buif" or not repeats.shape[2]:
        raise DataError(
            "repeats must be numbers of the shape (n_models, n_items, n_repeats).",
            where="repeats",
            got=f"{repeats.dtype} {repeats.shape}",
        )
    if len(repeats) <= int(kept.models.max(initial=0)) or repeats.shape[1] <= int(kept.items.max(initial=0)):
        raise DataError("repeats must have the models and items of the scores.", where="repeats", got=str(repeats.shape))
    values = np.array(kept.pick(repeats[kept.models]), np.float32)
    outside = (values < -TOLERANCE) | (values > 1 + TOLERANCE)
    if outside.any():
        row, item, which = (int(k) for k in np.argwhere(outside)[0])
        where = f"repeats of model {models[row]!r}, item {items[item]!r}"
        raise DataError("A score must lie in [0, 1].", where=where, got=f"{values[row, item, which]:g}")
    score = scores / units
    if absent is not None:
        values[scores == absent] = np.nan
        score[scores == absent] = np.nan
    counts = np.count_nonzero(~np.isnan(values), axis=2)
    if counts.max(initial=0) < 2:
        return {}
    differs = np.abs(means(values) - score) > MEAN_TOLERANCE  # False where there are no repeats
    if differs.any():
        row, item = (int(k) for k in np.argwhere(differs)[0])
        raise DataError(
            "A score is not the mean of its repeats.",
            where=f"repeats of model {models[row]!r}, item {items[item]!r}",
            got=f"a score of {score[row, item]:g}, {counts[row, item]} repeats with the mean {means(values)[row, item]:g}",
            hint="leave the repeats out (repeats=None) if the scores are something else than means",
        )
    alone = (counts == 0) & ~np.isnan(score)
    values[alone, 0] = score[alone]
    values += 0.0  # removes negative zeros
    return {"repeat_scores": pa.FixedSizeListArray.from_arrays(number_array(values), values.shape[1] * values.shape[2])}
