"""One message for whatever Hydra and OmegaConf say of a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue
from yaml import YAMLError

from microbench_ray.cli.settings.benchmark import BENCHMARKS
from microbench_ray.core.errors import ConfigError, unknown


def explained(error: Exception, schema: Any, prefix: str = "") -> ConfigError:
    """One message for an error of Hydra or OmegaConf."""
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        return ConfigError(
            "An argument is not of the form key=value.",
            got=repr(error.override),
            hint="quote a value that has spaces or any of ()[]{}:,=: 'key=\"value\"'",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, name = str(error.missing_cfg_file).rsplit("/", 1)
        return unknown(group, group, name, error.options)
    if isinstance(error, ConfigCompositionException) and (found := re.search(r"Could not override '([^']+)'", text)):
        inside = getattr(error.__cause__, "full_key", None)  # of a mapping: grid={rnus: 3}
        return unknown_key(inside or found[1].split("@")[0], schema)
    if isinstance(error, YAMLError):
        return ConfigError("A configuration file cannot be read.", got=" ".join(text.split()), hint="mend the YAML there")
    if found := re.match(r"Ambiguous value for argument '([^']+)'", text):
        key, _, value = found[1].partition("=")
        return ConfigError("A list needs brackets.", where=key, got=value, hint=f"'{key}=[{value}]'")
    if found := re.match(r"Multiple values for (\w+)", text):
        return ConfigError("A choice is made, not added.", where=found[1], got=f"+{found[1]}=…", hint=f"{found[1]}=…, without +")
    key = prefix + str(getattr(error, "full_key", None) or "")
    if isinstance(error, ConfigKeyError):
        return unknown_key(key, schema, prefix)
    if isinstance(error, MissingMandatoryValue):
        return needed(key)
    kind = kind_of(schema, key.removeprefix(prefix))
    return ConfigError(
        "The configuration is not valid.",
        where=key or None,
        got="no list" if "is not a ListConfig" in text else (text.splitlines() or [type(error).__name__])[0],
        hint=None if kind is None else f"give {kind}",
    )


def needed(key: str) -> ConfigError:
    """The error for a key that has no value."""
    return ConfigError("A value is needed.", where=key, got="nothing", hint=f"{key}=…")


KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Any: "a value", NoneType: "null"}


def kind_of(schema: Any, key: str) -> str | None:
    """In words, what the dataclass wants at a key; None where it has no such key."""
    hint = schema
    for part in re.findall(r"[^.\[\]]+", key):
        if part.isdigit():
            hint = next(iter(get_args(hint)), None)
        else:
            hint = get_type_hints(hint).get(part) if is_dataclass(hint) else None
    if hint in KINDS:
        return KINDS[hint]
    if getattr(hint, "__origin__", None) is dict:
        return "a mapping in braces, as {key: value}"
    parts = [KINDS.get(each, "a list in brackets, as [a,b]") for each in get_args(hint)]
    if getattr(hint, "__origin__", None) is list:
        return f"a list in brackets, each {parts[0]}"
    return " or ".join(parts) or None


def unknown_key(key: str, schema: Any, prefix: str = "") -> ConfigError:
    """The error for a key that does not exist: names the nearest one, and all at its place."""
    known: Mapping[str, Any] = OmegaConf.structured(schema)
    *path, last = key.removeprefix(prefix).split(".")
    for part in path:
        if part == "benchmark":
            names = {name for kind in BENCHMARKS.values() for name in kind.__dataclass_fields__}
            return unknown("key", key, last, names)
        known = known[part] if part in known and OmegaConf.is_dict(known[part]) else {}
    return unknown("key", key, last, [str(name) for name in known])
