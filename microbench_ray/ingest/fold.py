"""From samples to a model's responses: repetitions become means, and logs of one model are laid beside each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from microbench_ray.core.errors import DataError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.ingest.base import Sample

OnConflict = Literal["error", "last"]
ON_CONFLICT: tuple[OnConflict, ...] = get_args(OnConflict)
TOLERANCE = 1e-9


@dataclass(slots=True)
class _Item:
    """What the repetitions of one item add up to."""

    first: Sample
    score: float = 0.0
    scored: int = 0
    confidence: float | None = None
    answers: tuple[float, ...] | None = None

    def add(self, sample: Sample) -> None:
        """A repetition that has a score."""
        assert sample.score is not None
        if not self.scored:
            self.confidence, self.answers = sample.confidence, sample.answers
        else:
            both = self.confidence is not None and sample.confidence is not None
            self.confidence = self.confidence + sample.confidence if both else None  # type: ignore[operator]
            mine, its = self.answers or (), sample.answers or ()
            self.answers = (
                tuple(one + other for one, other in zip(mine, its, strict=True)) if mine and len(mine) == len(its) else None
            )
        self.score += sample.score
        self.scored += 1


def fold(samples: Iterable[Sample], log: str) -> pa.Table:
    """The responses of one log, one row per item, in the schema `responses`.

    The score is the mean over the repetitions that have one; confidences and answers are means too, where each of these has them.

    Parameters
    ----------
    samples
        In the order of the log.
    log
        Its name.

    Raises
    ------
    DataError
        A score or probability lies outside [0, 1].
    """
    items: dict[str, _Item] = {}
    for sample in samples:
        item = items.get(sample.item_id)
        if item is None:
            item = items[sample.item_id] = _Item(sample)
        if sample.score is not None:
            _check(sample, log)
            item.add(sample)
    return _table(items, log)


def _check(sample: Sample, log: str) -> None:
    for what, value in (("score", sample.score), ("confidence", sample.confidence)):
        if value is not None and not -TOLERANCE <= value <= 1 + TOLERANCE:
            raise DataError(
                f"A {what} must lie in [0, 1].",
                where=f"{log}: item {sample.item_id!r}",
                got=f"{value:g}",
                hint="metric=NAME chooses another score, where the log has several" if what == "score" else None,
            )


def _table(items: dict[str, _Item], log: str) -> pa.Table:
    firsts = [item.first for item in items.values()]
    labels = [item.first.label if item.answers is not None else None for item in items.values()]
    answers = [
        item.answers if item.answers is None or item.scored == 1 else [value / item.scored for value in item.answers]
        for item in items.values()
    ]
    columns: dict[str, list[Any]] = {
        "item_id": list(items),
        "subtask": [first.subtask or "all" for first in firsts],
        "score": [min(max(item.score, 0.0), item.scored) / item.scored if item.scored else None for item in items.values()],
        "confidence": [None if item.confidence is None else item.confidence / item.scored for item in items.values()],
        "answers": answers,
        "label": labels,
        "content": [first.content for first in firsts],
        "position": [first.position for first in firsts],
        "log": [log] * len(firsts),
    }
    schema = SCHEMAS["responses"]
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def merge(tables: Iterable[pa.Table], model: str, on_conflict: OnConflict) -> pa.Table:
    """The responses of one model from all of its logs.

    An item that several logs hold is taken from the first that scored it, in the order of the logs' names; they must agree.

    Parameters
    ----------
    tables
        Of the schema `responses`, each item once in each.
    model
        For messages.
    on_conflict
        `error`, or `last`: where scores differ, the log whose name sorts last counts, as names hold times.

    Raises
    ------
    DataError
        Two logs score one item differently.
    """
    table = pa.concat_tables(tables).combine_chunks()
    order = table.append_column("unscored", pc.is_null(table["score"])).append_column("row", pa.array(np.arange(len(table))))
    order = order.sort_by(
        [("item_id", "ascending"), ("unscored", "ascending"), ("log", "ascending" if on_conflict == "error" else "descending")]
    )
    table = table.take(order["row"])
    ids, scores = table["item_id"].to_numpy(zero_copy_only=False), table["score"].to_numpy()
    first = np.ones(len(table), bool)
    first[1:] = ids[1:] != ids[:-1]
    if on_conflict == "error":
        differs = ~first
        differs[1:] &= np.abs(scores[1:] - scores[:-1]) > TOLERANCE  # unscored ones are NaN, and differ from nothing
        if differs.any():
            raise _conflict(table, int(np.argmax(differs)), int(np.count_nonzero(differs)), model)
    return table.filter(pa.array(first))


def _conflict(table: pa.Table, row: int, count: int, model: str) -> DataError:
    one, other = (table.slice(each, 1).to_pylist()[0] for each in (row - 1, row))
    more = f", and {count - 1} more items" if count > 1 else ""
    return DataError(
        "Two logs of one model score an item differently.",
        where=f"model {model!r}, item {one['item_id']!r}",
        got=f"{one['score']:g} in {one['log']}, {other['score']:g} in {other['log']}{more}",
        hint="ingest one of the two, or on_conflict=last: the log whose name sorts last counts",
    )
