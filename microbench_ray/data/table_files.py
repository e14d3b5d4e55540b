"""Reader of tables in Parquet, Feather, delimited text, JSON Lines and Excel, with the same errors for all formats."""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pq
from microbench_ray.core.parquet import OversizedTable, memory_limit, read_parquet, text_bytes
from microbench_ray.core.shown import key_value, shell_quote
from microbench_ray.core.storage.urls import check_place
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.delimited import read_delimited
from microbench_ray.data.tables.excel import read_excel
from microbench_ray.data.tables.feather import check_feather
from microbench_ray.data.tables.json_rows import read_json, read_json_lines

_COMPRESSED = ("", ".gz", ".zst")
_DELIMITED, _JSON_LINES = (".csv", ".tsv", ".tab", ".txt"), (".jsonl", ".ndjson")
DELIMITED = tuple(f"{suffix}{compressed}" for suffix in _DELIMITED for compressed in _COMPRESSED)
JSON_LINES = tuple(f"{suffix}{compressed}" for suffix in _JSON_LINES for compressed in _COMPRESSED)
JSON = ".json"
_BINARY = (".parquet", ".feather", ".arrow")
SUFFIXES = (*_BINARY, *DELIMITED, *JSON_LINES, JSON, ".xlsx")
"""Suffixes of files that `read_table` supports."""
IN_FOLDERS = tuple(suffix for suffix in SUFFIXES if suffix != JSON and not suffix.startswith(".txt"))
"""Suffixes that tables in a folder have; files with the others hold anything, and are read where their path is given."""
FORMATS = {".parquet": "Parquet", ".feather": "Feather (Arrow IPC)", ".arrow": "Feather (Arrow IPC)"}
LFS_POINTER = b"version https://git-lfs.github.com/spec/"

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
Texts = Sequence[str] | Callable[[Sequence[str]], Sequence[str]]


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
        hint=f"use one of {', '.join((*_BINARY, *_DELIMITED, *_JSON_LINES, JSON, '.xlsx'))}; files of text also with .gz or .zst",
    )


def row_name(path: Path, row: int) -> str:
    """Name a row, counted from 0, for a message: its line in a file of text, otherwise its number counted from 1."""
    name = path.name.lower()
    if name.endswith(DELIMITED):
        return f"line {row + 2}"
    return f"line {row + 1}" if name.endswith(JSON_LINES) else f"row {row + 1}"


def read_table(path: Path, *, texts: Texts, unnamed: bool = False, sheet: str | None = None) -> pa.Table:
    """Read a table.

    Parameters
    ----------
    path
        File with one of `SUFFIXES`.
    texts
        Columns that are read as texts from CSV files even if their values look like numbers ("001"), or a function that returns
        them for the names of all columns.
    unnamed
        Whether one column may have no name.
    sheet
        The sheet of a workbook; None for the only one.

    Raises
    ------
    DataError
        The file is missing, empty, truncated or of another format, column names are empty or
        repeated, or a sheet is named and the file is no workbook.
    """
    check_place(path, "path")
    if not path.is_file():
        raise DataError(
            "The table is not a file." if path.is_dir() else "The table does not exist.",
            where=str(path),
            got="a folder" if path.is_dir() else "no such file",
            hint="give the path of a Parquet, Feather or CSV table, or data_dir=FOLDER for a benchmark defined in conf/",
        )
    refuse_archive(path)
    suffix = split_suffix(path)[1].lower()
    if sheet is not None and suffix != ".xlsx":
        raise DataError("sheet= is for Excel workbooks.", where=str(path), got=f"sheet={sheet}", hint="leave out sheet=")
    try:
        check_start(path)
        table = _read(path, suffix, texts if callable(texts) else lambda _: texts, sheet)
        table.validate(full=True)
    except OversizedTable as error:
        raise DataError(
            "The table takes far more memory than its file has bytes.",
            where=str(path),
            got=str(error),
            hint="write the table again, with one row per item and short ids",
        ) from None
    except (pa.ArrowException, OSError, EOFError, UnicodeError, csv.Error, zlib.error) as error:
        raise DataError(
            f"The file is truncated or not a {FORMATS.get(suffix, 'CSV')} file.",
            where=str(path),
            got=(str(error).splitlines() or [type(error).__name__])[0],
            hint=_mend(error),
        ) from None
    return named_columns(table, str(path), unnamed=unnamed)


def _mend(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return "save it in UTF-8, or write or copy it again"
    if "CSV parse error" in str(error):
        return "give every row as many cells as the header, and write nothing above the header; or write or copy it again"
    return "write or copy it again"


def refuse_archive(path: Path) -> None:
    """Raise DataError if a file is a zip archive; the hint has the command that extracts it, and the path to give then."""
    if not path.name.lower().endswith(".zip") or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
    folder = path.with_name(path.name.partition(".")[0] or "extracted")
    extracted = folder / names[0] if len(names) == 1 else folder
    command = f"python -m zipfile -e {shell_quote(path)} {shell_quote(folder)}"
    raise DataError(
        "The file is a zip archive.",
        where=str(path),
        got=f"{len(names):,} files: {first_few(names, 3)}",
        hint=f"{command} extracts it; then {key_value('path', str(extracted))}",
    )


def check_start(path: Path) -> None:
    """Raise DataError if a file is empty, or a pointer of Git LFS instead of the file."""
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if not start:
        raise DataError("The file is empty.", where=str(path), got="0 bytes", hint="write or copy it again")
    if start == LFS_POINTER:
        hint = "fetch the content with git lfs pull"
        raise DataError("The file is a Git LFS pointer, not the table itself.", where=str(path), got="a pointer", hint=hint)


def _read(path: Path, suffix: str, texts: Callable[[Sequence[str]], Sequence[str]], sheet: str | None) -> pa.Table:
    if suffix == ".parquet":
        # Not read_table, which imports pandas: errors should be reported before that.
        _check_repeated(str(path), pq.read_schema(path, memory_map=True).names)
        return read_parquet(str(path), path.stat().st_size, memory_map=True)
    if suffix in (".feather", ".arrow"):
        with pa.memory_map(str(path)) as source:
            check_feather(source.read_buffer())
            source.seek(0)
            table = pa.ipc.open_file(source).read_all()
        _check_texts(table, path.stat().st_size)
        return table
    if suffix in DELIMITED:
        return read_delimited(path, texts, lambda header: _check_repeated(str(path), header))
    if suffix == JSON:
        return read_json(path)
    return read_excel(path, sheet) if suffix == ".xlsx" else read_json_lines(path)


def _check_texts(table: pa.Table, n_bytes: int) -> None:
    """Check the size of texts that are stored once and repeated by number."""
    if sum(text_bytes(chunk) for column in table.columns for chunk in column.chunks) > memory_limit(n_bytes):
        raise OversizedTable(f"more than {memory_limit(n_bytes):,} bytes of texts, from a file of {n_bytes:,} bytes")


def named_columns(table: pa.Table, where: str, *, unnamed: bool) -> pa.Table:
    """The columns with a unique name, without the index of pandas and without columns that have neither a name nor a value.

    Raises
    ------
    DataError
        Names are repeated, or a column has none; with `unnamed`, more than one.
    """
    names = table.column_names
    _check_repeated(where, names)
    indices = [name for name in names if _PANDAS_INDEX.fullmatch(name)]
    if unnamed and len(indices) == 1 and "item_id" not in names and "" not in names:
        names = ["" if name in indices else name for name in names]
        table = table.rename_columns(names)
    kept = [k for k, name in enumerate(names) if not _PANDAS_INDEX.fullmatch(name) and (name or not _is_empty(table.column(k)))]
    nameless = [k for k in kept if not names[k]]
    if len(nameless) > unnamed:
        raise DataError(
            "A column has no name.",
            where=f"{where}: column {nameless[-1] + 1}",
            hint="name the column, or remove it",
        )
    return table if len(kept) == len(names) else table.select(kept)


def _is_empty(column: pa.ChunkedArray) -> bool:
    return column.null_count == len(column) or set(column.unique().to_pylist()) <= {None, ""}


def _check_repeated(where: str, names: Iterable[str]) -> None:
    repeated = [name for name, count in Counter(name.strip() for name in names).items() if count > 1 and name]
    if repeated:
        raise DataError(
            "Column names must be unique.",
            where=where,
            got=f"{len(repeated)} used more than once: {first_few(repeated)}",
            hint="rename or remove the repeated columns",
        )
