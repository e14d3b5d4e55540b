"""Methods: by name, with changed parameters, or written in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import Estimator, Method, Selector, build_method
from microbench_ray.methods.presets import method_names as preset_names
from microbench_ray.methods.presets import method_parts, packaged_parts
from microbench_ray.methods.registry import check_part, part_kind

MethodLike = str | Mapping[str, Any] | Method
"""A name from `method_names`, a mapping as in `methods=[…]` on the command line, or what `method` returns."""


def method_names() -> list[str]:
    """Names of all methods, sorted, for `method` and `sweep`: the built-in ones, and those of installed packages.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> "random" in mb.method_names()
    True
    """
    return preset_names()


def method(
    name: str | None = None,
    label: str | None = None,
    selector: Mapping[str, Any] | Selector | None = None,
    estimator: Mapping[str, Any] | Estimator | None = None,
) -> Method:
    """Make a method: a selector, which chooses items, and an estimator, which estimates accuracies from the responses to them.

    Parameters
    ----------
    name
        One of `method_names`. Without a name, a selector is needed; the estimator is then the mean by default.
    label
        Name of the method in tables; by default `name`, and needed without one.
    selector, estimator
        Parameters to change from those of `name`; a mapping with a key `name` replaces the part. Or an instance of a user's own
        class: `microbench_ray.methods.base` defines its attributes, and `SelectorWithoutFit` is a base class to start from.

    Raises
    ------
    ConfigError
        An unknown name or parameter, an invalid value, a missing label or selector, or an instance without a needed attribute.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> mb.method("random", label="mine", estimator={"name": "ridge"}).label
    'mine'
    """
    label = label or name
    if label is None:
        raise ConfigError("A method needs a name or a label.", where="method", got="neither", hint='label="mine"')
    if name is None and selector is None:
        raise ConfigError(
            "A method needs a name or a selector.",
            where=f"method {label}",
            hint="one of mb.method_names() as name, or selector={…}",
        )
    given = {"selector": selector, "estimator": estimator}
    entry: dict[str, Any] = {part: dict(value) for part, value in given.items() if isinstance(value, Mapping)}
    if selector is not None and "selector" not in entry:
        entry["selector"] = {"name": "random"}  # stands in for the object
    if estimator is not None and "estimator" not in entry:
        entry["estimator"] = {"name": "mean"}
    _, parts = method_parts({"label": label} | ({} if name is None else {"method": name}) | entry, packaged_parts)
    built = build_method(label, parts["selector"], parts["estimator"])
    objects: dict[str, Any] = {part: value for part, value in given.items() if value is not None and not isinstance(value, Mapping)}
    for part, value in objects.items():
        check_part(value, f"method {label}", part)
    return Method(label, objects.get("selector", built.selector), objects.get("estimator", built.estimator))


def methods_of(given: MethodLike | list[MethodLike] | tuple[MethodLike, ...]) -> list[Method]:
    """Methods from one or several values of any form of `MethodLike`; errors as for `method`."""
    entries = given if isinstance(given, list | tuple) else [given]
    return [entry if isinstance(entry, Method) else _built(entry) for entry in entries]


def _built(entry: Any) -> Method:
    """A method from its name or a mapping."""
    if not isinstance(entry, str | Mapping):
        kind = entry if isinstance(entry, type) else type(entry)
        part = part_kind(kind)
        if part is not None:
            selector = "" if part == "selector" else "selector=…, "
            hint = f'mb.method(label="mine", {selector}{part}={kind.__name__}())'
            raise ConfigError(f"A method is needed, not its {part} alone.", where="methods", got=kind.__name__, hint=hint)
    label, parts = method_parts(entry, packaged_parts)
    return build_method(label, parts["selector"], parts["estimator"])
