"""Numbers and texts in the JSON of an exported micro-benchmark: written as JSON has them, and checked when they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.shown import storable

FloatArray = NDArray[np.float64]

LARGEST = 1e6
"""Largest number in an export: responses and accuracies lie in [0, 1], and coefficients are not far from them."""


def json_number(value: float) -> float | int | None:
    """A number for JSON: null for NaN, and 0 and 1 as integers."""
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number in (0.0, 1.0) else number


def floats(rows: Sequence[Any], where: str) -> FloatArray:
    """Numbers of at most `LARGEST`, in rows or not, NaN for None; ValueError for any other value."""
    for row in rows:
        for value in row if isinstance(row, list) else [row]:
            if value is not None:
                finite_number(value, where)
    return np.array(rows, dtype=np.float64)


def fractions(rows: Sequence[Any], where: str) -> FloatArray:
    """Numbers in [0, 1], NaN for None; ValueError for any other value."""
    values = floats(rows, where)
    if bool(((values < 0) | (values > 1)).any()):
        raise ValueError(f"{where}: {np.nanmin(values):g} to {np.nanmax(values):g} is outside [0, 1]")
    return values


def finite_number(value: Any, where: str) -> float:
    """A number of at most `LARGEST`; ValueError for anything else, also for true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise ValueError(f"{where}: {value!r:.40} is not a finite number of at most {LARGEST:,.0f}")
    return float(value)


def plain_text(value: Any, where: str) -> str:
    """A text that can be shown and stored; ValueError for anything else."""
    if not storable(value):
        raise ValueError(f"{where}: {value!r:.40} is not a non-empty text in valid Unicode")
    return str(value)


def checksum(content: Mapping[str, Any]) -> str:
    """Checksum of all keys but `checksum`."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


def dumps(content: Mapping[str, Any]) -> str:
    """JSON with one line per key, and one per entry of a list of objects."""
    lines = []
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n" + ",\n".join(f"  {json.dumps(each)}" for each in value) + "\n ]"
        else:
            text = json.dumps(value)
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
