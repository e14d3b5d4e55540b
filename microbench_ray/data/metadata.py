"""Model metadata in a handful of canonical Arrow types, one row per model of the benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few

if TYPE_CHECKING:
    import pandas as pd

RESERVED = ("model_id", "score", "confidence", "answers")
"""Columns of `Benchmark.models` that are no metadata."""


def align_metadata(
    metadata: pd.DataFrame | pa.Table, models: list[str], dropped: list[str]
) -> tuple[dict[str, pa.Array], list[str]]:
    """Bring metadata into the order of the models, nulls where a model has no row.

    Parameters
    ----------
    metadata
        One row per model, with a column (or, in pandas, an index) `model_id`; any scalar columns.
    models
        Model ids of the benchmark.
    dropped
        Model ids that were in the scores but are no longer: not reported as unknown.

    Returns
    -------
    columns, notes
        Metadata columns by name, each of len(models); and notes on models without a row and rows without a model.

    Raises
    ------
    DataError
        No `model_id`, duplicate ids, reserved column names, columns of unsupported types.
    """
    table = _as_table(metadata)
    ids = table.column("model_id").to_pylist()
    ids = [None if key is None else str(key) for key in ids]
    if None in ids or len(set(ids)) < len(ids):
        twice = next((key for k, key in enumerate(ids) if key is None or key in ids[:k]), None)
        raise DataError("Metadata must have one row per model.", where="column 'model_id'", got=f"{twice!r} repeatedly")
    position = {key: k for k, key in enumerate(ids)}
    order = pa.array([position.get(model) for model in models], pa.int64())
    notes = []
    if order.null_count:
        notes.append(
            f"{order.null_count} of {len(models)} models have no metadata: {first_few(m for m in models if m not in position)}"
        )
    unknown = set(ids) - set(models) - set(dropped)
    if unknown:
        notes.append(f"metadata of {len(unknown)} models without scores ignored: {first_few(sorted(unknown))}")
    columns = {}
    for name in table.column_names:
        if name == "model_id":
            continue
        if name in RESERVED:
            raise DataError(f"A metadata column may not be called {name!r}.", got=f"columns {table.column_names}")
        column = canonical(name, table.column(name)).take(order)
        columns[name] = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return columns, notes


def canonical(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast to string, bool, float64 or timestamp[us], empty texts and NaN to null: the same whatever file it came from.

    Raises
    ------
    DataError
        For lists, structs, binary and other types that no expression could compare.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    target = None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        target = pa.string()
    elif pa.types.is_boolean(kind):
        target = pa.bool_()
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        target = pa.float64()
    elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        target = pa.timestamp("us")
    if target is None:
        raise DataError("A metadata column must hold texts, numbers, booleans or dates.", where=f"column {name!r}", got=str(kind))
    try:
        column = column.cast(target, safe=False)
    except pa.ArrowInvalid as error:
        raise DataError("A metadata column cannot be read.", where=f"column {name!r}", got=str(error)) from None
    if target == pa.float64():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, target), column)
    elif target == pa.string():
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, target), column)
    return column


def _as_table(metadata: pd.DataFrame | pa.Table) -> pa.Table:

    if isinstance(metadata, pa.Table):
        table = metadata
    else:
        frame = metadata if "model_id" in metadata.columns else metadata.rename_axis("model_id").reset_index()
        try:
            table = pa.Table.from_pandas(frame, preserve_index=False)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError("A metadata column mixes types.", where="metadata", got=str(error)) from None
    if table.column_names.count("model_id") != 1:
        raise DataError("Metadata needs a column model_id.", where="metadata", got=f"columns {table.column_names}")
    if len(set(table.column_names)) < table.num_columns:
        raise DataError("Metadata columns must have unique names.", where="metadata", got=f"columns {table.column_names}")
    return table
