"""Turns the exceptions of Hydra and OmegaConf into one message each."""

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
from microbench_ray.core.masking import MASK

ANY_LIST = "a list in brackets, as [a,b]"
ANY_MAPPING = "a mapping in braces, as {key: value}"
TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a string", Any: "a value", NoneType: "null"}


def explained(error: Exception, schema: Any, prefix: str = "") -> ConfigError:
    """The ConfigError for an exception of Hydra or OmegaConf.

    Parameters
    ----------
    error
        What Hydra, OmegaConf or the YAML parser raised.
    schema
        The dataclass of the configuration.
    prefix
        Path of that dataclass in the job's configuration, such as `benchmark.`.
    """
    shown = _explained(error, schema, prefix)
    if "webhook" in f"{error} {getattr(error, 'override', '')} {shown.where}".lower():  # its URL is a secret
        return ConfigError(shown.what, where=shown.where or "webhook", got=MASK, hint="quote the URL: 'webhook.url=\"https://…\"'")
    return shown


def _explained(error: Exception, schema: Any, prefix: str) -> ConfigError:
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        return ConfigError(
            "An argument must have the form key=value.",
            got=repr(error.override),
            hint="quote a value that contains spaces or any of ()[]{}:,=: 'key=\"value\"'",
        )
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, name = str(error.missing_cfg_file).rsplit("/", 1)
        return unknown(group, group, name, error.options)
    if isinstance(error, ConfigCompositionException) and (match := re.search(r"Could not override '([^']+)'", text)):
        nested_key = getattr(error.__cause__, "full_key", None)  # of a mapping: grid={rnus: 3}
        return unknown_key(nested_key or match[1].split("@")[0], schema)
    if match := re.match(r"Multiple values for ([\w/]+)", text):
        return plus_sign(match[1], "NAME")
    if match := re.search(r"item is already at '([^'@]+)", text):
        return plus_sign(match[1], "VALUE")
    if isinstance(error, YAMLError):
        return ConfigError("A configuration file is not valid YAML.", got=" ".join(text.split()), hint="fix the file named above")
    if match := re.match(r"Ambiguous value for argument '([^']+)'", text):
        key, _, value = match[1].partition("=")
        return ConfigError("A list needs brackets.", where=key, got=value, hint=f"'{key}=[{value}]'")
    key = prefix + str(getattr(error, "full_key", None) or "")
    if isinstance(error, ConfigKeyError):
        return unknown_key(key, schema, prefix)
    if isinstance(error, MissingMandatoryValue):
        return missing_value(key)
    expected = expected_type(schema, key.removeprefix(prefix))
    return ConfigError(
        "The configuration is not valid.",
        where=key or None,
        got="not a list" if "is not a ListConfig" in text else (text.splitlines() or [type(error).__name__])[0],
        hint=None if expected is None else f"give {expected}",
    )


def missing_value(key: str) -> ConfigError:
    """The error for a required key without a value."""
    return ConfigError("A value is needed.", where=key, hint=f"{key}=…")


def plus_sign(key: str, value: str) -> ConfigError:
    """The error for `+key=value` where the configuration has the key already."""
    return ConfigError(f"Use {key}={value}, not +{key}={value}.", where=key, got=f"+{key}=…")


def expected_type(schema: Any, key: str) -> str | None:
    """The type of a key of a dataclass, in words; None for a key that it does not have."""
    kind = schema
    for part in re.findall(r"[^.\[\]]+", key):
        if part.isdigit():
            kind = next(iter(get_args(kind)), None)
        else:
            kind = get_type_hints(kind).get(part) if is_dataclass(kind) else None
    if kind in TYPE_NAMES:
        return TYPE_NAMES[kind]
    if getattr(kind, "__origin__", None) is dict:
        return ANY_MAPPING
    parts = [TYPE_NAMES.get(each, ANY_LIST) for each in get_args(kind)]
    if getattr(kind, "__origin__", None) is list:
        return f"a list in brackets, each {parts[0]}"
    return " or ".join(parts) or None


def unknown_key(key: str, schema: Any, prefix: str = "") -> ConfigError:
    """The error for an unknown key: suggests the closest key and lists all at the same level."""
    known: Mapping[str, Any] = OmegaConf.structured(schema)
    *path, last = key.removeprefix(prefix).split(".")
    for part in path:
        if part == "benchmark":
            names = {name for reader in BENCHMARKS.values() for name in reader.__dataclass_fields__}
            return unknown("key", key, last, names)
        known = known[part] if part in known and OmegaConf.is_dict(known[part]) else {}
    return unknown("key", key, last, [str(name) for name in known])
