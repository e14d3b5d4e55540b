"""What answering each item costs, from a column of costs of items or of responses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.urls import local_path
from microbench_ray.data.names import first_few
from microbench_ray.data.table_files import read_table, row_name

FloatArray = NDArray[np.float64]


def mean_costs(values: Iterable[object], codes: NDArray[np.int64], n_items: int, place: Callable[[int], str]) -> FloatArray:
    """Each item's mean over the rows that have a cost, (n_items,); NaN for an item without any.

    Parameters
    ----------
    values
        The cost of each row; None or an empty text where it is unknown.
    codes
        (n_rows,) the item of each row; negative for none.
    n_items
        Number of items.
    place
        Names the place of a row, for the message.

    Raises
    ------
    DataError
        A cost is not a number.
    """
    costs = np.full(len(codes), np.nan)
    for row, value in enumerate(values):
        if value is not None and value != "":
            try:
                costs[row] = float(str(value))
            except ValueError:
                what, hint = "The cost of a response must be a number.", "leave a cell empty where the cost is unknown"
                raise DataError(what, where=place(row), got=repr(value), hint=hint) from None
    known = ~np.isnan(costs) & (codes >= 0)
    sums = np.bincount(codes[known], costs[known], n_items)
    counts = np.bincount(codes[known], minlength=n_items)
    means: FloatArray = np.divide(sums, counts, out=np.full(n_items, np.nan), where=counts > 0)
    return means


def costs_in_table(path: str | Path, item_ids: Sequence[str]) -> FloatArray:
    """The items' costs from a table with the columns `item_id` and `cost`, one or several rows per item; others are ignored.

    Raises
    ------
    DataError
        The table cannot be read or lacks a column, a cost is not a number, or an item has none.
    """
    file = local_path(path)
    table = read_table(file, texts=("item_id",))
    missing = [name for name in ("item_id", "cost") if name not in table.column_names]
    if missing:
        got = f"columns {first_few(table.column_names)}"
        raise DataError(f"A table of costs needs a column {missing[0]}.", where=str(path), got=got, hint="item_id and cost")
    position = {item: k for k, item in enumerate(item_ids)}
    codes = np.array([position.get(str(item), -1) for item in table["item_id"].to_pylist()], np.int64)
    costs = mean_costs(table["cost"].to_pylist(), codes, len(item_ids), lambda row: f"{path}: column 'cost', {row_name(file, row)}")
    without = np.flatnonzero(np.isnan(costs))
    if without.size:
        raise DataError(
            "Items of the benchmark have no cost.",
            where=str(path),
            got=f"{without.size:,} of {len(item_ids):,}, such as {first_few(item_ids[k] for k in without.tolist())}",
            hint="give every item a row with its item_id and cost",
        )
    return costs
