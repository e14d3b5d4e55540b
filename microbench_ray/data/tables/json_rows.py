"""JSON and JSON Lines as tables: an object per row, or an object of columns or models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import DataError
from microbench_ray.core.parquet import OversizedTable
from microbench_ray.data.tables.bounded import open_text
from microbench_ray.data.tables.vocabulary import ID_NAMES, plain_name

A_ROW = 'a row is {"item_id": "q1", "model-a": 1}'
"""The hint for rows of another kind."""
BLOCK_BYTES = 16 << 20
"""Bytes that Arrow reads at a time; a line may not have more."""
COUNT_BYTES = 1 << 20
"""Bytes in which lines are counted at a time."""
_NEWLINE, _BRACE = b"\n{"
_SCALARS = (bool, int, float)


def read_json_lines(path: Path) -> pa.Table:
    """Read a file with one object in every line, or one list of objects.

    Raises
    ------
    DataError
        A line is not a JSON object.
    """
    with open_text(path) as source:
        start = source.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    with open_text(path) as source:
        if start.startswith(b"["):
            return table_of_rows(_parsed(source.read(), path, 1, list), str(path))
    if (table := _plain_lines(path)) is not None:
        return table
    with open_text(path) as source:
        lines = (_parsed(line, path, number, dict) for number, line in enumerate(source, 1) if not line.isspace())
        return table_of_rows(lines, str(path))


def read_json(path: Path) -> pa.Table:
    """Read a file that is one list of objects, one object as `table_of_mapping` reads it, or JSON Lines.

    Raises
    ------
    DataError
        It is none of these.
    """
    with open_text(path) as source:
        text = source.read()
    try:
        value = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return read_json_lines(path)
    return table_of_mapping(value, str(path)) if isinstance(value, dict) else read_json_lines(path)


def _plain_lines(path: Path) -> pa.Table | None:
    """The table as Arrow reads it, quickly; None where a value needs more care: NaN, mixed types, lists, or texts like dates."""
    from pyarrow import json as arrow_json

    try:
        with open_text(path) as source:
            n_objects = count_objects(source, BLOCK_BYTES)
        if n_objects is None:
            return None
        with open_text(path) as source:
            table = arrow_json.read_json(source, read_options=arrow_json.ReadOptions(block_size=BLOCK_BYTES))
        table.validate(full=True)
    except OversizedTable:
        raise
    except pa.ArrowException:
        return None
    plain = (pa.types.is_string, pa.types.is_boolean, pa.types.is_int64, pa.types.is_float64, pa.types.is_null)
    if table.num_rows != n_objects:
        return None
    return table if all(any(test(field.type) for test in plain) for field in table.schema) else None


def count_objects(source: BinaryIO, max_bytes: int) -> int | None:
    """The number of lines that begin an object; None if a line does not, or has more than `max_bytes`.

    Arrow's reader crashes where a block begins with `null`. It counts any other `null`, and a second object in a line, as a
    separate row, and then returns more rows than this number.
    """
    count = 0
    while block := source.read(COUNT_BYTES):
        block += source.readline(max_bytes)
        characters = np.frombuffer(block, np.uint8)
        ends = np.append(np.flatnonzero(characters[:-1] == _NEWLINE), len(block) - 1)
        if np.diff(ends, prepend=-1).max() > max_bytes:
            return None
        starts = np.append(0, ends[:-1] + 1)
        for start, end in zip(*(each[characters[starts] != _BRACE].tolist() for each in (starts, ends)), strict=True):
            line = block[start : end + 1]
            text = line.removeprefix(b"\xef\xbb\xbf").lstrip() if not count and not start else line.lstrip()
            if text and not text.startswith(b"{"):
                return None
            count -= not text
        count += len(ends)
    return count


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


def table_of_rows(rows: Iterable[Mapping[str, Any]], where: str) -> pa.Table:
    """Make a table of objects, whose columns are all their keys; a key that an object lacks is a missing value.

    Raises
    ------
    DataError
        An element is no object.
    """
    columns: dict[str, list[Any]] = {}
    number = -1
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError("Every row must be an object.", where=f"{where}: row {number + 1}", got=type(row).__name__, hint=A_ROW)
        for key, value in row.items():
            column = columns.setdefault(str(key), [])
            column.extend([None] * (number - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([None] * (number + 1 - len(column)))
    return pa.table({name: column_of_values(column) for name, column in columns.items()})


def table_of_mapping(given: Mapping[Any, Any], what: str) -> pa.Table:
    """Make a table of a mapping of columns, or of models to a mapping of items to scores.

    As pandas writes them, columns and rows are mappings too, in which a column is named as those of models or items are.

    Raises
    ------
    DataError
        The columns are not of one length.
    """
    nested = [isinstance(value, Mapping) for value in given.values()]
    if nested and all(nested):
        if _holds_ids(given) and all(str(row).isdecimal() for values in given.values() for row in values):
            given = {name: list(values.values()) for name, values in given.items()}
        elif all(str(row).isdecimal() for row in given) and all(map(_holds_ids, given.values())):
            return table_of_rows(given.values(), what)
        else:
            items = list(dict.fromkeys(item for responses in given.values() for item in responses))
            columns = {"item_id": column_of_values([str(item) for item in items])}
            return pa.table(columns | {str(name): column_of_values([of.get(item) for item in items]) for name, of in given.items()})
    lengths = {
        str(name): len(values) for name, values in given.items() if hasattr(values, "__len__") and not isinstance(values, str)
    }
    if not given or len(lengths) < len(given) or len(set(lengths.values())) > 1:
        raise DataError(
            "A dict must hold columns of one length, or a dict of items to scores for each model.",
            where=what,
            got=f"lengths {lengths}"[:200] if lengths else "no columns",
            hint='{"item_id": [...], "model": [...]}, or {"model": {"item": 1.0}}',
        )
    return pa.table({str(name): _column(values) for name, values in given.items()})


def _holds_ids(columns: Mapping[Any, Any]) -> bool:
    return any(plain_name(str(name)) in ID_NAMES for name in columns)


def _column(values: Any) -> pa.Array:
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else column_of_values(plain)


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
