"""Shares of long lists: every case within a few days, none of them empty, all of them on demand."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.rotation import VARIABLE, rotating, set_day, share


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 9), st.integers(0, 800_000))
def test_every_case_is_run_once_in_so_many_days(
    monkeypatch: pytest.MonkeyPatch, n_cases: int, one_in: int, offset: int, first: int
) -> None:
    cases, run = list(range(n_cases)), []
    for day in range(min(one_in, n_cases)):
        monkeypatch.setenv(VARIABLE, str(first + day))
        todays = share(cases, one_in, offset)
        assert todays
        run += todays
    assert sorted(run) == cases
    monkeypatch.setenv(VARIABLE, "all")
    assert share(cases, one_in, offset) == cases


def test_cases_outside_todays_share_are_in_the_nightly_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    cases = rotating([("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)], 3)
    assert [case.values for case in cases if not case.marks] == [("a", 1), ("d", 4)]
    assert [case.values for case in cases if case.marks] == [("b", 2), ("c", 3), ("e", 5)]
    assert {mark.name for case in cases for mark in case.marks} == {"nightly"}
    assert [case.values for case in rotating("ab", 2)] == [("a",), ("b",)]


def test_the_day_is_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "12")
    assert set_day() == "12"
