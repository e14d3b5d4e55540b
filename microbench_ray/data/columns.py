"""Conversions between Arrow columns and numpy arrays through their buffers.

pyarrow's `to_numpy` and `array` import pandas, which takes longer than reading a leaderboard and planning with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core.lazy_arrow import pc


def numbers_of(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Return the (n,) values of a column of integers, floats or booleans, read-only; a single chunk is not copied.

    Missing values become NaN; integers and booleans are then converted to float64.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # without chunks, before pyarrow 22
        array = pa.nulls(0, array.type)
    if pa.types.is_boolean(array.type):
        whole = numbers_of(array.cast(pa.uint8()))
        return whole if array.null_count else whole.view(np.bool_)
    if array.null_count:
        floats = array if pa.types.is_floating(array.type) else array.cast(pa.float64(), safe=False)
        array = pc.fill_null(floats, pc.cast(_NAN, floats.type))
    values: NDArray[Any] = np.from_dlpack(array)
    return values


def number_array(values: NDArray[Any]) -> pa.Array:
    """Make a column of non-missing numbers; a contiguous array is not copied."""
    flat = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(flat.dtype), flat.size, [None, pa.py_buffer(flat.reshape(-1))])


def nullable_numbers(values: NDArray[np.float64]) -> pa.Array:
    """Make a column of numbers, NaN as missing values."""
    flat = np.ascontiguousarray(values)
    absent = np.isnan(flat)
    bitmap = _bits(~absent) if absent.any() else None
    return pa.Array.from_buffers(pa.float64(), flat.size, [bitmap, pa.py_buffer(flat)])


def text_array(values: Sequence[str]) -> pa.Array:
    """Make a column of non-missing texts.

    Raises
    ------
    UnicodeEncodeError
        A text cannot be encoded as UTF-8.
    """
    text = "".join(values)
    content = text.encode()
    lengths = map(len, values if len(content) == len(text) else [value.encode() for value in values])
    bounds = np.zeros(len(values) + 1, np.int32)
    np.cumsum(np.fromiter(lengths, np.int64, len(values)), out=bounds[1:])
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(bounds), pa.py_buffer(content)])


def repeated_text(text: str, count: int) -> pa.Array:
    """Make a column of `count` times the same text; UnicodeEncodeError as for `text_array`."""
    content = text.encode()
    bounds = np.arange(count + 1, dtype=np.int32) * np.int32(len(content))
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(bounds), pa.py_buffer(content * count)])


def has_absent(column: pa.ChunkedArray) -> bool:
    """Whether a value of a column is missing, or an empty text; the type of texts is `string`."""
    if column.null_count:
        return True
    if not pa.types.is_string(column.type):
        return False
    return any(_has_empty(chunk) for chunk in column.chunks if len(chunk))


def _has_empty(chunk: pa.StringArray) -> bool:
    bounds = np.frombuffer(chunk.buffers()[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    return bool((bounds[1:] == bounds[:-1]).any())


def column_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Make a column of texts or numbers from Python values; None is a missing value.

    Parameters
    ----------
    values
        The values.
    kind
        A type of texts, booleans, integers or floats; `pa.array`, which imports pandas, makes columns of other types.
    """
    present = np.array([value is not None for value in values], np.bool_)
    if pa.types.is_string(kind):
        column = text_array(["" if value is None else value for value in values])
    elif pa.types.is_boolean(kind):
        column = pa.Array.from_buffers(kind, len(values), [None, _bits(np.array([bool(value) for value in values], np.bool_))])
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return pa.array(values, kind)
    else:
        column = number_array(np.array([0 if value is None else value for value in values], kind.to_pandas_dtype()))
    if present.all():
        return column
    _, *content = column.buffers()
    return pa.Array.from_buffers(kind, len(column), [_bits(present), *content])


def _bits(values: NDArray[np.bool_]) -> pa.Buffer:
    """Booleans as Arrow packs them."""
    return pa.py_buffer(np.packbits(values, bitorder="little"))


_NAN = number_array(np.array([np.nan]))[0]
"""An Arrow scalar made without pandas, which `pa.scalar` would import."""


def texts_of(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """The texts of a column, read-only."""
    texts: NDArray[np.object_] = np.array(column.to_pylist(), dtype=object)
    texts.flags.writeable = False
    return texts
