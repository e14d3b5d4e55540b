from __future__ import annotations

from fractions import Fraction
from math import lcm

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.data.score_grid import FINE_UNITS, blocks, find_units, missing_value, quantise


def units_of(*values: float, dtype: str = "f8") -> int:
    return find_units(blocks(np.array([values], dtype)))


def test_missing_value_is_the_largest_of_its_type() -> None:
    assert missing_value(np.uint8) == 255
    assert missing_value("uint32") == 2**32 - 1


@pytest.mark.parametrize(
    ("values", "units"),
    [
        ((0, 1), 1),
        ((0, 1, np.nan), 1),
        ((0, 0.5, 1), 2),
        ((1 / 3, 1), 3),
        ((1 / 3, 0.5), 6),
        ((0.25, 0.5), 4),
        ((0.01, 0.02), 100),
        ((1 / 254, 1), 254),
        ((1 / 255, 1), FINE_UNITS),  # leaves no value for missing responses
        ((1 / 127, 1 / 3), FINE_UNITS),  # 381
        ((0.4142, 1), FINE_UNITS),
        ((np.nan, np.nan), 1),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_units(values: tuple[float, ...], units: int, dtype: str) -> None:
    assert units_of(*values, dtype=dtype) == units


@given(st.lists(st.fractions(0, 1, max_denominator=16), min_size=1, max_size=3), st.booleans())
def test_units_are_the_smallest_and_scores_are_exact(scores: list[Fraction], single: bool) -> None:
    expected = lcm(*(score.denominator for score in scores))
    values = np.array([[float(score) for score in scores]], np.float32 if single else np.float64)
    units = find_units(blocks(values))
    if expected <= 254:
        assert units == expected
        assert quantise(values, units).tolist() == [[score * units for score in scores]]
    else:
        assert units == FINE_UNITS


def test_units_over_several_blocks() -> None:
    rows = np.zeros((40, 10_000))
    rows[5, 7], rows[39, 9_999] = 0.5, 1 / 3
    assert len(list(blocks(rows))) > 1
    assert find_units(blocks(rows)) == 6
    assert find_units(blocks(list(rows), np.arange(39))) == 2


@given(st.lists(st.floats(0, 1), min_size=1))
def test_continuous_scores_change_by_at_most_half_a_millionth(scores: list[float]) -> None:
    values = np.array([scores])
    rounded = quantise(values, FINE_UNITS)
    assert rounded.dtype == np.uint32
    assert np.abs(rounded / FINE_UNITS - values).max() <= 5.0001e-7


def test_quantise_marks_missing_responses_and_removes_rounding_errors() -> None:
    assert quantise(np.array([[np.nan, 1 + 5e-7, -5e-7, 0.5]]), 2).tolist() == [[255, 2, 0, 1]]
    assert quantise(np.array([[np.nan, 0.25]]), FINE_UNITS).tolist() == [[2**32 - 1, 250_000]]
    assert quantise(np.array([[True, False]]), 2).tolist() == [[2, 0]]


def test_an_array_and_its_rows_have_the_same_blocks() -> None:
    rows = np.arange(300_000.0).reshape(30, 10_000)
    chosen = np.arange(0, 30, 2)
    for source in (rows, list(rows)):
        for selection in (None, chosen):
            parts = list(blocks(source, selection))
            assert len(parts) > 1
            expected = rows if selection is None else rows[selection]
            assert np.array_equal(np.concatenate([block for _, block in parts]), expected)
            assert [positions.start for positions, _ in parts] == [0, *(positions.stop for positions, _ in parts[:-1])]
