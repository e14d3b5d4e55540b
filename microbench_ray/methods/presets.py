"""What conf/method/ may hold, and how an entry of `methods` changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import ConfigError, unknown

PACKAGE = Path(__file__).parents[1]
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if folder.is_dir())
"""Inside the package where it is installed from a wheel, beside it in a checkout."""

Parts = dict[str, dict[str, Any]]
"""`selector` and `estimator`: each a `name` and parameters."""


def method_parts(entry: Any, named: Callable[[str], Parts]) -> tuple[str, Parts]:
    """The label and the parts of a method.

    Parameters
    ----------
    entry
        The name of a file in conf/method/; or a mapping with `method` (the name that it starts from), `label`, and whatever of
        `selector` and `estimator` differs. One with a `name` of its own replaces the selector or the estimator whole.
    named
        Reads the file of a name.

    Raises
    ------
    ConfigError
        An entry of another form, or what `named` raises.
    """
    if not isinstance(entry, str | Mapping):
        raise ConfigError("A method is a name or a mapping.", where="methods", got=repr(entry))
    changes: dict[str, Any] = {"method": entry, "label": entry} if isinstance(entry, str) else dict(entry)
    base = changes.pop("method", None)
    label = str(changes.pop("label", base))
    parts: Parts = {"selector": {}, "estimator": {"name": "mean"}} if base is None else named(str(base))
    for part in changes:
        if part not in ("selector", "estimator"):
            raise unknown("key of a method", f"methods, {label}", part, ["method", "label", "selector", "estimator"])
        if not isinstance(changes[part], Mapping):
            raise ConfigError(
                f"{part} is a mapping.", where=f"methods, {label}", got=repr(changes[part]), hint=f"{part}: {{name: …}}"
            )
        replaced = changes[part].get("name", parts[part].get("name")) != parts[part].get("name")
        parts[part] = dict(changes[part]) if replaced else parts[part] | changes[part]
    return label, parts


def checked_parts(content: Any, file: Path) -> Parts:
    """What a file of a method holds; ConfigError where that is no selector and estimator."""
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ConfigError("A method file holds a selector and an estimator.", where=str(file), got=repr(content))
    return {"selector": {}, "estimator": {}} | {str(key): part for key, part in content.items()}


def method_files() -> dict[str, Path]:
    """The files of conf/method/ by name."""
    return {path.stem: path for path in sorted((CONF / "method").glob("*.yaml"))}


def packaged_parts(name: str) -> Parts:
    """What conf/method/ has for a name, read without Hydra; ConfigError for a name that is not there."""
    import yaml

    files = method_files()
    if name not in files:
        raise unknown("method", "methods", name, files)
    return checked_parts(yaml.safe_load(files[name].read_text(encoding="utf-8")), files[name])
