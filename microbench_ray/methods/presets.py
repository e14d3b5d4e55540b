"""The preset methods in conf/method/ and of installed packages, and how an entry of `methods` changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.methods.plugins import check_name, load, plugins

PACKAGE = Path(__file__).parents[1]
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if folder.is_dir())
"""The folder of configurations: inside the package if it is installed from a wheel, beside it in a checkout."""

Parts = dict[str, dict[str, Any]]
"""`selector` and `estimator`: each a `name` and parameters."""


def method_parts(entry: Any, read_preset: Callable[[str], Parts]) -> tuple[str, Parts]:
    """Return the label and the parts of a method.

    Parameters
    ----------
    entry
        The name of a preset in conf/method/; or a mapping with `method` (the preset that it starts from), `label`, and the
        parameters of `selector` and `estimator` that differ. If it gives another `name`, the whole selector or estimator is
        replaced.
    read_preset
        Reads the preset of a name.

    Raises
    ------
    ConfigError
        An entry of another form, or an error of `read_preset`.
    """
    if not isinstance(entry, str | Mapping):
        raise ConfigError(
            "A method must be the name of a preset or a mapping.",
            where="methods",
            got=repr(entry),
            hint="methods=[random] or 'methods=[{method: random, label: mine}]'",
        )
    changes: dict[str, Any] = {"method": entry, "label": entry} if isinstance(entry, str) else dict(entry)
    base = changes.pop("method", None)
    label = str(changes.pop("label", base))
    parts: Parts = {"selector": {}, "estimator": {"name": "mean"}} if base is None else read_preset(str(base))
    for part in changes:
        if part not in ("selector", "estimator"):
            raise unknown("key of a method", f"methods, {label}", part, ["method", "label", "selector", "estimator"])
        if not isinstance(changes[part], Mapping):
            raise ConfigError(
                f"{part} must be a mapping.", where=f"methods, {label}", got=repr(changes[part]), hint=f"{part}: {{name: …}}"
            )
        replaced = changes[part].get("name", parts[part].get("name")) != parts[part].get("name")
        parts[part] = dict(changes[part]) if replaced else parts[part] | changes[part]
    return label, parts


def checked_parts(content: Any, place: Path | str) -> Parts:
    """Return the parts in the content of a method file; ConfigError unless all of them are mappings."""
    if not isinstance(content, dict) or not all(isinstance(part, Mapping) for part in content.values()):
        raise ConfigError("A method file must hold a selector and an estimator.", where=str(place), got=repr(content))
    if unexpected := [str(key) for key in content if key not in ("selector", "estimator")]:
        raise unknown("key of a method", str(place), unexpected[0], ["selector", "estimator"])
    return {"selector": {}, "estimator": {}} | {str(key): dict(part) for key, part in content.items()}


def method_files() -> dict[str, Path]:
    """The files of conf/method/ by name."""
    return {path.stem: path for path in sorted((CONF / "method").glob("*.yaml"))}


def method_names() -> list[str]:
    """Names of all preset methods and of those that installed packages register, sorted."""
    return sorted({*method_files(), *plugins()})


def find_parts(name: str, files: Mapping[str, Path], read: Callable[[Path], Any]) -> Parts:
    """The parts of a method by its name.

    Parameters
    ----------
    name
        The name of a file, or of an entry point of an installed package: a selector is used with the mean, an estimator with random
        items.
    files
        The method files by name: the preset ones, and possibly a user's own, which come before entry points.
    read
        Reads a file.

    Raises
    ------
    ConfigError
        An unknown name, an error of `read`, or an entry point that cannot be used.
    """
    check_name(name, method_files())
    if name in files:
        return checked_parts(read(files[name]), files[name])
    if name not in plugins():
        raise unknown("method", "methods", name, {*files, *plugins()})
    loaded = load(name)
    if isinstance(loaded, Mapping):
        return checked_parts(dict(loaded), f"entry point {name} of {', '.join(map(str, plugins()[name]))}")
    if hasattr(loaded, "estimate") and not hasattr(loaded, "select"):
        return {"selector": {"name": "random"}, "estimator": {"name": name}}
    return {"selector": {"name": name}, "estimator": {"name": "mean"}}


def packaged_parts(name: str) -> Parts:
    """Read the preset of a name, or what an installed package registers, without Hydra; ConfigError as for `find_parts`."""
    import yaml

    return find_parts(name, method_files(), lambda path: yaml.safe_load(path.read_text(encoding="utf-8")))
