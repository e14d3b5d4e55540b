"""Long tables, with a row per response, as wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.columns import nullable_numbers, text_array
from microbench_ray.data.item_costs import mean_costs
from microbench_ray.data.names import first_few
from microbench_ray.data.repeats import Repeats, too_large
from microbench_ray.data.table_files import row_name
from microbench_ray.data.tables.aggregates import CLUSTER, COST, WEIGHT
from microbench_ray.data.tables.cells import ScoreColumns
from microbench_ray.data.tables.frame import Frame
from microbench_ray.data.tables.ids import MAX_SPARSE, Ids, ids_in, joined
from microbench_ray.data.tables.layout import Layout

MAX_EMPTY = 50
"""How many cells a table may get for each of its rows, above `MIN_CELLS`."""
MIN_CELLS = 10_000_000


class LongColumns(NamedTuple):
    """A long table as a wide one."""

    table: pa.Table
    repeats: Repeats | None
    """The scores that were averaged; None without repeats."""


def long_columns(frame: Frame, layout: Layout, scores: ScoreColumns, said: list[str]) -> LongColumns:
    """Make a wide table of a long one.

    Repeats of a response, numbered in the column `repeat`, are averaged over those with a score, and kept. Rows that say the same
    twice count once.

    Raises
    ------
    DataError
        Two rows give one response different scores, or an item has several subtasks.
    """
    assert layout.score is not None
    if layout.model:
        models = ids_in(frame, layout.model, "model")
    else:
        models = Ids(names=[layout.of_file], codes=np.zeros(frame.n_rows, np.int64))
    items = ids_in(frame, layout.item, "item")
    values = scores.of(layout.score)
    subtasks = None if layout.subtask is None else ids_in(frame, [layout.subtask], "subtask")
    if subtasks is not None:
        items = _apart(frame, items, subtasks, models, layout, said)
    if layout.model:
        _check_spelling(frame, models, items, "model", layout.model)
    _check_spelling(frame, items, models, "item", layout.item)
    _check_size(frame, models, items)
    kept = _distinct_rows(frame, layout, models, items, values, said)
    shape = (len(models.names), len(items.names))
    valid = kept[~np.isnan(values[kept])]
    place = models.codes[valid] * shape[1] + items.codes[valid]
    counts = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(place, values[valid], minlength=shape[0] * shape[1]).reshape(shape)
    repeats = None
    if layout.repeat is not None and counts.max(initial=0) > 1:
        repeats = _repeats(ids_in(frame, [layout.repeat], "repeat"), valid, models, items, values, int(counts.max()), said)
        many = f"up to {int(counts.max())} of a response"
        said.append(f"repeats are in {layout.repeat!r}, {many}; a score is their mean unless reduced otherwise")
    with np.errstate(invalid="ignore"):
        matrix = sums / counts
    columns: dict[str, pa.Array] = {"item_id": text_array(items.names)}
    if subtasks is not None:
        first = np.full(len(items.names), -1)
        first[items.codes[::-1]] = subtasks.codes[::-1]
        columns["subtask"] = text_array([subtasks.names[code] for code in first.tolist()])
    for name, column in ((WEIGHT, layout.weight), (CLUSTER, layout.cluster)):
        if column is not None:
            columns[name] = _of_items(frame, column, name.removeprefix("#"), items)
    if layout.cost is not None:
        given = frame.table.column(layout.cost).to_pylist()
        place_of = partial(_cost_place, frame, layout.cost)
        columns[COST] = nullable_numbers(mean_costs(given, items.codes, len(items.names), place_of))
    table = pa.table(columns | {name: nullable_numbers(row) for name, row in zip(models.names, matrix, strict=True)})
    return LongColumns(table, repeats)


def _repeats(
    ids: Ids, valid: NDArray[np.intp], models: Ids, items: Ids, values: NDArray[np.float64], most: int, said: list[str]
) -> Repeats | None:
    """The scores of the repeats: by their ids, or in the order of their rows where these are not those of runs of all items.

    Parameters
    ----------
    ids, models, items
        Of every row.
    valid
        The rows with a score that count.
    values
        The score of every row.
    most
        The largest number of repeats of a response.
    said
        Gets a sentence where the repeats are too many to be kept.
    """
    place = models.codes[valid] * len(items.names) + items.codes[valid]
    order = np.lexsort((ids.codes[valid], place))
    place, rows = place[order], valid[order]
    column, width = ids.codes[rows], len(ids.names)
    if width > most:
        first = np.flatnonzero(np.diff(place, prepend=-1))
        column, width = np.arange(len(place)) - np.repeat(first, np.diff(first, append=len(place))), most
    note = too_large(len(models.names), len(items.names), width)
    if note is not None:
        said.append(note)
        return None
    scores = np.full((len(models.names) * len(items.names), width), np.nan)
    scores[place, column] = values[rows]
    return Repeats(models.names, items.names, scores.reshape(len(models.names), len(items.names), width))


def _cost_place(frame: Frame, name: str, row: int) -> str:
    return f"{frame.where}: column {name!r}, {row_name(frame.where, row)}"


def _of_items(frame: Frame, name: str, role: str, items: Ids) -> pa.Array:
    """The value that a column has for each item; DataError where it has two for one."""
    values = ids_in(frame, [name], role)
    found = np.full(len(items.names), -1)
    found[items.codes[::-1]] = values.codes[::-1]
    differs = found[items.codes] != values.codes
    if differs.any():
        row = int(np.argmax(differs))
        raise DataError(
            f"The rows of an item have different values of {name!r}.",
            where=f"{frame.where}: item {items.names[items.codes[row]]!r}, {row_name(frame.where, row)}",
            got=f"{values.names[values.codes[row]]!r}, and {values.names[found[items.codes[row]]]!r} before",
            hint="give all rows of an item the same value",
        )
    return text_array([values.names[code] for code in found.tolist()])


def _apart(frame: Frame, items: Ids, subtasks: Ids, models: Ids, layout: Layout, said: list[str]) -> Ids:
    """The items, with the subtask in their ids where an id occurs in several, such as numbers that start again in each."""
    both = joined([subtasks, items])
    if len(both.names) == len(items.names):
        return items
    if len(np.unique(_cells(models, items))) == len(np.unique(_cells(models, both))):
        first = np.zeros(len(items.names), np.intp)
        first[items.codes[::-1]] = np.arange(frame.n_rows)[::-1]
        row = int(np.argmax(subtasks.codes[first[items.codes]] != subtasks.codes))
        now, before = (subtasks.names[subtasks.codes[each]] for each in (row, first[items.codes[row]]))
        raise DataError(
            "An item has two subtasks.",
            where=f"{frame.where}: item {items.names[items.codes[row]]!r}, {row_name(frame.where, row)}",
            got=f"{now!r}, and {before!r} before",
            hint=f"columns={{item: [{layout.subtask}, {', '.join(layout.item)}]}} if these are two items; "
            f"columns={{ignore: [{layout.subtask}]}} if they are one",
        )
    said.append("an id occurs in several subtasks: the ids of items are made of the subtask and the id")
    return both


def _cells(models: Ids, items: Ids) -> NDArray[np.int64]:
    """(n_rows,) the number of the response that each row is of."""
    return items.codes * len(models.names) + models.codes


def _distinct_rows(
    frame: Frame, layout: Layout, models: Ids, items: Ids, values: NDArray[np.float64], said: list[str]
) -> NDArray[np.intp]:
    """The rows, in order, without those that say the same as another."""
    keys = _cells(models, items)
    if layout.repeat is not None:
        repeats = ids_in(frame, [layout.repeat], "repeat")
        keys = keys * len(repeats.names) + repeats.codes
    if keys.max(initial=0) <= MAX_SPARSE * len(keys) and np.bincount(keys).max(initial=0) <= 1:
        return np.arange(len(keys))
    order = np.argsort(keys, kind="stable")
    ordered, found = keys[order], values[order]
    same = np.zeros(len(order), bool)
    same[1:] = ordered[1:] == ordered[:-1]
    if not same.any():
        return np.arange(len(keys))
    equal = np.zeros(len(order), bool)
    equal[1:] = (found[1:] == found[:-1]) | (np.isnan(found[1:]) & np.isnan(found[:-1]))
    differs = same & ~equal
    if differs.any():
        position = int(np.argmax(differs))
        raise _contradiction(
            frame, layout, models, items, values, (int(order[position - 1]), int(order[position])), int(differs.sum())
        )
    said.append(f"{int(same.sum()):,} rows repeat another one with the same score, and are counted once")
    return np.sort(order[~same])


def _contradiction(
    frame: Frame, layout: Layout, models: Ids, items: Ids, values: NDArray[np.float64], rows: tuple[int, int], count: int
) -> DataError:
    differing = [
        name
        for name in frame.names
        if layout.left_out.get(name) == "not used" and len({str(frame.table.column(name)[row].as_py()) for row in rows}) == 2
    ]
    shown = [f"{'no score' if np.isnan(values[row]) else f'{values[row]:g}'} in {row_name(frame.where, row)}" for row in rows]
    told = f"the rows also differ in {first_few(differing)}: " if differing else ""
    name = differing[0] if differing else "NAME"
    told += f"columns={{model: {name}}} if it holds the models, " if layout.of_file and differing else ""
    item = ", ".join((*layout.item, name))
    models_too = f", columns={{model: [{', '.join((*layout.model, name))}]}} two models" if layout.model else ""
    return DataError(
        "Two rows give one response different scores.",
        where=f"{frame.where}: model {models.names[models.codes[rows[0]]]!r}, item {items.names[items.codes[rows[0]]]!r}",
        got=f"{' and '.join(shown)}" + (f", and {count - 1:,} more rows" if count > 1 else ""),
        hint=f"{told}columns={{repeat: {name}}} averages repeats, columns={{item: [{item}]}} makes them two items{models_too}; "
        "or remove the outdated rows",
    )


def _check_spelling(frame: Frame, ids: Ids, others: Ids, role: str, columns: Sequence[str]) -> None:
    """Refuse two ids that differ in case or spaces only, and share the responses between them: one id, spelt in two ways."""
    spelt = "\n".join(ids.names).casefold().split()
    if len(spelt) == len(set(spelt)) == len(ids.names):  # ids without spaces, all different
        return
    by_spelling: dict[str, list[int]] = {}
    for code, name in enumerate(ids.names):
        by_spelling.setdefault(" ".join(name.casefold().split()), []).append(code)
    for first, second, *_ in (codes for codes in by_spelling.values() if len(codes) > 1):
        if not np.intersect1d(others.codes[ids.codes == first], others.codes[ids.codes == second]).size:
            raise DataError(
                f"Two {role}s differ only in case or spaces, and no {'item' if role == 'model' else 'model'} has both.",
                where=f"{frame.where}: column {columns[0]!r}",
                got=f"{ids.names[first]!r} and {ids.names[second]!r}",
                hint=f"spell the {role} in one way",
            )


def _check_size(frame: Frame, models: Ids, items: Ids) -> None:
    """Refuse tables that have hardly any of their responses: the columns are not those of models and items."""
    n_cells = len(models.names) * len(items.names)
    if n_cells > max(MIN_CELLS, MAX_EMPTY * frame.n_rows):
        raise DataError(
            "Hardly any model has answered any item.",
            where=str(frame.where),
            got=f"{len(models.names):,} models, {len(items.names):,} items, {frame.n_rows:,} rows",
            hint="columns={model: NAME, item: NAME} names the columns with models and items",
        )
