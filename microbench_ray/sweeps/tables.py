"""Pair counts as columns of a table, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data.columns import column_of, number_array
from microbench_ray.metrics import PairCounts

BINNED = ("n_pairs", "n_agree", "n_tied", "n_tied_agree")
SCALAR = ("n_true_tied", "n_true_tied_up")


def count_columns(counts: PairCounts) -> dict[str, pa.Array]:
    """Columns of counts: a list per row for each binned count, cut after the row's last non-zero bin.

    Parameters
    ----------
    counts
        With one leading axis, the rows.
    """
    columns: dict[str, pa.Array] = {name: number_array(getattr(counts, name)) for name in SCALAR}
    for name in BINNED:
        values = getattr(counts, name)
        lengths = np.where(values.any(axis=1), values.shape[1] - np.argmax(values[:, ::-1] != 0, axis=1), 0)
        kept = np.arange(values.shape[1]) < lengths[:, None]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        columns[name] = pa.ListArray.from_arrays(number_array(offsets), number_array(values[kept].astype(np.int32)))
    return columns


def counts_of(table: pa.Table) -> PairCounts:
    """The counts of a table's rows, in row order: the inverse of `count_columns`."""
    lists = {name: table.column(name).combine_chunks() for name in BINNED}
    n_bins = max([1, *(int(np.max(column.value_lengths().to_numpy(zero_copy_only=False), initial=0)) for column in lists.values())])
    scalars = {name: table.column(name).to_numpy().astype(np.int64, copy=False) for name in SCALAR}
    return PairCounts(**{name: _dense(column, n_bins) for name, column in lists.items()}, **scalars)


def rows_table(name: str, rows: Sequence[Mapping[str, Any]], counts: Sequence[PairCounts] | None = None) -> pa.Table:
    """A table of the schema `SCHEMAS[name]`, from one mapping per row and, if it holds counts, one PairCounts per row."""
    schema = SCHEMAS[name]
    columns: dict[str, pa.Array] = {}
    if counts is not None:
        columns = count_columns(PairCounts.stack(counts) if counts else PairCounts.zeros((0,)))
    for field in schema:
        if field.name not in columns:
            columns[field.name] = column_of([null_if_nan(row[field.name]) for row in rows], field.type)
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def null_if_nan(value: Any) -> Any:
    """None for a NaN: undefined values are null in a table."""
    return None if isinstance(value, float) and np.isnan(value) else value


def _dense(column: pa.ListArray, n_bins: int) -> NDArray[np.int64]:
    """(n_rows, n_bins) the lists of a column, padded with zeros."""
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    dense = np.zeros((len(column), n_bins), np.int64)
    dense[np.arange(n_bins) < lengths[:, None]] = column.flatten().to_numpy()
    return dense
