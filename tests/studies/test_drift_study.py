"""Clean nights rarely raise an alarm, and planted events are found; the full study is `studies/drift_study.py`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from studies import drift_study as study
from tests.helpers.counts import Counted


@pytest.fixture(scope="module")
def known() -> dict[str, np.ndarray]:
    folder = os.environ.get("MICROBENCH_TEST_DATA")
    if not folder:
        pytest.skip("MICROBENCH_TEST_DATA is not set")
    return study.factors(Path(folder))


@pytest.mark.slow
@pytest.mark.parametrize(("event", "strength"), [("corrupted", 1.0), ("rescored", 0.05), ("drift", 0.025)])
def test_an_event_of_twice_the_interval_is_found_by_that_night(known: dict[str, np.ndarray], event: str, strength: float) -> None:
    # With this seed, all three events reach twice the interval.
    result = study.plant(event, strength, known, 10_001, 14)
    assert result.due is not None
    assert result.found is not None
    assert result.found <= result.due


@pytest.mark.slow
def test_clean_nights_rarely_raise_an_alarm(known: dict[str, np.ndarray]) -> None:
    alarmed, _ = study.clean(known, 6, 15)
    # With independent nights at 1 %, more than five alarms in 90 nights have a probability below 0.001.
    assert alarmed.sum() <= 5


@pytest.mark.nightly
def test_at_most_one_and_a_half_percent_of_6000_clean_nights_raise_an_alarm(known: dict[str, np.ndarray], counted: Counted) -> None:
    alarmed, _ = study.clean(known, 200, 30)
    counted(clean_nights=alarmed.size, alarms=int(alarmed.sum()))
    assert alarmed.mean() <= 0.015
