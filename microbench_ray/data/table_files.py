"""Reader of tables in Parquet, Feather and CSV, with the same errors for all formats."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pq
from microbench_ray.core.parquet import OversizedTable, read_parquet
from microbench_ray.core.storage.urls import check_place
from microbench_ray.data.names import first_few
from microbench_ray.data.table_hints import check_separator

SUFFIXES = (".parquet", ".feather", ".arrow", ".csv", ".csv.gz")
"""Suffixes of files that `read_table` supports."""

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def split_suffix(path: Path) -> tuple[str, str]:
    """Split a file name into stem and suffix; `.csv.gz` is one suffix.

    Raises
    ------
    DataError
        The suffix is not one of `SUFFIXES`.
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)], path.name[-len(suffix) :]
    raise DataError(
        "Unknown suffix of a table.",
        where=str(path),
        got=f"suffix {path.suffix!r}",
        hint=f"use one of {', '.join(SUFFIXES)}",
    )


def row_name(path: Path, row: int) -> str:
    """Name a row, counted from 0, for a message: its line in a CSV file, otherwise its number counted from 1."""
    return f"line {row + 2}" if path.name.lower().endswith((".csv", ".csv.gz")) else f"row {row + 1}"


def read_table(path: Path, *, texts: Sequence[str]) -> pa.Table:
    """Read a table.

    Parameters
    ----------
    path
        File with one of `SUFFIXES`.
    texts
        Columns that are read as texts from CSV files even if their values look like numbers ("001").

    Raises
    ------
    DataError
        The file is missing, empty, truncated or of another format, or column names are empty or repeated.
    """
    check_place(path, "path")
    if not path.is_file():
        raise DataError(
            "The table is not a file." if path.is_dir() else "The table does not exist.",
            where=str(path),
            got="a folder" if path.is_dir() else "no such file",
            hint="give the path of a Parquet, Feather or CSV table, or data_dir=FOLDER for a benchmark defined in conf/",
        )
    suffix = split_suffix(path)[1].lower()
    try:
        if path.stat().st_size == 0:
            raise DataError("The file is empty.", where=str(path), got="0 bytes", hint="write or copy it again")
        if suffix == ".parquet":
            # Not read_table, which imports pandas: errors should be reported before that.
            _check_columns(path, pq.read_schema(path, memory_map=True).names)
            table = read_parquet(str(path), path.stat().st_size, memory_map=True)
        elif suffix in (".feather", ".arrow"):
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            _check_columns(path, table.column_names)
        else:
            table = _read_csv(path, suffix, texts)
    except OversizedTable as error:
        raise DataError(
            "The table takes far more memory than its file has bytes.",
            where=str(path),
            got=str(error),
            hint="write the table again, with one row per item and short ids",
        ) from None
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        formats = {".parquet": "Parquet", ".feather": "Feather (Arrow IPC)", ".arrow": "Feather (Arrow IPC)"}
        raise DataError(
            f"The file is truncated or not a {formats.get(suffix, 'CSV')} file.",
            where=str(path),
            got=(str(error).splitlines() or [type(error).__name__])[0],
            hint="write or copy it again",
        ) from None
    return table.drop_columns([name for name in table.column_names if _PANDAS_INDEX.fullmatch(name)])


def _read_csv(path: Path, suffix: str, texts: Sequence[str]) -> pa.Table:
    """Read CSV with a header; empty cells, NaN, NA and null are missing values, except in text columns."""
    opener = gzip.open if suffix.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines), [])
    _check_columns(path, header)
    if len(header) == 1:
        check_separator(str(path), header)
    types = {name: pa.string() for name in texts if name in header}
    with pa.input_stream(str(path), compression="gzip" if suffix.endswith(".gz") else None) as source:
        return pa.csv.read_csv(
            source,
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=types),
        )


def _check_columns(path: Path, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(
            "Column names must be unique.",
            where=str(path),
            got=f"{len(repeated)} used more than once: {first_few(repeated)}",
            hint="rename or remove the repeated columns",
        )
    if "" in names:
        raise DataError(
            "A column has no name.",
            where=f"{path}: column {list(names).index('') + 1}",
            hint="name the column; in pandas, write the table with to_csv(..., index=False)",
        )
