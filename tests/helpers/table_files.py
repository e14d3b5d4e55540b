"""Writes small tables in all formats of the readers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".feather", ".arrow", ".csv", ".csv.gz")


def write(table: pa.Table, path: Path) -> Path:
    """Write a table in the format of the path's suffix, and return the path."""
    if path.name.endswith(".parquet"):
        pq.write_table(table, path)
    elif path.name.endswith((".feather", ".arrow")):
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        with pa.output_stream(str(path), compression="gzip" if path.name.endswith(".gz") else None) as sink:
            pa.csv.write_csv(table, sink)
    return path
