"""Model metadata in canonical Arrow types, one row per model of a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.names import first_few

if TYPE_CHECKING:
    import pandas as pd

RESERVED = ("model_id", "score", "confidence", "answers", "repeat_scores")
"""Columns of `Benchmark.models` that are not metadata."""
ONE_ROW = "give every model one row, with its id in model_id"
"""The hint for several rows of a model."""


def align_metadata(
    metadata: pd.DataFrame | pa.Table, models: list[str], dropped: list[str]
) -> tuple[dict[str, pa.Array], list[str]]:
    """Align metadata with the models; a model without a row gets nulls.

    Parameters
    ----------
    metadata
        One row per model, with a column (or, in pandas, an index) `model_id` and any scalar columns.
    models
        Model ids of the benchmark.
    dropped
        Ids of models that were dropped from the scores, which are not reported as unknown.

    Returns
    -------
    columns, notes
        Metadata columns by name, each of len(models), and notes about models without a row and rows without a model.

    Raises
    ------
    DataError
        `model_id` is missing or has duplicates, or a column has a reserved name or an unsupported type.
    """
    table = _as_table(metadata)
    ids = table.column("model_id").to_pylist()
    ids = [None if key is None else str(key) for key in ids]
    if None in ids or len(set(ids)) < len(ids):
        invalid = next((key for k, key in enumerate(ids) if key is None or key in ids[:k]), None)
        got = "an empty id" if invalid is None else f"several rows of {invalid!r}"
        raise DataError("Metadata must have one row per model.", where="column 'model_id'", got=got, hint=ONE_ROW)
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
            got = f"columns {table.column_names}"
            raise DataError(f"A metadata column must not be called {name!r}.", where="metadata", got=got, hint="rename the column")
        column = canonical(name, table.column(name)).take(order)
        columns[name] = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return columns, notes


def canonical(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast a column to string, bool, float64 or timestamp[us], with nulls for empty texts and NaN, independent of the file format.

    Raises
    ------
    DataError
        The column has another type, such as a list, a struct or binary.
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
        raise DataError(
            "A metadata column must contain texts, numbers, booleans or dates.",
            where=f"column {name!r}",
            got=str(kind),
            hint="convert or remove the column",
        )
    try:
        column = column.cast(target, safe=False)
    except pa.ArrowInvalid as error:
        hint = "convert or remove the column"
        raise DataError("A metadata column cannot be read.", where=f"column {name!r}", got=str(error), hint=hint) from None
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
            hint = "give the column one type, such as text"
            raise DataError(
                "A metadata column contains values of several types.", where="metadata", got=str(error), hint=hint
            ) from None
    if table.column_names.count("model_id") != 1:
        raise no_model_id("metadata", table)
    if len(set(table.column_names)) < table.num_columns:
        raise DataError(
            "Metadata columns must have unique names.",
            where="metadata",
            got=f"columns {table.column_names}",
            hint="rename or remove the repeated columns",
        )
    return table


def no_model_id(where: str, table: pa.Table) -> DataError:
    """The error for metadata whose rows cannot be joined with models, or not uniquely."""
    hint = "rename the column that holds the models' ids to model_id"
    return DataError("Metadata must have one column model_id.", where=where, got=f"columns {table.column_names}", hint=hint)
