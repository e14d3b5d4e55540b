"""The normal distribution function. `scipy.special` has it too, but importing that takes longer than evaluating a closed form."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FAR = 9
"""Beyond this many deviations the share is 0 or 1 to 1e-18."""
STEPS = 512
"""Points of the table per deviation: a series of three terms from the nearest point is exact to 1e-13."""


def normal_share(z: FloatArray) -> FloatArray:
    """Share of a normal distribution below `z` deviations above its mean, to 1e-13; NaN for NaN. `z` may be infinite."""
    points, shares, densities = _table()
    near = np.clip(np.nan_to_num(z, nan=0.0), -FAR, FAR)
    index = np.rint(near * STEPS).astype(np.intp) + FAR * STEPS
    point = points[index]
    step = near - point
    share: FloatArray = shares[index] + densities[index] * step * (1 - step * (point / 2 - step * (point**2 - 1) / 6))
    share[np.isnan(z)] = np.nan
    return share


@cache
def _table() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points, the shares below them, and the densities at them."""
    points = np.arange(-FAR * STEPS, FAR * STEPS + 1) / STEPS
    shares = np.array([math.erfc(-point / math.sqrt(2)) / 2 for point in points.tolist()])
    return points, shares, np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
