"""Numbers and texts in the JSON of an exported micro-benchmark: written as JSON has them, and checked when they are read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def json_number(value: float) -> float | int | None:
    """A number for JSON: null for NaN, and 0 and 1 as integers."""
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number in (0.0, 1.0) else number


def floats(rows: Sequence[Any], where: str) -> FloatArray:
    """Numbers of any size, NaN for None; ValueError for a value that is not finite."""
    values: FloatArray = np.array(rows, dtype=np.float64)
    stated = np.array([value is not None for row in rows for value in (row if isinstance(row, list) else [row])], dtype=bool)
    if not np.isfinite(values.ravel()[stated]).all():
        raise ValueError(f"{where}: a number is not finite")
    return values


def fractions(rows: Sequence[Any], where: str) -> FloatArray:
    """Numbers in [0, 1], NaN for None; ValueError for any other value."""
    values = floats(rows, where)
    if bool(((values < 0) | (values > 1)).any()):
        raise ValueError(f"{where}: {np.nanmin(values):g} to {np.nanmax(values):g} is outside [0, 1]")
    return values


def finite_number(value: Any, where: str) -> float:
    """A finite number; ValueError for anything else, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where}: {value!r} is not a finite number")
    return float(value)


def plain_text(value: Any, where: str) -> str:
    """A text; ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"{where}: {value!r} is not a text")
    return value
