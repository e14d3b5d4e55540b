"""Means among the models or items of a table, which are left out where their names and contents both say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataWarning
from microbench_ray.data.columns import numbers_of
from microbench_ray.data.names import first_few
from microbench_ray.data.suspicious import ROUNDING, named_like_aggregates
from microbench_ray.data.tables.frame import is_number
from microbench_ray.data.tables.keys import TableKeys

WEIGHT, CLUSTER, COST = "#weight", "#cluster", "#cost"
"""Columns of items whose names a model should not have."""
ITEM_COLUMNS = ("item_id", "subtask", "label", WEIGHT, CLUSTER, COST)
FEW_ITEMS = 20
"""Number of items below which they may be subtasks."""
GRID, GRID_TOLERANCE = 20, 1e-6
"""Scores of single items are mostly multiples of one twentieth."""
MIN_VALUES = 3
"""Number of values that must agree with means."""


def without_aggregates(table: pa.Table, where: str, keys: TableKeys, *, turned: bool) -> tuple[pa.Table, list[DataWarning]]:
    """Leave out columns and rows that are named like an aggregate and hold the mean of the others, or no scores at all.

    Those with such a name and other contents are kept, with a warning when the benchmark is made. Where `columns.ignore` is given,
    even as an empty list, nothing more is left out. `turned` tells that rows and columns were exchanged, for the messages.
    """
    if keys.gives("ignore") or "item_id" not in table.column_names:
        return table, []
    warnings = []
    models = [name for name in table.column_names if name not in ITEM_COLUMNS and is_number(table.schema.field(name).type)]
    named = named_like_aggregates(models, "model")
    others = [name for name in models if name not in named]
    if named and len(others) >= 2:
        rest = np.stack([_values(table, name) for name in others])
        found = [name for name in named if _is_aggregate(_values(table, name), rest)]
        if found:
            table = table.drop_columns(found)
            warnings.append(_left_out(found, "row" if turned else "column", where))
    items = [str(item) for item in table.column("item_id").to_pylist()]
    rows = set(named_like_aggregates(items, "model" if turned else "item"))
    if rows and len(others) >= 2 and len(items) > len(rows) + 1:
        values = np.stack([_values(table, name) for name in others], axis=1)
        ordinary = np.array([item not in rows for item in items])
        found_rows = [k for k, item in enumerate(items) if item in rows and _is_aggregate(values[k], values[ordinary])]
        if found_rows:
            table = table.take(pa.array(np.setdiff1d(np.arange(len(items)), found_rows)))
            warnings.append(_left_out([items[k] for k in found_rows], "column" if turned else "row", where))
    return table, warnings


def summaries(table: pa.Table, where: str) -> list[DataWarning]:
    """Warn of a table whose few items are more likely subtasks, with an accuracy of each model."""
    models = [name for name in table.column_names if name not in ITEM_COLUMNS]
    if table.num_rows >= FEW_ITEMS or len(models) < 2:
        return []
    values = np.concatenate([_values(table, name) for name in models])
    values = values[~np.isnan(values)]
    grid = np.rint(values * GRID) / GRID
    if not values.size or 2 * (np.abs(values - grid) > GRID_TOLERANCE).sum() <= values.size:
        return []
    return [
        DataWarning(
            "The few items look like subtasks, and the scores like accuracies on each.",
            where=where,
            got=f"{table.num_rows} items, scores such as {values[0]:g}",
            hint="a table needs the score of every single item; nothing has to be done if these are items",
        )
    ]


def _values(table: pa.Table, name: str) -> NDArray[Any]:
    column = table.column(name)
    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    return np.asarray(numbers_of(column), np.float64)


def _is_aggregate(values: NDArray[Any], others: NDArray[Any]) -> bool:
    """Whether values (n,) are the means of the others (m, n), 1 minus them, or outside [0, 1]."""
    valid = ~np.isnan(values)
    if not valid.any():
        return False
    if ((values[valid] < 0) | (values[valid] > 1)).any():
        return not ((others < 0) | (others > 1)).any()
    counts = (~np.isnan(others)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = np.nansum(others, axis=0) / counts
    valid &= counts > 0
    if valid.sum() < MIN_VALUES:
        return False
    return any(bool((np.abs(each[valid] - means[valid]) <= ROUNDING).all()) for each in (values, 1 - values))


def _left_out(names: list[str], part: str, where: str) -> DataWarning:
    return DataWarning(
        f"A {part} was left out: it holds the mean of the others, or no scores, as its name says.",
        where=where,
        got=first_few(names),
        hint="columns={ignore: []} keeps it",
    )
