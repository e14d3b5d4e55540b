"""Plain values by which results are identified."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.plain import plain
from tests.helpers.errors import refuses

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@dataclass(frozen=True)
class Inner:
    rate: float
    names: tuple[str, ...]


@given(value=values)
def test_plain_values_stay_as_they_are_and_can_be_written(value: Any) -> None:
    assert plain(value, "x") == value
    assert json.loads(json.dumps(plain(value, "x"), allow_nan=False)) == value


def test_other_values_have_the_content_of_plain_ones() -> None:
    assert plain({"a": (1, Inner(0.5, ("x",))), "b": Path("c/d"), "e": np.float32(0.25)}, "x") == {
        "a": [1, {"rate": 0.5, "names": ["x"]}],
        "b": "c/d",
        "e": 0.25,
    }


def test_arrays_that_print_equally_differ() -> None:
    long = np.zeros(5000)
    other = long.copy()
    other[2500] = 1
    assert repr(long) == repr(other)
    assert plain(long, "x") != plain(other, "x")
    assert plain(np.zeros((2, 3)), "x") != plain(np.zeros((3, 2)), "x")


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": {"b": object()}}, "x.a.b"),
        ([1, float("nan")], "x[1]"),
        ({1: 2}, "x"),
        ({"f": print}, "x.f"),
        ({1, 2}, "x"),
        (Inner, "x"),
    ],
)
def test_a_value_that_cannot_identify_results_is_refused(value: Any, where: str) -> None:
    with refuses(ConfigError, where=where, word="plain"):
        plain(value, "x")
