"""The law of items needed, by hand and by its inverse, and its use on a curve of MDADs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics.items_needed import curve_reaches, items_needed, items_needed_by_curve
from tests.helpers.errors import refuses


def test_the_law_by_hand() -> None:
    # 1/n' = 1/1000 + (1/100 − 1/1000) / 4 = 0.00325.
    assert items_needed(0.02, 0.04, 100, 1000) == math.ceil(1 / 0.00325) == 308
    assert items_needed(0.04, 0.04, 100, 1000) == 100
    assert items_needed(0.08, 0.04, 100, 1000) == math.ceil(1 / 0.037)
    assert items_needed(1e-9, 0.04, 100, 1000) == 1000
    assert items_needed(0.02, 0.04, 1000, 1000) == 1000
    for nothing in (None, math.nan, 0.0):
        assert items_needed(0.02, nothing, 100, 1000) is None


@given(st.integers(1, 2000), st.integers(0, 2000), st.floats(0.001, 1), st.floats(0.001, 1))
def test_the_law_can_be_inverted_and_falls_with_the_target(size: int, more: int, target: float, mdad: float) -> None:
    n_items = size + more
    needed = items_needed(target, mdad, size, n_items)
    assert needed is not None
    assert 1 <= needed <= n_items
    assert (needed <= size) if target >= mdad else (needed >= size)

    def detected(n: int) -> float:
        return mdad * math.sqrt((1 / n - 1 / n_items) / (1 / size - 1 / n_items))

    if more and 1 < needed < n_items:
        assert detected(needed) <= target * (1 + 1e-9)
        assert detected(needed - 1) >= target * (1 - 1e-9)


def test_a_curve_by_hand() -> None:
    curve = [(100, 0.03), (10, None), (50, 0.05), (25, 0.1)]
    assert items_needed_by_curve(0.05, curve, 500) == 50
    assert items_needed_by_curve(0.1, curve, 500) == 25  # not interpolated below: 10 items detect nothing
    # Between 50 and 100, at (25 − 16) / (25 − 9) = 9/16 of the way: 1/n = 0.02 − 0.01 × 9/16.
    assert items_needed_by_curve(0.04, curve, 500) == math.ceil(1 / (0.02 - 0.01 * 9 / 16)) == 70
    assert items_needed_by_curve(0.02, curve, 500) == items_needed(0.02, 0.03, 100, 500) == 180
    assert items_needed_by_curve(0.2, [(10, 0.1)], 500) == 10
    assert items_needed_by_curve(0.02, [(10, 0.1), (20, None)], 500) is None
    assert items_needed_by_curve(0.005, [(50, 0.01), (100, 0.0)], 500) == 80  # at 3/4 of the way


@pytest.mark.parametrize("target", [0, -0.1, 1.5, math.nan])
def test_a_target_outside_0_to_1_is_refused(target: float) -> None:
    for compute in (lambda: items_needed(target, 0.1, 1, 2), lambda: items_needed_by_curve(target, [(1, 0.1)], 2)):
        with refuses(ConfigError, "fraction", where="target_difference", got=repr(target), hint="0.01"):
            compute()


@pytest.mark.parametrize("size", [0, 3])
def test_a_size_outside_the_benchmark_is_refused(size: int) -> None:
    for compute in (lambda: items_needed(0.1, 0.1, size, 2), lambda: items_needed_by_curve(0.1, [(1, 0.1), (size, 0.1)], 2)):
        with refuses(ConfigError, "number of items", where="size", got=f"{size} of 2"):
            compute()


def test_an_empty_curve_is_refused() -> None:
    with refuses(ConfigError, "at least one size", where="items_needed_by_curve"):
        items_needed_by_curve(0.1, [], 2)


def test_a_curve_reaches_the_differences_that_one_of_its_sizes_detects() -> None:
    """Swept at 10 and 50 items: 2 points are extrapolated to more, 3 points and 10 are not."""
    curve = [(10, None), (50, 0.03)]
    assert [curve_reaches(target, curve) for target in (0.02, 0.03, 0.1)] == [False, True, True]
    needed = items_needed_by_curve(0.02, curve, 1000)
    assert needed is not None
    assert needed > 50
