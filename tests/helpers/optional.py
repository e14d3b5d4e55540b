"""Optional values that a test needs."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def required(value: T | None) -> T:
    """The value, which must not be None."""
    assert value is not None
    return value
