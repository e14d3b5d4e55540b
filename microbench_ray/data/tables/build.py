"""Any table of scores as a wide one: a row per item, the columns `item_id`, `subtask`, `label`, and a column per model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError, DataWarning
from microbench_ray.data.columns import nullable_numbers, text_array
from microbench_ray.data.names import first_few
from microbench_ray.data.repeats import Repeats
from microbench_ray.data.tables.aggregates import CLUSTER, COST, WEIGHT, summaries, without_aggregates
from microbench_ray.data.tables.cells import ScoreColumns
from microbench_ray.data.tables.frame import Frame
from microbench_ray.data.tables.ids import as_integers, ids_in, joined
from microbench_ray.data.tables.keys import DEFAULT_KEYS, TableKeys
from microbench_ray.data.tables.layout import Layout, describe, left_out
from microbench_ray.data.tables.long import long_columns
from microbench_ray.data.tables.recognise import recognise

PREVIEW_ROWS, PREVIEW_COLUMNS = 3, 6


@dataclass(frozen=True)
class WideTable:
    """A table of scores with a row per item.

    Attributes
    ----------
    table
        The columns `item_id`, optionally `subtask`, `label`, `WEIGHT`, `CLUSTER` and `COST`, and one per model.
    said
        Sentences: what the columns were taken for, and what was left out. Empty for a table that had this layout.
    preview
        The first rows of the table as it was read; where `said` is empty, after what the columns were taken for.
    warnings
        Aggregates that were left out.
    """

    table: pa.Table
    said: tuple[str, ...] = ()
    preview: tuple[str, ...] = ()
    warnings: tuple[DataWarning, ...] = ()
    numbered: bool = False
    """Whether the ids of items are the numbers of their rows."""
    of_file: str = ""
    """The only model, where the file's name tells it."""
    repeats: Repeats | None = None
    """The repeats of which the scores are means, also of models and items that were left out; None without repeats."""


def to_wide(table: pa.Table, where: Path, keys: TableKeys = DEFAULT_KEYS, of_file: str = "") -> WideTable:
    """Find the shape of a table and make it wide.

    Parameters
    ----------
    table
        The table as it was read.
    where
        Its file or argument, for messages.
    keys
        The user's settings for reading it, such as the names of columns.
    of_file
        The model that a table without a column of models is of; empty if the file does not name one.

    Raises
    ------
    DataError
        The shape is not clear, columns are missing, cells are not scores, or rows contradict each other.
    """
    frame = Frame(table, where)
    if not frame.n_rows:
        raise DataError("The table has no rows.", where=str(where), hint="give one row per item, or per response")
    layout = recognise(frame, keys, of_file)
    said: list[str] = []
    repeats: Repeats | None = None
    if layout.shape == "long":
        assert layout.score is not None
        scores = ScoreColumns(frame, keys, [layout.score])
        wide, repeats = long_columns(frame, layout, scores, said)
        _say_words(scores, said)
    elif layout.shape == "models":
        wide = _from_models(frame, layout, keys, said)
    else:
        wide = _from_items(frame, layout, keys, said)
    wide, warnings = without_aggregates(wide, str(where), keys, turned=layout.shape == "models")
    if layout.guessed:
        warnings += summaries(wide, str(where))
    numbered = layout.shape == "items" and not layout.item
    if layout.guessed or keys.settings():
        said = [describe(layout), *said, *left_out(layout)]
        return WideTable(
            table=wide,
            said=tuple(said),
            preview=tuple(preview(frame)),
            warnings=tuple(warnings),
            numbered=numbered,
            repeats=repeats,
            of_file=layout.of_file,
        )
    return WideTable(table=wide, preview=(describe(layout), *preview(frame)), warnings=tuple(warnings), repeats=repeats)


def _from_items(frame: Frame, layout: Layout, keys: TableKeys, said: list[str]) -> pa.Table:
    _check_values(frame, layout, "model")
    columns: dict[str, Any] = {}
    if layout.item:
        columns["item_id"] = _item_column(frame, layout)
    else:
        columns["item_id"] = text_array(frame.row_numbers[1])
        said.append("no column holds ids: the items are numbered by their rows, from 1")
    if layout.subtask is not None:
        columns["subtask"] = frame.table.column(layout.subtask)
    if layout.label is not None:
        columns["label"] = frame.table.column(layout.label)
    for name, column in ((WEIGHT, layout.weight), (CLUSTER, layout.cluster), (COST, layout.cost)):
        if column is not None:
            columns[name] = frame.table.column(column)
    scores = ScoreColumns(frame, keys, layout.values)
    ids: list[str] | None = None
    for name in layout.values:
        if scores.changes(name):
            ids = ids or [str(text) for text in columns["item_id"].to_pylist()]
            columns[name] = nullable_numbers(scores.of(name, ids))
        else:
            columns[name] = frame.table.column(name)
    _say_words(scores, said)
    return pa.table(columns)


def _item_column(frame: Frame, layout: Layout) -> pa.Array | pa.ChunkedArray:
    """The ids of items.

    Raises
    ------
    DataError
        Ids are repeated, and with the subtask in them they would not be.
    """
    if layout.subtask is not None and layout.subtask not in layout.item and not frame.is_unique(layout.item[0]):
        ids = ids_in(frame, layout.item, "item")
        both = joined([ids_in(frame, [layout.subtask], "subtask"), ids])
        if len(ids.names) < frame.n_rows == len(both.names):
            repeated = [name for name, count in zip(ids.names, np.bincount(ids.codes), strict=True) if count > 1]
            raise DataError(
                "Item ids must be unique.",
                where=f"{frame.where}: item ids",
                got=f"{len(repeated)} given more than once, in different subtasks: {first_few(repeated)}",
                hint=f"columns={{item: [{layout.subtask}, {', '.join(layout.item)}]}} makes ids of the subtask and the id; "
                "or rename the repeated items",
            )
    if len(layout.item) == 1:
        return as_integers(frame.table.column(layout.item[0]))
    return text_array(ids_in(frame, layout.item, "item").texts())


def _from_models(frame: Frame, layout: Layout, keys: TableKeys, said: list[str]) -> pa.Table:
    _check_values(frame, layout, "item")
    models = ids_in(frame, layout.model, "model").texts()
    _check_models(frame, models)
    scores = ScoreColumns(frame, keys, layout.values)
    matrix = np.stack([scores.of(name) for name in layout.values], axis=1)
    _say_words(scores, said)
    return pa.table(
        {"item_id": text_array(list(layout.values))}
        | {model: nullable_numbers(row) for model, row in zip(models, matrix, strict=True)}
    )


def _check_values(frame: Frame, layout: Layout, kind: str) -> None:
    if layout.values:
        return
    out = [name for name in layout.left_out if layout.left_out[name] == "texts"]
    raise DataError(
        f"The table has no column with {'a model' if kind == 'model' else 'an item'}'s scores.",
        where=str(frame.where),
        got=f"columns {first_few(frame.names)}" + (f"; texts in {first_few(out)}" if out else ""),
        hint="correct=WORD where scores are words" if out else f"add one column per {kind}, named after it, with scores in [0, 1]",
    )


def _check_models(frame: Frame, models: Sequence[str]) -> None:
    reserved = next((name for name in models if name in ("item_id", "subtask", "label")), None)
    repeated = sorted({name for name in models if models.count(name) > 1}) if len(set(models)) < len(models) else []
    if repeated or reserved:
        raise DataError(
            "Model ids must be unique." if repeated else "A model has the name of a column about items.",
            where=f"{frame.where}: model ids",
            got=f"{len(repeated)} given more than once: {first_few(repeated)}" if repeated else repr(reserved),
            hint="rename or remove the repeated models; shape=long if each row is one response" if repeated else "rename the model",
        )


def _say_words(scores: ScoreColumns, said: list[str]) -> None:
    if scores.wrong_words:
        said.append(f"counted as wrong: {first_few(sorted(scores.wrong_words), 10)}")


def preview(frame: Frame) -> list[str]:
    """The first rows and columns of a table, a line each, the header first."""
    names = frame.names[:PREVIEW_COLUMNS]
    more = ["…"] if len(frame.names) > len(names) else []
    rows = frame.table.select(names).slice(0, PREVIEW_ROWS).to_pylist()
    cells = [[*names, *more], *([*("" if row[name] is None else str(row[name]) for name in names), *more] for row in rows)]
    cells = [[cell if len(cell) <= 24 else f"{cell[:23]}…" for cell in line] for line in cells]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
