"""Entry points of installed packages, by which these bring methods and readers. Nothing is imported before a name is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from microbench_ray.core.entry_points import entry_points_of
from microbench_ray.core.errors import ConfigError, first_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


class Plugin(NamedTuple):
    """An entry point, and its package."""

    entry: EntryPoint
    package: str
    version: str

    def __str__(self) -> str:
        return " ".join(filter(None, (self.package, self.version, f"({self.entry.value})")))


@cache
def registered(group: str) -> Mapping[str, tuple[Plugin, ...]]:
    """All entry points of a group by name, without importing them; a name has several if several packages register it."""
    found: dict[str, set[Plugin]] = {}
    for entry in entry_points_of(group):
        package = ("an unknown package", "") if entry.dist is None else (entry.dist.metadata["Name"], entry.dist.version)
        found.setdefault(entry.name, set()).add(Plugin(entry, *package))
    return {name: tuple(sorted(found[name], key=str)) for name in sorted(found)}


def refuse_clash(group: str, kind: str, name: str) -> None:
    """Raise ConfigError if a package registers `name`, which is that of a built-in `kind`, such as a method."""
    if name in registered(group):
        raise ConfigError(
            f"An installed package registers a {kind} under the name of a built-in one.",
            where=f"entry point {name} of {group}",
            got=f"{name} of microbench-ray, and of {', '.join(map(str, registered(group)[name]))}",
            hint="give the entry point another name, or uninstall the package",
        )


def load(group: str, kind: str, name: str, check: Callable[[object], Loaded | None], expected: str, example: str) -> Loaded:
    """Import what a name of `registered` stands for.

    Parameters
    ----------
    group, kind
        The group, and what it brings, in the singular.
    name
        The name of an entry point.
    check
        Makes what is used of the imported object; None for an object of another kind. Its exceptions are those of the package.
    expected, example
        The end of the sentence "An entry point must be …", and the name of an object for its hint.

    Raises
    ------
    ConfigError
        Several packages register the name, the import fails, or the object is of another kind.
    """
    where = f"entry point {name} of {group}"
    plugin, *others = registered(group)[name]
    if others:
        got = ", ".join(map(str, (plugin, *others)))
        raise ConfigError(f"Several packages register this {kind}.", where=where, got=got, hint="uninstall all but one of them")
    try:
        imported = plugin.entry.load()
        loaded = check(imported)
    except Exception as error:  # the code of another package
        logger.warning("The %s %s of the package %s cannot be imported; log_level=debug shows why", kind, name, plugin.package)
        logger.debug("Traceback of the import of %s", plugin.entry.value, exc_info=True)
        raise ConfigError(
            f"A {kind} of an installed package cannot be imported.",
            where=where,
            got=f"{plugin}: {type(error).__name__}: {first_line(error)}",
            hint=f"reinstall {plugin.package}, with the packages that it needs; or leave its {kind}s out",
        ) from None
    if loaded is None:
        got = f"{plugin}: {type(imported).__name__}"
        raise ConfigError(f"An entry point must be {expected}.", where=where, got=got, hint=f"{name} = package.module:{example}")
    return loaded
