"""The normal distribution function against scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from microbench_ray.metrics.normal import normal_share


@given(st.lists(st.floats(-1e6, 1e6) | st.floats(-10, 10), max_size=50))
def test_it_is_that_of_scipy(z: Any) -> None:
    values = np.array(z, np.float64)
    assert normal_share(values) == pytest.approx(ndtr(values), abs=1e-13)


def test_its_ends() -> None:
    found = normal_share(np.array([-np.inf, 0.0, np.inf, np.nan]))
    assert found[:3].tolist() == pytest.approx([0, 0.5, 1], abs=1e-15)
    assert np.isnan(found[3])
