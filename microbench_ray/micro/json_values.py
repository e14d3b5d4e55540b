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

PLAIN_NUMBERS = {int, float, type(None)}
"""Types of numbers in JSON; null stands for a missing one."""


def json_number(value: float) -> float | int | None:
    """A number for JSON: null for NaN, and 0 and 1 as integers."""
    number = float(value)
    if math.isnan(number):
        return None
    return int(number) if number in (0.0, 1.0) else number


def json_numbers(values: FloatArray) -> list[Any]:
    """`json_number` of every value of an array, in lists of its shape."""
    numbers = values.astype(object)
    whole = (values == 0) | (values == 1)
    numbers[whole] = values[whole].astype(np.int64)
    numbers[np.isnan(values)] = None
    plain: list[Any] = numbers.tolist()
    return plain


def floats(rows: Sequence[Any], where: str) -> FloatArray:
    """Numbers of at most `LARGEST`, in rows or not, NaN for None; ValueError for any other value."""
    missing = 0
    for row in rows:
        values = row if isinstance(row, list) else [row]
        missing += values.count(None)
        if not set(map(type, values)) <= PLAIN_NUMBERS:
            raise ValueError(f"{where}: {next(each for each in values if type(each) not in PLAIN_NUMBERS)!r:.40} is not a number")
    try:
        numbers = np.array(rows, dtype=np.float64)
    except OverflowError:
        raise ValueError(f"{where}: a number is larger than {LARGEST:,.0f}") from None
    too_large = ~(np.abs(numbers) <= LARGEST)  # NaN among them, which stands for null only
    if int(too_large.sum()) > missing:
        worst = np.abs(numbers[too_large & ~np.isnan(numbers)]).max(initial=0) or math.nan
        raise ValueError(f"{where}: {worst!r:.40} is not a finite number of at most {LARGEST:,.0f}")
    return numbers


def numbers_only(rows: Sequence[Any], where: str) -> FloatArray:
    """Numbers of at most `LARGEST`; ValueError for any other value, also for None."""
    values = floats(rows, where)
    if bool(np.isnan(values).any()):
        raise ValueError(f"{where}: a number is missing")
    return values


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
