"""`Frame`: a table with what its columns hold, found when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from string import ascii_letters
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.columns import has_absent, numbers_of

NULLS = frozenset({"", "nan", "-nan", "na", "n/a", "#n/a", "#na", "#n/a n/a", "null", "none"})
"""Texts of a missing value, without case."""
TRUTHS = {"true": 1.0, "false": 0.0}
FEW = 3
"""Number of distinct texts up to which a column may hold answers in words (yes, no)."""

_NO_NUMBER = frozenset(ascii_letters) - frozenset("fFiInNtT")
"""Letters that no number begins with: those of inf, nan, true and false are others."""

SMALL = 20_000
"""Rows up to which Python is quicker than importing Arrow's functions."""

ColumnKind = Literal["empty", "numbers", "number texts", "mixed", "words", "texts", "other"]
"""What a column holds: no value; numbers or booleans; texts that are all numbers; some numbers among texts; few distinct texts;
many distinct texts; dates, lists or objects."""


class Frame:
    """A table, and properties of its columns.

    Parameters
    ----------
    table
        With unique names of columns.
    where
        The file or argument, for messages.
    """

    def __init__(self, table: pa.Table, where: Path) -> None:
        self.table, self.where = _without_empty_rows(_plain_texts(table)), where
        self.names: list[str] = table.column_names
        self._kinds: dict[str, ColumnKind] = {}
        self._distinct: dict[str, int] = {}

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)

    def kind(self, name: str) -> ColumnKind:
        """What the column holds."""
        if name not in self._kinds:
            self._kinds[name] = _kind(self.table.column(name))
        return self._kinds[name]

    def n_distinct(self, name: str) -> int:
        """Number of distinct values that are not missing."""
        if name not in self._distinct:
            column = self.table.column(name)
            self._distinct[name] = 0 if pa.types.is_nested(column.type) else len(_distinct(column) - {None})
        return self._distinct[name]

    def is_unique(self, name: str) -> bool:
        """Whether no value is missing or repeated."""
        return self.n_distinct(name) == self.n_rows

    def texts(self, name: str, count: int | None = None) -> list[str | None]:
        """The values, or the first `count` of them, as texts; None for missing ones, and for empty texts."""
        values = self.table.column(name).slice(0, count).to_pylist()
        return [None if value is None or value == "" else _text(value) for value in values]

    def words(self, name: str) -> list[str]:
        """The distinct texts of a column without missing values and without case, sorted."""
        texts = {text.strip().casefold() for text in _distinct(self.table.column(name)) if text is not None}
        return sorted(texts - NULLS)

    def has_word(self, name: str, words: Sequence[str]) -> bool:
        """Whether one of the words is in a column of texts."""
        return bool(words) and not {word.casefold() for word in words}.isdisjoint(self.words(name))

    def bounds(self, name: str) -> tuple[float, float]:
        """The smallest and largest number; NaN where there is none."""
        values = parse_numbers(self.table.column(name)).values
        valid = values[~np.isnan(values)]
        return (float(valid.min()), float(valid.max())) if valid.size else (np.nan, np.nan)

    @cached_property
    def row_numbers(self) -> tuple[list[str], list[str]]:
        """The texts 0, 1, … and 1, 2, …, which programs write as the names of rows."""
        return [str(k) for k in range(self.n_rows)], [str(k + 1) for k in range(self.n_rows)]

    def has_row_numbers(self, name: str) -> bool:
        """Whether the column holds the numbers of the rows."""
        return self.texts(name, 1) in (["0"], ["1"]) and self.texts(name) in self.row_numbers


class Parsed:
    """Numbers of a column.

    Attributes
    ----------
    values
        (n,) float64, NaN for missing values.
    bad
        The first row whose value is neither a number nor missing; None if there is no such row.
    """

    def __init__(self, values: NDArray[np.float64], bad: int | None) -> None:
        self.values, self.bad = values, bad


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of texts, also as a dictionary."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value))


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is one of numbers or booleans."""
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def parse_numbers(column: pa.ChunkedArray, percent: bool = False) -> Parsed:
    """The numbers of a column of numbers, booleans or texts; with `percent`, texts may end in `%`."""
    kind = column.type
    if is_number(kind):
        if pa.types.is_decimal(kind) or pa.types.is_null(kind) or (pa.types.is_boolean(kind) and column.null_count):
            column = column.cast(pa.float64() if not pa.types.is_boolean(kind) else pa.uint8())
        return Parsed(np.asarray(numbers_of(column), np.float64), None)
    distinct = column.dictionary_encode() if not pa.types.is_dictionary(kind) else column
    values, bad = np.full(len(column), np.nan), None
    start = 0
    for chunk in distinct.chunks:
        known = [_number(text, percent) for text in chunk.dictionary.to_pylist()]
        codes = np.asarray(numbers_of(chunk.indices.cast(pa.int64()).fill_null(-1)), np.intp)
        table = np.array([np.nan if number is None else number for number in known] + [np.nan])
        wrong = np.array([number is None for number in known] + [False])
        values[start : start + len(codes)] = table[codes]
        if bad is None and wrong[codes].any():
            bad = start + int(np.argmax(wrong[codes]))
        start += len(codes)
    return Parsed(values, bad)


def _number(text: Any, percent: bool) -> float | None:
    """The number that a text is, NaN for a missing value; None for any other text."""
    if text is None or (plain := str(text).strip().casefold()) in NULLS:
        return np.nan
    if plain in TRUTHS:
        return TRUTHS[plain]
    if percent:
        plain = plain.removesuffix("%").rstrip()
    try:
        return float(plain) if "_" not in plain else None  # 1_0 is a number only in Python
    except ValueError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _without_empty_rows(table: pa.Table) -> pa.Table:
    """The rows with a value: programs write rows of separators below a table."""
    if not table.num_columns or not has_absent(table.column(0)):
        return table
    empty: NDArray[np.bool_] | None = None
    for column in table.columns:
        absent = column.is_null()
        if is_text(column.type):
            absent = pc.or_(absent, pc.equal(column, "").fill_null(True))
        found = np.asarray(numbers_of(absent), np.bool_)
        empty = found if empty is None else empty & found
        if not empty.any():
            return table
    return table if empty is None else table.filter(pa.array(~empty))


def _plain_texts(table: pa.Table) -> pa.Table:
    """The table with all columns of texts in one type."""
    for position, column in enumerate(table.schema):
        if is_text(column.type) and not pa.types.is_string(column.type):
            table = table.set_column(position, column.name, table.column(position).cast(pa.string()))
    return table


def _distinct(column: pa.ChunkedArray) -> set[Any]:
    """The distinct values of a column of texts or numbers."""
    return set((column if len(column) <= SMALL else pc.unique(column)).to_pylist())


def _kind(column: pa.ChunkedArray) -> ColumnKind:
    if column.null_count == len(column):
        return "empty"
    if is_number(column.type):
        return "numbers"
    if not is_text(column.type):
        return "other"
    distinct = [text for text in _distinct(column) if text is not None and text.strip().casefold() not in NULLS]
    if not distinct:
        return "empty"
    numbers = sum(text[0] not in _NO_NUMBER and _number(text, True) is not None for text in distinct)
    if numbers == len(distinct):
        return "number texts"
    if numbers:
        return "mixed"
    words: set[str] = set()
    for text in distinct:
        words.add(text.strip().casefold())
        if len(words) > FEW:
            return "texts"
    return "words"
