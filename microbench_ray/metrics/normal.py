"""The normal distribution function. `scipy.special` has it too, but takes longer to import than closed forms need to answer."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FAR = 9
"""Beyond so many deviations the share is 0 or 1 to 1e-18."""
STEPS = 512
"""Points of the table per deviation: a series of three terms from the nearest one is exact to 1e-13."""


def normal_share(z: FloatArray) -> FloatArray:
    """Share of a normal distribution below `z` deviations above its mean, to 1e-13; NaN for NaN, and infinite `z` may be."""
    points, shares, densities = _table()
    near = np.clip(np.nan_to_num(z, nan=0.0), -FAR, FAR)
    place = np.rint(near * STEPS).astype(np.intp) + FAR * STEPS
    at = points[place]
    off = near - at
    found: FloatArray = shares[place] + densities[place] * off * (1 - off * (at / 2 - off * (at**2 - 1) / 6))
    found[np.isnan(z)] = np.nan
    return found


@cache
def _table() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Points, shares below them, and densities there."""
    points = np.arange(-FAR * STEPS, FAR * STEPS + 1) / STEPS
    shares = np.array([math.erfc(-point / math.sqrt(2)) / 2 for point in points.tolist()])
    return points, shares, np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
