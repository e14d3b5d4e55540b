"""Conversions through buffers give the same columns as pyarrow's own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.data.columns import column_of, has_absent, number_array, numbers_of, repeated_text, text_array

KINDS = [pa.bool_(), pa.uint8(), pa.int64(), pa.float32(), pa.float64()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("values", [[], [0, 1, 1], [None, 1, 0, 1], [None]], ids=str)
def test_numbers(kind: pa.DataType, values: Sequence[int | None]) -> None:
    array = pa.array(values, pa.uint8()).cast(kind)
    for column in (array, pa.chunked_array([array]), pa.chunked_array([array, array]), pa.chunked_array([array.slice(1), array])):
        got, expected = numbers_of(column), np.array([np.nan if v is None else v for v in column.to_pylist()], np.float64)
        assert np.array_equal(got.astype(np.float64), expected, equal_nan=True)
        assert column.null_count or got.dtype == kind.to_pandas_dtype()


def test_a_column_without_chunks_is_empty() -> None:
    assert numbers_of(pa.chunked_array([], pa.float64())).shape == (0,)


def test_values_are_read_only_views() -> None:
    values = np.arange(5, dtype=np.float32)
    got = numbers_of(number_array(values))
    assert np.shares_memory(values, got)
    assert not got.flags.writeable


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_texts(values: list[str]) -> None:
    array = text_array(values)
    array.validate(full=True)
    assert array.equals(pa.array(values, pa.string()))


@pytest.mark.parametrize("text", ["", "abc", "ä€"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_repeated_text(text: str, count: int) -> None:
    array = repeated_text(text, count)
    array.validate(full=True)
    assert array.to_pylist() == [text] * count


@given(st.lists(st.sampled_from(["a", "", "ä", None]), max_size=6), st.integers(0, 6))
def test_absent_values(values: list[str | None], start: int) -> None:
    array = pa.array(values, pa.string())
    for column in (pa.chunked_array([array]), pa.chunked_array([array.slice(start), array.slice(0, start)])):
        assert has_absent(column) == (None in values or "" in values)
    numbers = pa.chunked_array([pa.array([None if value is None else 0 for value in values], pa.int64())])
    assert has_absent(numbers) == (None in values)


COLUMNS = [
    (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.floats(allow_nan=False)),
    (pa.bool_(), st.booleans()),
    (pa.list_(pa.int32()), st.lists(st.integers(0, 9))),
]


@pytest.mark.parametrize(("kind", "values"), COLUMNS, ids=str)
@given(data=st.data())
def test_columns_with_missing_values(kind: pa.DataType, values: st.SearchStrategy, data: st.DataObject) -> None:
    given_values = data.draw(st.lists(st.none() | values, max_size=20))
    array = column_of(given_values, kind)
    array.validate(full=True)
    assert array.equals(pa.array(given_values, kind))
