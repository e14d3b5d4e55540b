"""JSON Lines as tables: an object per row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.data.tables.bounded import open_text

_SCALARS = (bool, int, float)


def read_json_lines(path: Path) -> pa.Table:
    """Read a file with one object in every line, or one list of objects.

    Raises
    ------
    DataError
        A line is not a JSON object.
    """
    rows = []
    with open_text(path) as source:
        first = source.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    with open_text(path) as source:
        if first.startswith(b"["):
            rows = _parsed(source.read(), path, 1, list)
        else:
            rows = [_parsed(line, path, number, dict) for number, line in enumerate(source, 1) if not line.isspace()]
    return table_of_rows(rows, str(path))


def _parsed(text: bytes, path: Path, line: int, kind: type) -> Any:
    where = f"{path}: line {line}"
    try:
        value = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        got = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise DataError("The line is truncated or not valid JSON.", where=where, got=got, hint="write or copy it again") from None
    if not isinstance(value, kind):
        raise DataError("A line must be a JSON object.", where=where, got=type(value).__name__, hint="give one object per row")
    return value


def table_of_rows(rows: Sequence[Mapping[str, Any]], where: str) -> pa.Table:
    """Make a table of objects, whose columns are all their keys; a key that an object lacks is a missing value.

    Raises
    ------
    DataError
        An element is no object.
    """
    columns: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError("Every row must be an object.", where=f"{where}: row {number + 1}", got=type(row).__name__)
        for key, value in row.items():
            column = columns.setdefault(str(key), [])
            column.extend([None] * (number - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([None] * (len(rows) - len(column)))
    return pa.table({name: column_of_values(column) for name, column in columns.items()})


def column_of_values(values: Sequence[Any]) -> pa.Array:
    """A column of booleans, numbers or texts; values of several types become texts."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if len(kinds) <= 1 and kinds <= {*_SCALARS, str}:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, OverflowError):  # an integer of more than 64 bits; a text that is not valid Unicode
            pass
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=str) if isinstance(value, dict | list | tuple | bool) else str(value)
