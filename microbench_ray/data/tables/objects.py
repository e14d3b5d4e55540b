"""Tables of pandas, polars, Arrow and plain Python objects as Arrow tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.table_files import named_columns
from microbench_ray.data.tables.json_rows import table_of_mapping, table_of_rows


def as_table(given: Any, what: str) -> pa.Table | None:
    """Convert a table in memory to an Arrow table; None for other types, such as arrays.

    An index of pandas becomes columns, unless it numbers the rows; one without a name is a column without a name. A mapping is one
    of columns, or of models to a mapping of items to scores. A list of mappings has one for each row.

    Raises
    ------
    DataError
        A column holds values of several types, or names are repeated.
    """
    table = _table(given, what)
    return None if table is None else named_columns(table, what, unnamed=True)


def _table(given: Any, what: str) -> pa.Table | None:
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, pa.Table):
        return given
    if isinstance(given, Mapping):
        return table_of_mapping(given, what)
    if isinstance(given, Sequence) and given and not isinstance(given, str) and all(isinstance(row, Mapping) for row in given):
        return table_of_rows(given, what)
    if hasattr(given, "iloc"):
        return _of_pandas(given, what)
    if hasattr(given, "collect_schema") and hasattr(given, "collect"):  # a LazyFrame of polars
        given = given.collect()
    return pa.table(given) if hasattr(given, "__arrow_c_stream__") and hasattr(given, "columns") else None


def _of_pandas(given: Any, what: str) -> pa.Table:
    if not hasattr(given, "columns"):  # a Series
        given = given.to_frame("score" if given.name is None else given.name)
    if given.columns.nlevels > 1:
        raise DataError(
            "The columns have several levels.",
            where=what,
            got=f"levels {list(given.columns.names)}",
            hint="select one level, such as scores['accuracy'], or stack them into rows: scores.stack()",
        )
    numbered = type(given.index).__name__ == "RangeIndex" and given.index.name is None
    frame = given.copy(deep=False)
    if not numbered:
        names = [
            str(name) if name is not None else f"level_{k}" if given.index.nlevels > 1 else ""
            for k, name in enumerate(given.index.names)
        ]
        if given.index.nlevels == 1 and names[0] == "" and _has_item_id(frame):
            frame = frame.reset_index(drop=True)
        else:
            frame = frame.set_axis(given.index.set_names(names)).reset_index()
    try:
        return pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False)
    except (pa.ArrowException, ValueError, TypeError) as error:
        got, hint = str(error).splitlines()[0], "give the column one type, such as text"
        raise DataError("A column contains values of several types.", where=what, got=got, hint=hint) from None


def _has_item_id(frame: Any) -> bool:
    return "item_id" in frame.columns
