"""Readers of other packages: what they register in the entry point group `microbench_ray.readers`.

An entry point's name is the value of `source`. Its object is a reader, or a class of readers that needs no arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast

from microbench_ray.core import plugins as core
from microbench_ray.core.plugins import Plugin
from microbench_ray.ingest.base import Reader

GROUP = "microbench_ray.readers"


def plugins() -> Mapping[str, tuple[Plugin, ...]]:
    """The entry points of the group, as `microbench_ray.core.plugins.registered` finds them."""
    return core.registered(GROUP)


def refuse_clash(name: str) -> None:
    """Raise ConfigError if a package registers a reader under `name`, the name of a built-in one."""
    core.refuse_clash(GROUP, "reader", name)


@cache
def load(name: str) -> Reader:
    """Return the reader that a name of `plugins` stands for.

    Raises
    ------
    ConfigError
        As for `microbench_ray.core.plugins.load`.
    """
    expected = "a reader, with the methods find and read, or a class of readers"
    return core.load(GROUP, "reader", name, _reader, expected, "MyReader")


def _reader(loaded: object) -> Reader | None:
    reader = loaded() if isinstance(loaded, type) else loaded
    return cast(Reader, reader) if all(callable(getattr(reader, method, None)) for method in ("find", "read")) else None
