"""Clean nights alarm seldom, and planted events are found; see `drift_study.py` for the full study."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studies import drift_study as study


@pytest.fixture(scope="module")
def known():
    folder = os.environ.get("MICROBENCH_TEST_DATA")
    if not folder:
        pytest.skip("MICROBENCH_TEST_DATA is not set")
    return study.factors(Path(folder))


@pytest.mark.slow
@pytest.mark.parametrize(("event", "strength"), [("corrupted", 1.0), ("rescored", 0.05), ("drift", 0.025)])
def test_an_event_of_twice_the_interval_is_found_on_that_night_at_the_latest(known, event, strength):
    # Of these seeds the events are of at least twice the interval.
    one = study.plant(event, strength, known, 10_001, 14)
    assert one.due is not None
    assert one.found is not None
    assert one.found <= one.due


@pytest.mark.slow
def test_clean_nights_hardly_ever_alarm(known):
    found, _ = study.clean(known, 6, 15)
    # Of 90 nights at 1 %, more than five are less likely than 1 in 1,000, and histories are independent.
    assert found.sum() <= 5


@pytest.mark.nightly
def test_of_6000_clean_nights_at_most_one_and_a_half_percent_alarm(known):
    found, _ = study.clean(known, 200, 30)
    assert found.mean() <= 0.015
