"""Keys that several jobs which read logs share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.storage.urls import is_url, local_path
from microbench_ray.ingest.base import Options

Choice = TypeVar("Choice", bound=str)
MAX_LINE_BYTES = 64 << 20
"""The default of `max_line_bytes`."""


class LogKeys(Protocol):
    """The keys that choose what is read of logs."""

    tasks: list[str]
    models: list[str]
    metric: str | None
    filter: str | None
    max_line_bytes: int


def log_options(keys: LogKeys, **further: Any) -> Options:
    """What is read of logs; `further` are values that only some jobs set. ConfigError for an invalid limit."""
    if keys.max_line_bytes < 1:
        got, hint = str(keys.max_line_bytes), f"the default is {MAX_LINE_BYTES}"
        raise ConfigError("max_line_bytes must be at least 1.", where="max_line_bytes", got=got, hint=hint)
    return Options(
        tasks=tuple(keys.tasks),
        models=tuple(keys.models),
        metric=keys.metric,
        filter=keys.filter,
        max_line_bytes=keys.max_line_bytes,
        **further,
    )


def one_of(key: str, given: str, choices: Sequence[Choice]) -> Choice:
    """The choice that equals the given value; ConfigError, which lists the choices, if there is none."""
    found = next((choice for choice in choices if choice == given), None)
    if found is None:
        raise unknown("value", key, given, choices)
    return found


def here(key: str, path: str) -> Path:
    """A path on this machine; ConfigError for a URL."""
    if is_url(path):
        raise ConfigError("The path must be on this machine, not a URL.", where=key, got=path, hint=f"{key}=PATH")
    return local_path(path)
