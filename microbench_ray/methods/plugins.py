"""Methods of other packages: what they register in the entry point group `microbench_ray.methods`.

An entry point's name is the method's. Its object is a class that selects or estimates, or a mapping with `selector` and `estimator`
as in a file of conf/method/. Nothing is imported before a name is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from microbench_ray.core.entry_points import entry_points_of
from microbench_ray.core.errors import ConfigError, first_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

logger = logging.getLogger(__name__)

GROUP = "microbench_ray.methods"


class Plugin(NamedTuple):
    """An entry point, and its package."""

    entry: EntryPoint
    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package} {self.version} ({self.entry.value})"


@cache
def plugins() -> Mapping[str, tuple[Plugin, ...]]:
    """All entry points of the group by name, without importing them; a name has several if several packages register it."""
    found: dict[str, set[Plugin]] = {}
    for entry in entry_points_of(GROUP):
        package = ("unknown package", "") if entry.dist is None else (entry.dist.metadata["Name"], entry.dist.version)
        found.setdefault(entry.name, set()).add(Plugin(entry, *package))
    return {name: tuple(sorted(found[name], key=str)) for name in sorted(found)}


def packages() -> dict[str, str]:
    """The versions of the packages that register methods, by name."""
    return {plugin.package: plugin.version for registered in plugins().values() for plugin in registered}


def check_name(name: str, builtin: Iterable[str]) -> None:
    """Raise ConfigError if a package registers the name of a built-in method, selector or estimator."""
    if name in builtin and name in plugins():
        raise ConfigError(
            "An installed package registers a method under the name of a built-in one.",
            where=f"entry point {name} of {GROUP}",
            got=f"{name} of microbench-ray, and of {', '.join(map(str, plugins()[name]))}",
            hint="give the entry point another name, or uninstall the package",
        )


@cache
def load(name: str) -> Any:
    """Import what a name of `plugins` stands for.

    Returns
    -------
    type or Mapping
        A selector's or estimator's class, or the parts of a method.

    Raises
    ------
    ConfigError
        Several packages register the name, or the import fails.
    """
    candidates = plugins()[name]
    where = f"entry point {name} of {GROUP}"
    if len(candidates) > 1:
        hint = "uninstall all but one of them"
        raise ConfigError("Several packages register this method.", where=where, got=", ".join(map(str, candidates)), hint=hint)
    (plugin,) = candidates
    try:
        loaded = plugin.entry.load()
    except Exception as error:  # the code of another package
        logger.warning("The method %s of the package %s cannot be imported; log_level=debug shows why", name, plugin.package)
        logger.debug("Traceback of the import of %s", plugin.entry.value, exc_info=True)
        raise ConfigError(
            "A method of an installed package cannot be imported.",
            where=where,
            got=f"{plugin}: {type(error).__name__}: {first_line(error)}",
            hint=f"reinstall {plugin.package}, with the packages that it needs; or leave its methods out",
        ) from None
    if not isinstance(loaded, type | Mapping):
        raise ConfigError(
            "An entry point must be a class, or a mapping with selector and estimator.",
            where=where,
            got=f"{plugin}: {type(loaded).__name__}",
            hint=f"{name} = package.module:MySelector",
        )
    return loaded
