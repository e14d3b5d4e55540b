"""Readers of other packages: what they register in the entry point group `microbench_ray.readers`.

An entry point's name is the value of `source`. Its object is a reader, or a class of readers that needs no arguments. Nothing is
imported before a name is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, cast

from microbench_ray.core.entry_points import entry_points_of
from microbench_ray.core.errors import ConfigError, first_line
from microbench_ray.ingest.base import Reader

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)

GROUP = "microbench_ray.readers"


@cache
def registered() -> Mapping[str, tuple[EntryPoint, ...]]:
    """All entry points of the group by name, without importing them; a name has several if several packages register it."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for entry in entry_points_of(GROUP):
        found.setdefault(entry.name, {})[shown(entry)] = entry
    return {name: tuple(found[name][key] for key in sorted(found[name])) for name in sorted(found)}


def shown(entry: EntryPoint) -> str:
    """The package, its version and the object of an entry point."""
    package = "an unknown package" if entry.dist is None else f"{entry.dist.metadata['Name']} {entry.dist.version}"
    return f"{package} ({entry.value})"


def refuse_clash(name: str) -> None:
    """Raise ConfigError if a package registers a reader under `name`, the name of a built-in one."""
    if name in registered():
        raise ConfigError(
            "An installed package registers a reader under the name of a built-in one.",
            where=f"entry point {name} of {GROUP}",
            got=f"{name} of microbench-ray, and of {', '.join(map(shown, registered()[name]))}",
            hint="give the entry point another name, or uninstall the package",
        )


@cache
def load(name: str) -> Reader:
    """Return the reader that a name of `registered` stands for.

    Raises
    ------
    ConfigError
        Several packages register the name, the import fails, or the object is not a reader.
    """
    where = f"entry point {name} of {GROUP}"
    entry, *others = registered()[name]
    if others:
        got = ", ".join(map(shown, (entry, *others)))
        raise ConfigError("Several packages register this reader.", where=where, got=got, hint="uninstall all but one of them")
    try:
        loaded = entry.load()
        reader = loaded() if isinstance(loaded, type) else loaded
    except Exception as error:  # the code of another package
        logger.debug("Traceback of the reader %s", entry.value, exc_info=True)
        raise ConfigError(
            "A reader of an installed package cannot be loaded.",
            where=where,
            got=f"{shown(entry)}: {type(error).__name__}: {first_line(error)}",
            hint="reinstall that package, with the packages that it needs; log_level=debug shows the traceback",
        ) from None
    if not all(callable(getattr(reader, method, None)) for method in ("find", "read")):
        raise ConfigError(
            "An entry point must be a reader, with the methods find and read, or a class of readers.",
            where=where,
            got=f"{shown(entry)}: {type(reader).__name__}",
            hint=f"{name} = package.module:MyReader",
        )
    return cast(Reader, reader)
