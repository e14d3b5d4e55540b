"""Limits of Parquet files, which can describe far more memory than they have bytes: checked before values are decoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pq
from microbench_ray.core.parquet import ROWS_PER_BYTE, text_bytes
from microbench_ray.data.names import show_name
from microbench_ray.ingest.jsonl import too_large

COLUMN_LIMITS = 4
"""How many times `max_line_bytes` the texts of a column may take."""


def check_rows(table: pq.ParquetFile, file: Path) -> None:
    """Check the number of rows against the size of the file.

    Raises
    ------
    DataError
        There are more than `ROWS_PER_BYTE` rows per byte.
    """
    rows, size = table.metadata.num_rows, file.stat().st_size
    if rows > ROWS_PER_BYTE * size:
        raise DataError(
            "The table has far more rows than its file has bytes.",
            where=show_name(file),
            got=f"{rows:,} rows in {size:,} bytes",
            hint="write the table again, with one row per item",
        )


def check_columns(file: Path, columns: Sequence[str], max_bytes: int) -> None:
    """Check the rows of a table, and the types and sizes of columns when they are decoded.

    Texts are decoded once per distinct value for this, not once per row.

    Parameters
    ----------
    file
        A Parquet file.
    columns
        The columns that will be read; missing ones are ignored.
    max_bytes
        The limit `max_line_bytes`.

    Raises
    ------
    DataError
        There are too many rows, a column holds lists or objects, or its texts exceed `COLUMN_LIMITS` times `max_bytes`.
    """
    limit = COLUMN_LIMITS * max_bytes
    with pq.ParquetFile(file, memory_map=True) as table:
        check_rows(table, file)
        columns = [name for name in columns if name in table.schema_arrow.names]
        leaves = [name for name in columns if name in table.schema.names]
    with pq.ParquetFile(file, memory_map=True, read_dictionary=leaves) as table:
        fields = {field.name: field.type for field in table.schema_arrow}
        for number in range(table.metadata.num_row_groups):
            group = table.metadata.row_group(number)
            for column in map(group.column, range(group.num_columns)):
                if column.path_in_schema in columns and column.total_uncompressed_size > limit:
                    where = f"{show_name(file)}: column {column.path_in_schema!a}"
                    raise too_large("A column is too large.", where, f"{column.total_uncompressed_size:,} bytes")
        for name in columns:
            where = f"{show_name(file)}: column {name!a}"
            if pa.types.is_nested(fields[name]):
                raise DataError("A column holds lists or objects, not values.", where=where, got=show_name(fields[name]))
            if pa.types.is_dictionary(fields[name]):
                size = 0
                for number in range(table.metadata.num_row_groups):
                    size += sum(map(text_bytes, table.read_row_group(number, columns=[name]).column(0).chunks))
                    if size > limit:
                        raise too_large("The texts of a column are too long.", where, f"more than {limit:,} bytes")
