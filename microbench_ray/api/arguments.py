"""Checks of the arguments of the library's functions: types that a command line cannot get wrong."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark


def check_benchmark(given: Any) -> Benchmark:
    """Return the benchmark; ConfigError for anything else, such as an array or a table."""
    if isinstance(given, Benchmark):
        return given
    path = isinstance(given, str)
    hint = 'mb.read_scores("FILE"), or mb.read_ingested("FOLDER")' if path else "mb.benchmark(scores)"
    raise ConfigError("A benchmark is needed.", where="benchmark", got=f"{type(given).__name__}", hint=hint)


def whole_number(key: str, given: Any, minimum: int) -> int:
    """Return a whole number; ConfigError for anything else, and for numbers below the minimum."""
    is_whole = isinstance(given, Integral) or (isinstance(given, float) and given.is_integer())
    if isinstance(given, bool) or not is_whole or given < minimum:
        what = f"{key} must be a whole number of at least {minimum}."
        raise ConfigError(what, where=key, got=repr(given), hint=f"{key}={max(minimum, 10)}")
    return int(given)


def number(key: str, given: Any, example: str) -> float:
    """Return a number as a float; ConfigError for anything else."""
    try:
        return float(given)
    except (TypeError, ValueError):
        raise ConfigError(f"{key} must be a number.", where=key, got=f"{given!r:.40}", hint=example) from None


def whole_numbers(key: str, given: Any) -> tuple[int, ...]:
    """Return one or several whole numbers of at least 1 as a tuple; ConfigError for anything else."""
    values: Sequence[Any] = [given] if isinstance(given, str) or not hasattr(given, "__iter__") else list(given)
    return tuple(whole_number(key, value, 1) for value in values)
