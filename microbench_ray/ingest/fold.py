"""Build a model's table of responses: reduce the repetitions within a log, keep their scores, and merge the logs of one model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data.columns import column_of, nullable_numbers
from microbench_ray.data.names import storable
from microbench_ray.data.reduce import reducer
from microbench_ray.ingest.base import Sample

OnConflict = Literal["error", "last", "repeats"]
ON_CONFLICT: tuple[OnConflict, ...] = get_args(OnConflict)
TOLERANCE = 1e-9


@dataclass(slots=True)
class _Item:
    """Running sums over the scored repetitions of an item that has several samples."""

    first: Sample
    score: float = 0.0
    scored: int = 0
    repeats: list[float] | None = None
    confidence: float | None = None
    answers: tuple[float, ...] | None = None

    def add(self, sample: Sample) -> None:
        """Add a repetition, if it has a score."""
        if sample.score is None:
            return
        if not self.scored:
            self.confidence, self.answers = sample.confidence, sample.answers
        else:
            if self.confidence is not None and sample.confidence is not None:
                self.confidence += sample.confidence
            else:
                self.confidence = None
            sums, new = self.answers or (), sample.answers or ()
            same_length = sums and len(sums) == len(new)
            self.answers = tuple(a + b for a, b in zip(sums, new, strict=True)) if same_length else None
            if self.repeats is None:
                self.repeats = [min(max(self.score, 0.0), 1.0)]
            self.repeats.append(min(max(sample.score, 0.0), 1.0))
        self.score += sample.score
        self.scored += 1


def fold(samples: Iterable[Sample], log: str, reduce: str = "mean") -> pa.Table:
    """Reduce the repetitions of one log to a table of schema `responses`, one row per item.

    The score is the mean over the scored repetitions, or another one of `reduce.reducer`; they are kept beside it. Confidences and
    answers are means over the same repetitions, and missing if one of them lacks the value.

    Parameters
    ----------
    samples
        The samples in the order of the log.
    log
        The log's name.
    reduce
        How the scores of repetitions become one.

    Raises
    ------
    DataError
        A score or probability lies outside [0, 1].
    """
    firsts: dict[str, Sample] = {}
    repeated: dict[str, _Item] = {}
    for sample in samples:
        score = sample.score
        if score is not None and (sample.confidence is not None or not 0 <= score <= 1):
            _check(sample, log)
        n_items = len(firsts)
        first = firsts.setdefault(sample.item_id, sample)
        if len(firsts) == n_items:
            item = repeated.get(sample.item_id)
            if item is None:
                item = repeated[sample.item_id] = _Item(first)
                item.add(first)
            item.add(sample)
    return _table(firsts, repeated, log, reduce)


def _check(sample: Sample, log: str) -> None:
    for name, value in (("score", sample.score), ("confidence", sample.confidence)):
        if value is not None and not -TOLERANCE <= value <= 1 + TOLERANCE:
            raise DataError(
                f"A {name} is outside [0, 1].",
                where=f"{log}: item {sample.item_id!r}",
                got=f"{value:g}",
                hint="choose another metric with metric=NAME if the log has several" if name == "score" else None,
            )


def _table(firsts: Mapping[str, Sample], repeated: Mapping[str, _Item], log: str, reduce: str) -> pa.Table:
    fields = zip(*firsts.values(), strict=True) if firsts else [()] * len(Sample._fields)
    columns: dict[str, Any] = {name: list(values) for name, values in zip(Sample._fields, fields, strict=True)}
    rows = {name: row for row, name in enumerate(firsts)} if repeated else {}
    items = {rows[name]: item for name, item in repeated.items()}
    columns |= {"repeats": [None] * len(firsts), "log": [log] * len(firsts)}
    for row, item in items.items():
        columns["repeats"][row] = item.repeats
    _set_probabilities(columns, items)
    columns["score"] = _scores(columns["score"], items, reduce)
    columns["subtask"] = [subtask or "all" for subtask in columns["subtask"]]
    for name in ("item_id", "subtask", "position"):
        _check_texts(name, columns[name], log)
    schema = SCHEMAS["responses"]
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def _set_probabilities(columns: dict[str, list[Any]], items: Mapping[int, _Item]) -> None:
    """Set the probabilities of items with several samples, by row, and remove those of items without a score."""
    confidences, answers = columns["confidence"], columns["answers"]
    if any(map(_given, confidences)) or any(map(_given, answers)):
        for row, score in enumerate(columns["score"]):
            if score is None:
                confidences[row] = answers[row] = None
    for row, item in items.items():
        confidences[row] = None if item.confidence is None else item.confidence / item.scored
        answers[row] = item.answers and tuple(value / item.scored for value in item.answers)
    columns["label"] = [None if each is None else label for each, label in zip(answers, columns["label"], strict=True)]


def _scores(scores: list[float | None], items: Mapping[int, _Item], reduce: str) -> pa.Array:
    """The scores of items, of those with several samples by row; missing without a scored sample, and where these give none."""
    if reduce == "mean":
        for row, item in items.items():
            scores[row] = min(max(item.score, 0.0), item.scored) / item.scored if item.scored else None
        return nullable_numbers(np.clip(np.array(scores, np.float64), 0.0, 1.0) + 0.0)  # no negative zero
    own = [[] if score is None else [min(max(0.0, score), 1.0)] for score in scores]
    for row, item in items.items():
        own[row] = item.repeats or ([min(max(item.score, 0.0), 1.0)] if item.scored else [])
    reduced = reducer(reduce)
    return column_of([reduced(each) if each else None for each in own], pa.float64())


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """A column of values, which may be one already."""
    if isinstance(values, pa.Array):
        return values
    return column_of(values, kind) if any(map(_given, values)) else pa.nulls(len(values), kind)


def _given(value: Any) -> bool:
    return value is not None


def _check_texts(name: str, texts: Sequence[str | None], log: str) -> None:
    """Check that texts can be stored; a missing one is accepted."""
    given = [text for text in texts if text is not None]
    try:
        "".join(given).encode()
    except (TypeError, UnicodeEncodeError):
        pass
    else:
        if all(given):
            return
    raise DataError(
        f"The {name} of a sample is empty or not valid Unicode.",
        where=log,
        got=ascii(next(text for text in given if not storable(text))),
        hint="write the log again, or rename the item",
    )


def merge(tables: Iterable[pa.Table], model: str, on_conflict: OnConflict, reduce: str = "mean") -> pa.Table:
    """Merge the logs of one model.

    If several logs hold an item, the response comes from the first log, by name, that scored it; the scores must agree.

    Parameters
    ----------
    tables
        Tables of schema `responses`, each with one row per item.
    model
        The model's id, for messages.
    on_conflict
        What to do if scores differ: `error` raises, `last` keeps the log whose name sorts last, which is the latest if names hold
        times, and `repeats` takes the logs as repeats, in the order of their names, also where scores are equal.
    reduce
        How the scores of repeats become one.

    Raises
    ------
    DataError
        Two logs score one item differently and `on_conflict` is `error`.
    """
    tables = [table for table in tables if len(table)]
    if len(tables) == 1 and on_conflict != "repeats":
        return tables[0]
    table = pa.concat_tables(tables or [pa.Table.from_batches([], SCHEMAS["responses"])]).combine_chunks()
    if on_conflict == "repeats":
        return _as_repeats(table, reduce)
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
        differs[1:] &= np.abs(scores[1:] - scores[:-1]) > TOLERANCE  # comparisons with NaN (unscored) are False
        if differs.any():
            raise _conflict(table, int(np.argmax(differs)), int(np.count_nonzero(differs)), model)
    return table.filter(pa.array(first))


def _as_repeats(table: pa.Table, reduce: str) -> pa.Table:
    """The responses, with those of all logs to one item as its repeats; the row is named after the first log."""
    table = table.sort_by([("item_id", "ascending"), ("log", "ascending")])
    rows: list[dict[str, Any]] = []
    for row in table.to_pylist():
        own = [] if row["score"] is None else row["repeats"] or [row["score"]]
        if not rows or rows[-1]["item_id"] != row["item_id"]:
            rows.append(row | {"repeats": own, "n_logs": 1})
            continue
        first = rows[-1]
        first["repeats"] = [*first["repeats"], *own]
        first["n_logs"] += 1
    for row in rows:
        if row.pop("n_logs") > 1:  # means over the repeats, of which not all may have one
            row |= {"score": reducer(reduce)(row["repeats"]) if row["repeats"] else None, "confidence": None, "answers": None}
        row["repeats"] = row["repeats"] if len(row["repeats"]) > 1 else None
    return pa.Table.from_pylist(rows, schema=table.schema)


def _conflict(table: pa.Table, row: int, count: int, model: str) -> DataError:
    first, second = table.slice(row - 1, 2).to_pylist()
    more = f", and {count - 1} more items" if count > 1 else ""
    return DataError(
        "Two logs of one model score an item differently.",
        where=f"model {model!r}, item {first['item_id']!r}",
        got=f"{first['score']:g} in {first['log']}, {second['score']:g} in {second['log']}{more}",
        hint="remove one of the logs, keep the one whose name sorts last with on_conflict=last, or take them as repeats with "
        "on_conflict=repeats",
    )
