"""Adjusted p-values, by hand and against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from microbench_ray.metrics.multiplicity import adjusted


def test_holm_by_hand() -> None:
    # Sorted .01 × 4, .02 × 3, .03 × 2 (not below .06), .5 × 1.
    assert adjusted([0.03, 0.01, 0.5, 0.02], "holm") == pytest.approx([0.06, 0.04, 0.5, 0.06])


def test_benjamini_and_hochberg_by_hand() -> None:
    # Sorted .01 × 4/1, .02 × 4/2, .03 × 4/3, .5 × 4/4, each at most the next one.
    assert adjusted([0.03, 0.01, 0.5, 0.02], "bh") == pytest.approx([0.04, 0.04, 0.5, 0.04])


def test_nothing_is_adjusted() -> None:
    assert adjusted([0.03, 0.01], "none").tolist() == [0.03, 0.01]
    assert adjusted([], "holm").size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_against_definitions(p: list[float]) -> None:
    assert adjusted(p, "bh") == pytest.approx(stats.false_discovery_control(p))
    # Holm rejects at a level as long as all smaller p-values are rejected.
    found = adjusted(p, "holm")
    order = np.argsort(p, kind="stable")
    for level in (0.05, 0.3):
        rejected = []
        for rank, k in enumerate(order):
            if p[k] * (len(p) - rank) > level:
                break
            rejected.append(k)
        assert sorted(np.flatnonzero(found <= level)) == sorted(rejected)
