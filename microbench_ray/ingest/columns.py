"""Logs that are read by columns, not sample by sample: many short records, such as cells of a table or lines of 100 bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data.columns import nullable_numbers, number_array, numbers_of, repeated_text
from microbench_ray.ingest.base import ModelLog, Options, Tally
from microbench_ray.ingest.metrics import ROUNDING
from microbench_ray.ingest.values import NOT_FINITE, WITHOUT_SCORE


@dataclass(frozen=True)
class ItemColumns:
    """What the samples of a log say about their items.

    Attributes
    ----------
    items, subtasks, contents, positions
        (n_samples,) texts, as of `Sample`; samples of one item are repetitions. `contents` is None where the log does not tell.
    distinct
        Whether it is known that no item has repetitions.
    """

    items: pa.Array
    subtasks: pa.Array
    positions: pa.Array
    contents: pa.Array | None = None
    distinct: bool = False

    def take(self, rows: NDArray[np.intp]) -> ItemColumns:
        """Some of the samples."""
        places = number_array(rows)
        contents = None if self.contents is None else self.contents.take(places)
        items, subtasks, positions = (each.take(places) for each in (self.items, self.subtasks, self.positions))
        return ItemColumns(items, subtasks, positions, contents, self.distinct)


@runtime_checkable
class ColumnReader(Protocol):
    """A `Reader` that can read plain logs by columns."""

    def responses(self, log: ModelLog, options: Options, tally: Tally, name: str) -> pa.Table | None:
        """Return a log's responses as `fold` makes them of its samples, or None where only `read` can, or can say what is wrong.

        They may be in any order. `name` is the name of the log. Nothing may be added to the `tally` before None is returned.
        """
        ...


def are_storable(*columns: pa.Array) -> bool:
    """Whether no text of these columns is missing, empty or not storable."""
    for column in columns:
        if column.null_count or pc.any(pc.equal(column, "")).as_py():
            return False
        try:
            column.validate(full=True)  # Arrow's texts may hold any bytes
        except pa.ArrowInvalid:
            return False
    return True


def scores_of(column: pa.Array, tally: Tally) -> NDArray[np.float64] | None:
    """(n,) scores in [0, 1] of a column of numbers as `parse_score` reads them, NaN where missing; None if a value is none.

    Missing values are counted in the tally.
    """
    values = np.array(numbers_of(column), np.float64)
    absent = column.null_count
    not_finite = int(np.count_nonzero(~np.isfinite(values))) - absent
    values[~np.isfinite(values)] = np.nan
    scale = tally.scale
    if scale.settings():
        values = (values - scale.worst) / (scale.best - scale.worst)
    with np.errstate(invalid="ignore"):
        if ((values < -ROUNDING) | (values > 1 + ROUNDING)).any():
            return None
    for reason, count in ((WITHOUT_SCORE, absent), (NOT_FINITE, not_finite)):
        if count:
            tally.drop(reason, count)
    clipped: NDArray[np.float64] = np.clip(values, 0.0, 1.0) + 0.0  # no negative zero
    return clipped


def table_of(about: ItemColumns, scores: NDArray[np.float64], log: str) -> pa.Table:
    """Average the repetitions of one log into a table of schema `responses`, as `fold` does.

    Parameters
    ----------
    about
        The items, with storable texts.
    scores
        (n_samples,) in [0, 1], NaN where missing.
    log
        The log's name.
    """
    encoded = None if about.distinct else about.items.dictionary_encode()
    count = len(scores)
    n_items = count if encoded is None else len(encoded.dictionary)
    repeats = None
    if encoded is not None and n_items < count:
        codes = np.asarray(numbers_of(encoded.indices.cast(pa.int64())), np.intp)
        first = np.empty(n_items, np.intp)
        first[codes[::-1]] = np.arange(count)[::-1]
        scores, repeats = _means(codes, scores, n_items)
        about = about.take(first)
    schema = SCHEMAS["responses"]
    known = {
        "item_id": about.items,
        "subtask": about.subtasks,
        "score": nullable_numbers(scores),
        "repeats": repeats,
        "content": about.contents,
        "position": about.positions,
        "log": repeated_text(log, n_items),
    }
    columns = [pa.nulls(n_items, field.type) if known.get(field.name) is None else known[field.name] for field in schema]
    return pa.table(columns, schema=schema)


def _means(codes: NDArray[np.intp], scores: NDArray[np.float64], n_items: int) -> tuple[NDArray[np.float64], Any]:
    """The mean score of each item, and the scores of items that have several."""
    scored = ~np.isnan(scores)
    codes, scores = codes[scored], scores[scored]
    counts = np.bincount(codes, minlength=n_items)
    with np.errstate(invalid="ignore"):
        means = np.bincount(codes, scores, minlength=n_items) / counts
    several = counts > 1
    order = np.argsort(codes, kind="stable")
    kept = order[several[codes[order]]]
    sizes = np.where(several, counts, 0)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return means, pa.ListArray.from_arrays(pa.array(offsets), pa.array(scores[kept]), mask=pa.array(~several))
