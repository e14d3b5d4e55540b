"""Hints for numbers that must be fractions: where percent or points were meant, or a comma is for the decimal point."""

from __future__ import annotations

from collections.abc import Sequence

POINT = "write a decimal point, not a comma: 0.02"


def fraction_hint(key: str, value: float, example: str) -> str:
    """The hint for a key whose value must be a fraction; `example` is a valid value, maybe with words after it."""
    if not 1 < value <= 100:
        return f"{key}={example}"
    return f"{key}={value / 100:g}, a fraction instead of {value:g} percent or points"


def fractions_hint(key: str, values: Sequence[float], example: str) -> str:
    """The hint for a key whose value must be a list of fractions; `example` is a valid list, maybe with words after it."""
    if 0 in values and any(value >= 1 for value in values):  # 0,02 is read as two numbers
        return f"{POINT}; {key}={example}"
    if not any(1 < value <= 100 for value in values) or not all(0 < value <= 100 for value in values):
        return f"{key}={example}"
    numbers = ",".join(f"{value / 100 if value > 1 else value:g}" for value in values)
    return f"{key}=[{numbers}], fractions instead of percent or points"
