"""Tests of a file, and those of a group, run in one process."""

from __future__ import annotations

import pytest

from tests.helpers.by_file import ByFile


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        ("tests/core/test_a.py::test_one", "tests/core/test_a.py"),
        ("tests/core/test_a.py::test_one[x::y-1]", "tests/core/test_a.py"),
        ("tests/core/test_a.py::test_one[me@here]", "tests/core/test_a.py"),
        ("tests/core/test_b.py::Class::test_two", "tests/core/test_b.py"),
        ("tests/core/test_a.py::test_one@ray", "ray"),
        ("tests/core/test_b.py::test_two[x]@ray", "ray"),
    ],
)
def test_units(nodeid: str, unit: str) -> None:
    assert ByFile.__new__(ByFile)._split_scope(nodeid) == unit
