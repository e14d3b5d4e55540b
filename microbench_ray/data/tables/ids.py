"""The ids in columns of models, items and subtasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.data.columns import numbers_of
from microbench_ray.data.table_files import row_name
from microbench_ray.data.tables.frame import Frame

MAX_SPARSE = 2
"""How many times the number of rows a table of all numbers may have, which is quicker than sorting the rows."""


class Ids(NamedTuple):
    """Ids, and which of them each row has."""

    names: list[str]
    """The distinct ids, in the order of their first rows."""
    codes: NDArray[np.int64]
    """(n_rows,) positions in `names`."""

    def texts(self) -> list[str]:
        """The id of every row."""
        return [self.names[code] for code in self.codes.tolist()]


def ids_in(frame: Frame, columns: Sequence[str], role: str) -> Ids:
    """The ids in a column, or of several columns joined by `/`.

    Raises
    ------
    DataError
        An id is missing, or a column holds dates, lists or, unless these are weights, fractions.
    """
    parts = [_of_column(frame, name, role) for name in columns]
    return parts[0] if len(parts) == 1 else joined(parts)


def joined(parts: Sequence[Ids]) -> Ids:
    """Ids made of several, joined by `/`."""
    first = parts[0]
    for second in parts[1:]:
        pairs = first.codes * len(second.names) + second.codes
        where, codes = _by_first_row(pairs, len(first.names) * len(second.names))
        names = [f"{first.names[first.codes[row]]}/{second.names[second.codes[row]]}" for row in where]
        first = Ids(names=names, codes=codes)
    return first


def _by_first_row(numbers: NDArray[np.int64], end: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The first row of each distinct number below `end`, in order, and (n_rows,) which of these each row has."""
    count = len(numbers)
    if end > MAX_SPARSE * count:
        _, first, codes = np.unique(numbers, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        return first[order], rank[codes]
    first_of = np.full(end, count)
    first_of[numbers[::-1]] = np.arange(count - 1, -1, -1)
    first = np.sort(first_of[first_of < count])
    rank = np.empty(end, np.int64)
    rank[numbers[first]] = np.arange(len(first))
    return first, rank[numbers]


def _of_column(frame: Frame, name: str, role: str) -> Ids:
    column = frame.table.column(name)
    kind = column.type
    whole = pa.types.is_floating(kind) and role != "weight"
    if frame.kind(name) == "other" or (whole and not _is_whole(column)):
        where = f"{frame.where}: column {name!r}"
        hint = f"write the column as text, or name another one with columns={{{role}: NAME}}"
        raise DataError(f"The column with the {role}s must contain texts or integers.", where=where, got=str(kind), hint=hint)
    column = as_integers(column) if whole else column
    encoded = column.dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    values = encoded.dictionary.to_pylist()
    indices = encoded.indices
    codes = numbers_of(indices.fill_null(-1) if indices.null_count else indices).astype(np.int64)
    empty = codes < 0
    if "" in values:
        empty |= codes == values.index("")
    if empty.any():
        raise DataError(
            f"Every row needs {'an' if role == 'item' else 'a'} {role}.",
            where=f"{frame.where}: column {name!r}, {row_name(frame.where, int(np.argmax(empty)))}",
            got="an empty cell",
            hint=f"fill in the {role}, or remove the row",
        )
    return Ids(names=[str(value) for value in values], codes=codes)


def as_integers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as integers where all its numbers are such; else unchanged."""
    return column.cast(pa.int64()) if pa.types.is_floating(column.type) and _is_whole(column) else column


def _is_whole(column: pa.ChunkedArray) -> bool:
    """Whether all numbers are integers, as pandas writes integers beside missing values."""
    values: NDArray[Any] = numbers_of(pc.drop_null(column))
    return bool(np.isfinite(values).all() and (values == np.rint(values)).all() and (np.abs(values) < 2**53).all())
