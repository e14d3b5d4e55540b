"""Pair counts as columns of a table, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.metrics import PairCounts
from microbench_ray.sweeps.tables import BINNED, SCALAR, count_columns, counts_of, null_if_nan, rows_table

numbers = st.one_of(st.just(0), st.integers(0, 2**31 - 1))


@st.composite
def counts(draw: st.DrawFn) -> PairCounts:
    shape = draw(st.integers(0, 5)), draw(st.integers(1, 30))
    binned = {name: draw(hnp.arrays(np.int64, shape, elements=numbers, fill=st.just(0))) for name in BINNED}
    return PairCounts(**binned, **{name: draw(hnp.arrays(np.int64, shape[:1], elements=numbers)) for name in SCALAR})


@given(counts())
def test_counts_come_back_as_they_were(given_counts: Any) -> None:
    back = counts_of(pa.table(count_columns(given_counts)))
    assert back.padded(201).equals(given_counts.padded(201))


@given(counts(), st.data())
def test_taken_or_chunked_rows_keep_their_counts(given_counts: Any, data: st.DataObject) -> None:
    table = pa.table(count_columns(given_counts))
    rows = data.draw(st.lists(st.integers(0, max(0, len(table) - 1)), max_size=8)) if len(table) else []
    for taken in (table.take(pa.array(rows, pa.int64())), pa.concat_tables([table.slice(row, 1) for row in rows] or [table[:0]])):
        assert counts_of(taken).padded(201).equals(given_counts[np.array(rows, np.intp)].padded(201))


def test_lists_end_with_their_last_pair() -> None:
    one = PairCounts.zeros((3,), 201)
    one.n_pairs[0, [0, 4]] = 2, 1
    one.n_agree[0, 0] = 1
    one.n_pairs[2, 200] = 5
    columns = count_columns(one)
    assert columns["n_pairs"].to_pylist() == [[2, 0, 0, 0, 1], [], [0] * 200 + [5]]
    assert columns["n_agree"].to_pylist() == [[1], [], []]
    assert columns["n_tied"].to_pylist() == [[], [], []]
    assert columns["n_true_tied"].to_pylist() == [0, 0, 0]


def test_tables_have_their_schema_and_undefined_values_are_null() -> None:
    row: dict[str, Any] = dict.fromkeys(("benchmark", "method", "targets", "unseen", "split", "signal"), "x")
    row |= {"n_source": 3, "size": 2, "n_target": 4, "run": 0, "fraction": None}
    table = rows_table("cells", [row | {"mean_abs_error": 0.5, "kendall_tau": float("nan")}], [PairCounts.zeros()])
    assert table.schema.equals(SCHEMAS["cells"], check_metadata=True)
    assert table["kendall_tau"].to_pylist() == [None]
    assert table["mean_abs_error"].to_pylist() == [0.5]
    assert rows_table("cells", [], []).equals(SCHEMAS["cells"].empty_table())
    assert rows_table("failures", []).schema.equals(SCHEMAS["failures"])


def test_a_row_that_lacks_a_column_of_the_schema_is_an_error() -> None:
    with pytest.raises(KeyError, match="targets"):
        rows_table("failures", [{"shard": "x", "benchmark": "b", "methods": "m", "n_source": 1, "sizes": "1"}])


@pytest.mark.parametrize(
    ("value", "expected"), [(float("nan"), None), (np.float64("nan"), None), (0.0, 0.0), ("nan", "nan"), (None, None), (3, 3)]
)
def test_only_an_undefined_number_is_null(value: Any, expected: Any) -> None:
    assert null_if_nan(value) == expected
