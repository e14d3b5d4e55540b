"""Ids of several columns, whether the rows are sorted or not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.data.tables import ids
from microbench_ray.data.tables.ids import Ids, joined


def coded(names: list[str]) -> Ids:
    distinct = list(dict.fromkeys(names))
    return Ids(names=distinct, codes=np.array([distinct.index(name) for name in names], np.int64))


@pytest.mark.parametrize("sparse", [0, 10**6])
@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=1, max_size=9))
def test_joined_ids_are_numbered_by_their_first_rows(sparse: int, rows: list[tuple[str, ...]]) -> None:
    expected = coded(["/".join(row) for row in rows])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "MAX_SPARSE", sparse)
        found = joined([coded(list(column)) for column in zip(*rows, strict=True)])
    assert found.names == expected.names
    assert found.codes.tolist() == expected.codes.tolist()
