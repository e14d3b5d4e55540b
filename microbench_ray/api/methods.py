"""Methods by name, changed, or written in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import Estimator, Method, Selector, build_method
from microbench_ray.methods.presets import method_files, method_parts, packaged_parts

MethodLike = str | Mapping[str, Any] | Method
"""A name of `method_names`; a mapping as in `methods=[…]` on the command line; or what `method` returns."""


def method_names() -> list[str]:
    """The methods that there are, sorted; `method` and `sweep` take them by name."""
    return sorted(method_files())


def method(
    name: str | None = None,
    label: str | None = None,
    selector: Mapping[str, Any] | Selector | None = None,
    estimator: Mapping[str, Any] | Estimator | None = None,
) -> Method:
    """A method: a selector, which chooses items, and an estimator, which reads accuracies off the responses to them.

    Parameters
    ----------
    name
        One of `method_names`; None where both parts, or the selector alone, are given: the estimator is then the mean.
    label
        Its name in tables; by default `name`. A method without a name needs one.
    selector, estimator
        What differs from `name`'s parameters; with a `name` of its own, a mapping replaces the part whole. Or an object of a class
        of your own: see `microbench_ray.methods.base` for what it has, and `SelectorWithoutFit` for a start.

    Raises
    ------
    ConfigError
        An unknown name or parameter, or a value that the class refuses; no label, or no selector.
    """
    label = label or name
    if label is None:
        raise ConfigError("A method of one's own has a label.", where="method", got="neither name nor label", hint='label="mine"')
    if name is None and selector is None:
        raise ConfigError(
            "A method needs a selector.", where=f"method {label}", hint="name one of mb.method_names(), or a selector"
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
        wanted = ("fit", "select" if part == "selector" else "estimate", "fit_key", "signal", "fit_seconds", "fit_bytes")
        lacking = [each for each in wanted if not hasattr(value, each)]
        if lacking:
            what = f"{type(value).__name__} without {', '.join(lacking)}"
            raise ConfigError(f"This is no {part}.", where=f"method {label}", got=what, hint="see microbench_ray.methods.base")
    return Method(label, objects.get("selector", built.selector), objects.get("estimator", built.estimator))


def methods_of(given: MethodLike | list[MethodLike] | tuple[MethodLike, ...]) -> list[Method]:
    """One method or several, in any of their forms; errors as for `method`."""
    several = given if isinstance(given, list | tuple) else [given]
    return [each if isinstance(each, Method) else build(each) for each in several]


def build(entry: str | Mapping[str, Any]) -> Method:
    """A method from its name, or from a mapping over one."""
    label, parts = method_parts(entry, packaged_parts)
    return build_method(label, parts["selector"], parts["estimator"])
