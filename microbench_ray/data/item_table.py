"""A table beside a board about its items: their subtasks, weights, clusters and costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.urls import local_path
from microbench_ray.data.names import first_few
from microbench_ray.data.table_files import read_table, row_name

COLUMNS = ("subtask", "weight", "cluster", "cost")
"""What a table may say about items; it needs at least one of them."""


class ItemTable(NamedTuple):
    """What a table says about the items of a board, in the board's order; None for a column that it does not have.

    Attributes
    ----------
    subtasks, clusters
        (n_items,) texts.
    weights, costs
        (n_items,) numbers.
    note
        A sentence about rows for items that the board does not have; None where there are none.
    """

    subtasks: list[str] | None
    weights: NDArray[np.float64] | None
    clusters: list[str] | None
    costs: NDArray[np.float64] | None
    note: str | None


def read_item_table(path: str | Path, item_ids: Sequence[str]) -> ItemTable:
    """Read a table with `item_id` and any of `COLUMNS`, and join it to a board's items by their ids.

    Parameters
    ----------
    path
        Of the table, or its URL.
    item_ids
        The items of the board, each of which needs a row. Rows for other items are noted.

    Raises
    ------
    DataError
        The table cannot be read, has no column `item_id` or none of the others, has an item twice, lacks items of the board, or has
        an empty cell for one, or a weight or cost that is no number.
    """
    place = local_path(path)
    table = read_table(place, texts=("item_id", "subtask", "cluster"))
    names = [name for name in COLUMNS if name in table.column_names]
    if "item_id" not in table.column_names or not names:
        raise DataError(
            "The table of items lacks a column.",
            where=str(path),
            got=f"columns {', '.join(table.column_names)}",
            hint=f"name a column item_id, and at least one of {', '.join(COLUMNS)}",
        )
    ids = ["" if item is None else str(item) for item in table["item_id"].to_pylist()]
    twice = [item for item, count in Counter(ids).items() if count > 1]
    if twice:
        hint = "one row for each item"
        raise DataError("The table of items has an item twice.", where=str(path), got=first_few(twice), hint=hint)
    row_of = {item: row for row, item in enumerate(ids)}
    absent = [item for item in item_ids if item not in row_of]
    extra = set(ids).difference(item_ids)
    if absent:
        raise DataError(
            "The table of items lacks items of the board.",
            where=str(path),
            got=f"{len(absent):,} of {len(item_ids):,}: {first_few(absent)}; its own are {first_few(sorted(ids))}",
            hint="a row for every item, with the ids of the board: mb.read_ingested(BOARD).item_ids lists them",
        )
    rows = [row_of[item] for item in item_ids]
    cells: dict[str, list[Any]] = {}
    for name in names:
        values = table[name].to_pylist()
        for row in rows:
            if values[row] is None or values[row] == "":
                raise DataError(
                    f"An item has no {name}.",
                    where=f"{path}: {row_name(place, row)}, column {name!r}",
                    got=f"item {ids[row]!r}, an empty cell",
                    hint=f"fill in the {name}, or remove the column",
                )
        cells[name] = [values[row] for row in rows]
    return ItemTable(
        subtasks=[str(cell) for cell in cells["subtask"]] if "subtask" in cells else None,
        weights=_numbers(cells, "weight", item_ids, path),
        clusters=[str(cell) for cell in cells["cluster"]] if "cluster" in cells else None,
        costs=_numbers(cells, "cost", item_ids, path),
        note=f"{len(extra):,} items of {place.name} are not on the board: {first_few(sorted(extra))}" if extra else None,
    )


def _numbers(columns: Mapping[str, list[Any]], name: str, item_ids: Sequence[str], path: str | Path) -> NDArray[np.float64] | None:
    if name not in columns:
        return None
    cells = columns[name]
    try:
        return np.array([float(cell) for cell in cells])
    except (TypeError, ValueError):
        wrong = next(k for k, cell in enumerate(cells) if not _is_number(cell))
        where = f"{path}: column {name!r}, item {item_ids[wrong]!r}"
        hint = "write a number, with a decimal point"
        raise DataError(f"A {name} is not a number.", where=where, got=repr(cells[wrong]), hint=hint) from None


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
