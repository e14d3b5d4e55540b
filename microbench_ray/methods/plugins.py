"""Methods of other packages: what they register in the entry point group `microbench_ray.methods`.

An entry point's name is the method's. Its object is a class that selects or estimates, or a mapping with `selector` and `estimator`
as in a file of conf/method/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from microbench_ray.core import plugins as core
from microbench_ray.core.plugins import Plugin

GROUP = "microbench_ray.methods"


def plugins() -> Mapping[str, tuple[Plugin, ...]]:
    """The entry points of the group, as `microbench_ray.core.plugins.registered` finds them."""
    return core.registered(GROUP)


def packages() -> dict[str, str]:
    """The versions of the packages that register methods, by name."""
    return {plugin.package: plugin.version for found in plugins().values() for plugin in found}


def check_name(name: str, builtin: Iterable[str]) -> None:
    """Raise ConfigError if a package registers the name of a built-in method, selector or estimator."""
    if name in builtin:
        core.refuse_clash(GROUP, "method", name)


@cache
def load(name: str) -> Any:
    """Import what a name of `plugins` stands for: a selector's or estimator's class, or the parts of a method.

    Raises
    ------
    ConfigError
        As for `microbench_ray.core.plugins.load`.
    """
    expected = "a class, or a mapping with selector and estimator"
    return core.load(GROUP, "method", name, _class_or_parts, expected, "MySelector")


def _class_or_parts(loaded: object) -> object | None:
    return loaded if isinstance(loaded, type | Mapping) else None
