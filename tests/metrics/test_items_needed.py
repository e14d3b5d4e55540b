from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics.items_needed import items_needed, items_needed_by_curve


def test_the_law_by_hand():
    # 1/n' = 1/1000 + (1/100 − 1/1000) / 4 = 0.00325.
    assert items_needed(0.02, 0.04, 100, 1000) == math.ceil(1 / 0.00325) == 308
    assert items_needed(0.04, 0.04, 100, 1000) == 100
    assert items_needed(0.08, 0.04, 100, 1000) == math.ceil(1 / 0.037)
    assert items_needed(1e-9, 0.04, 100, 1000) == 1000
    assert items_needed(0.02, 0.04, 1000, 1000) == 1000
    for nothing in (None, math.nan, 0.0):
        assert items_needed(0.02, nothing, 100, 1000) is None


@given(st.integers(1, 2000), st.integers(0, 2000), st.floats(0.001, 1), st.floats(0.001, 1))
def test_the_law_is_its_own_inverse_and_falls_with_what_is_wanted(size, more, wanted, mdad):
    n_items = size + more
    needed = items_needed(wanted, mdad, size, n_items)
    assert 1 <= needed <= n_items
    assert (needed <= size) if wanted >= mdad else (needed >= size)

    def detected(n):
        return mdad * math.sqrt((1 / n - 1 / n_items) / (1 / size - 1 / n_items))

    if more and 1 < needed < n_items:
        assert detected(needed) <= wanted * (1 + 1e-9)
        assert detected(needed - 1) >= wanted * (1 - 1e-9)


def test_a_curve_by_hand():
    curve = [(100, 0.03), (10, None), (50, 0.05), (25, 0.1)]
    assert items_needed_by_curve(0.05, curve, 500) == 50
    assert items_needed_by_curve(0.1, curve, 500) == 25  # nothing is known of less: 10 items detect nothing
    # Between 50 and 100, way = (25 − 16) / (25 − 9) = 9/16: 1/n = 0.02 − 0.01 × 9/16.
    assert items_needed_by_curve(0.04, curve, 500) == math.ceil(1 / (0.02 - 0.01 * 9 / 16)) == 70
    assert items_needed_by_curve(0.02, curve, 500) == items_needed(0.02, 0.03, 100, 500) == 180
    assert items_needed_by_curve(0.2, [(10, 0.1)], 500) == 10
    assert items_needed_by_curve(0.02, [(10, 0.1), (20, None)], 500) is None
    assert items_needed_by_curve(0.005, [(50, 0.01), (100, 0.0)], 500) == 80  # way = 3/4


def test_wrong_parameters_are_refused():
    for wrong in (
        lambda: items_needed(0, 0.1, 1, 2),
        lambda: items_needed(0.1, 0.1, 3, 2),
        lambda: items_needed_by_curve(0.1, [], 2),
    ):
        with pytest.raises(ConfigError, match=r"."):
            wrong()
