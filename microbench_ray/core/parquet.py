"""Parquet tables: encoded with checksums, and read in bounded memory, as a file of a few kilobytes can describe gigabytes.

Repeated values are stored once, in a dictionary page, and runs of them as a count. So the size of a table in memory is found before
it is decoded: from the numbers of values, and for texts from a dictionary of the distinct ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.lazy_arrow import pq

ROWS_PER_BYTE = 8
"""Maximum number of rows per byte of a file; rows of distinct items take about a byte at least."""
MIN_LIMIT = 256 << 20
"""Bytes in memory that every table may take."""
BYTES_PER_BYTE = 400
"""Bytes in memory per byte of the file above that: scores of 0 and 1 as float64 take about 200 where they compress well."""
FEW_TEXTS = 20_000
"""Texts that are decoded twice in less time than it takes to import `pyarrow.compute`, by which they are cast."""
COLUMNS_AT_ONCE = 64
"""Columns that are decoded together: Arrow keeps the pages of all until the last is done, ten times the scores of a wide table."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12, "BYTE_ARRAY": 4}
"""Bytes of a decoded value by its physical type; of a text, those of its place."""


class OversizedTable(pa.ArrowInvalid):  # type: ignore[misc]
    """A table that takes far more memory than its file has bytes."""


def memory_limit(n_bytes: int) -> int:
    """Bytes that a table may take in memory if its file has `n_bytes`."""
    return max(MIN_LIMIT, BYTES_PER_BYTE * n_bytes)


def read_parquet(source: Any, n_bytes: int, columns: Sequence[str] | None = None, **options: Any) -> pa.Table:
    """Read a Parquet table after checking its size in memory.

    Parameters
    ----------
    source
        A path or a seekable Arrow file.
    n_bytes
        The size of the file.
    columns
        The columns to read, all by default.
    options
        Of `pyarrow.parquet.ParquetFile`.

    Raises
    ------
    OversizedTable
        The table would take more than `memory_limit`; the error gives the bytes.
    pyarrow.ArrowException, OSError
        The file cannot be read.
    """
    file = pq.ParquetFile(source, **options)
    schema, limit = file.schema_arrow, memory_limit(n_bytes)
    names = schema.names if columns is None else [name for name in columns if name in schema.names]
    size = decoded_bytes(file.metadata, names)
    _check(size, limit, n_bytes)
    if not names or len(set(schema.names)) < len(schema.names):
        return file.read(columns=names, use_threads=False)
    texts = [name for name in names if _is_text(schema.field(name).type)]
    columns_read = _texts(file, source, texts, size, limit, n_bytes, **options) if texts else {}
    others = [name for name in names if name not in columns_read]
    for start in range(0, len(others), COLUMNS_AT_ONCE):
        part = file.read(columns=others[start : start + COLUMNS_AT_ONCE], use_threads=False)
        columns_read |= dict(zip(part.column_names, part.columns, strict=True))
    target = pa.schema([schema.field(name) for name in names], metadata=schema.metadata)
    return pa.table([columns_read[name] for name in names], schema=target)


def _texts(
    file: pq.ParquetFile, source: Any, names: Sequence[str], size: int, limit: int, n_bytes: int, **options: Any
) -> dict[str, pa.ChunkedArray]:
    """The columns of texts, once their distinct texts and the `size` of the others are within the limit."""
    coded = pq.ParquetFile(source, metadata=file.metadata, read_dictionary=names, **options)
    parts = []
    for number in range(coded.metadata.num_row_groups):
        part = coded.read_row_group(number, columns=names, use_threads=False)
        size += sum(text_bytes(chunk) for column in part.columns for chunk in column.chunks)
        _check(size, limit, n_bytes)
        parts.append(part)
    if not parts or file.metadata.num_rows * len(names) <= FEW_TEXTS:
        table = file.read(columns=names, use_threads=False)
    else:
        target = pa.schema([file.schema_arrow.field(name) for name in parts[0].column_names])
        table = pa.concat_tables(parts).cast(target)
    return dict(zip(table.column_names, table.columns, strict=True))


def decoded_bytes(metadata: pq.FileMetaData, names: Sequence[str]) -> int:
    """Bytes of the columns in memory, for texts without their repetitions; from the footer alone."""
    total, kept = 0, set(names)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            top, *nested = column.path_in_schema.split(".")
            if top not in kept and column.path_in_schema not in kept:
                continue
            is_text = column.physical_type == "BYTE_ARRAY"
            total += column.num_values * _WIDTHS.get(column.physical_type, 16)
            total += column.total_uncompressed_size * (column.num_values if is_text and nested else 1)
    return total


def text_bytes(chunk: pa.Array) -> int:
    """Bytes of the texts of a dictionary array if every row held its own; 0 for other arrays. ArrowInvalid if it is damaged."""
    if not pa.types.is_dictionary(chunk.type) or not _is_text(chunk.type):
        return 0
    # By buffers, because `pyarrow.compute` takes longer to import than a leaderboard to read.
    texts, positions = chunk.dictionary, chunk.indices
    kind = np.dtype(np.int64 if texts.type in (pa.large_string(), pa.large_binary()) else np.int32)
    buffer = texts.buffers()[1] or b""
    ends = np.frombuffer(buffer, kind, min(len(buffer) // kind.itemsize, texts.offset + len(texts) + 1))[texts.offset :]
    used = np.from_dlpack(positions.drop_null() if positions.null_count else positions).astype(np.int64, copy=False)
    if not used.size:
        return 0
    if len(ends) <= len(texts) or int(used.min()) < 0 or int(used.max()) >= len(texts):
        raise pa.ArrowInvalid(f"a text has a position outside the {len(texts):,} distinct ones")
    lengths = ends[1:].astype(np.int64) - ends[:-1]
    return int(lengths @ np.bincount(used, minlength=len(texts)))


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(value) for test in tests)


def _check(size: int, limit: int, n_bytes: int) -> None:
    if size > limit:
        raise OversizedTable(f"more than {limit:,} bytes in memory, from a file of {n_bytes:,} bytes")


def parquet_bytes(table: pa.Table) -> bytes:
    """Encode a table as Parquet, with a checksum for every page."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
