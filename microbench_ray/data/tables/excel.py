"""Sheets of Excel workbooks (`.xlsx`) as tables; the only module that imports openpyxl."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from microbench_ray.core.errors import DataError, closest
from microbench_ray.core.parquet import OversizedTable, memory_limit
from microbench_ray.core.shown import key_value
from microbench_ray.data.names import first_few
from microbench_ray.data.tables.json_rows import column_of_values

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

CELL_BYTES = 4
"""How many times the bytes of its XML a sheet takes in memory."""
MAX_CELLS = 20_000_000
"""Cells of a sheet, empty ones included."""
MAX_SHEETS = 20
"""Sheets that a message names."""
DATES = (datetime, date, time, timedelta)


def read_excel(path: Path, sheet: str | None = None) -> pa.Table:
    """Read a sheet, whose first row that is not empty is the header. Formulas are read as their stored values.

    Parameters
    ----------
    path
        The workbook.
    sheet
        The name of the sheet; None for the only one with cells.

    Raises
    ------
    DataError
        openpyxl is missing, the sheet is missing or empty, several sheets have cells and none is named, or a column mixes dates and
        other values.
    OversizedTable
        The workbook takes far more memory than its file has bytes.
    """
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(
            "Reading Excel workbooks needs the package openpyxl.",
            where=str(path),
            got="it is not installed",
            hint="uv sync --extra excel, or pip install 'microbench-ray[excel]'; or save the sheet as CSV",
        ) from None
    try:
        _check_size(path)
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            sheets = {sheet.title: _rows(sheet, path) for sheet in book.worksheets if hasattr(sheet, "reset_dimensions")}
            found = {title: rows for title, rows in sheets.items() if rows}
        finally:
            book.close()
    except OversizedTable:
        raise
    except Exception as error:  # a damaged archive, or XML that is no workbook, fails in many ways
        got = (str(error).splitlines() or [type(error).__name__])[0]
        hint = "write or copy it again"
        raise DataError("The file is truncated or not an Excel workbook.", where=str(path), got=got, hint=hint) from None
    return _table(found[_chosen(sheets, list(found), sheet, path)], path)


def _chosen(all_sheets: Iterable[str], with_cells: Sequence[str], sheet: str | None, path: Path) -> str:
    """The name of the sheet that is read."""
    if not with_cells:
        raise DataError("The workbook has no cells.", where=str(path), hint="write or copy it again")
    if sheet is None and len(with_cells) == 1:
        return with_cells[0]
    if sheet in with_cells:
        return str(sheet)
    listed = f"sheets {first_few(with_cells, MAX_SHEETS)}"
    if sheet is None:
        first = key_value("sheet", with_cells[0])
        hint = f"{first}, or the name of another sheet; if all hold scores, save each sheet as a separate file"
        raise DataError("The workbook has several sheets, and none is named.", where=str(path), got=listed, hint=hint)
    what = f"The sheet {sheet!r} has no cells." if sheet in all_sheets else f"The workbook has no sheet {sheet!r}."
    raise DataError(what, where=str(path), got=listed, hint=closest(sheet, with_cells, MAX_SHEETS))


def _check_size(path: Path) -> None:
    n_bytes, limit = path.stat().st_size, memory_limit(path.stat().st_size) // CELL_BYTES
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > limit:
        raise OversizedTable(f"{size:,} bytes of XML, from a file of {n_bytes:,} bytes")


def _rows(sheet: Worksheet, path: Path) -> list[tuple[int, tuple[Any, ...]]]:
    """The rows with a value, with their numbers."""
    sheet.reset_dimensions()  # type: ignore[attr-defined]  # what a file says of its size is not relied on
    rows, n_cells = [], 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        n_cells += len(row)
        if n_cells > MAX_CELLS:
            raise OversizedTable(f"more than {MAX_CELLS:,} cells, from a file of {path.stat().st_size:,} bytes")
        if any(value is not None for value in row):
            rows.append((number, row))
    return rows


def _table(rows: list[tuple[int, tuple[Any, ...]]], path: Path) -> pa.Table:
    (_, header), *body = rows
    width = max(len(row) for _, row in rows)
    names = [*_names(header, path), *[""] * (width - len(header))]
    columns = []
    for position, name in enumerate(names):
        values = [row[position] if position < len(row) else None for _, row in body]
        _check_dates(name, values, [number for number, _ in body], path)
        columns.append(pa.array(values) if _first_date(values) is not None else column_of_values(values))
    return pa.Table.from_arrays(columns, names=names)


def _names(header: tuple[Any, ...], path: Path) -> list[str]:
    dates = [value for value in header if isinstance(value, DATES)]
    if dates:
        raise _dates(f"{path}: the header", str(dates[0]))
    whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in header]
    return ["" if value is None else str(value).strip() for value in whole]


def _first_date(values: list[Any]) -> int | None:
    return next((row for row, value in enumerate(values) if isinstance(value, DATES)), None)


def _check_dates(name: str, values: list[Any], numbers: list[int], path: Path) -> None:
    """Refuse dates among other values: Excel makes dates of texts such as `1-2` or `MARCH1`."""
    row = _first_date(values)
    if row is not None and any(value is not None and not isinstance(value, DATES) for value in values):
        raise _dates(f"{path}: column {name!r}, row {numbers[row]}", str(values[row]))


def _dates(where: str, got: str) -> DataError:
    return DataError(
        "A date is among other values: Excel makes dates of texts such as 1-2 or MARCH1.",
        where=where,
        got=got,
        hint="format the cells as text and enter the original again, or write the table as CSV or Parquet",
    )
