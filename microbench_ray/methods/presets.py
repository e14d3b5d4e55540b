"""The preset methods in conf/method/, and how an entry of `methods` changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import ConfigError, unknown

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


def checked_parts(content: Any, file: Path) -> Parts:
    """Return the parts in the content of a method file; ConfigError unless all of them are mappings."""
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ConfigError("A method file must hold a selector and an estimator.", where=str(file), got=repr(content))
    return {"selector": {}, "estimator": {}} | {str(key): part for key, part in content.items()}


def method_files() -> dict[str, Path]:
    """The files of conf/method/ by name."""
    return {path.stem: path for path in sorted((CONF / "method").glob("*.yaml"))}


def packaged_parts(name: str) -> Parts:
    """Read the preset of a name without Hydra; ConfigError for an unknown name."""
    import yaml

    files = method_files()
    if name not in files:
        raise unknown("method", "methods", name, files)
    return checked_parts(yaml.safe_load(files[name].read_text(encoding="utf-8")), files[name])
