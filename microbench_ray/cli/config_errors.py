"""Turns the exceptions of Hydra and OmegaConf into one message each."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue
from yaml import YAMLError

from microbench_ray.cli.settings.benchmark import BENCHMARKS
from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.masking import MASK

ANY_LIST = "a list in brackets, as [a,b]"
ANY_MAPPING = "a mapping in braces, as {key: value}"
WITHOUT_BENCHMARK = {
    "micro": "leave it out: it is given to microbench export, and the micro-benchmark keeps what its items count",
    "source": "give it where the responses are used: benchmark=ingested benchmark.path=DIR",
}
"""What to do with a key of benchmarks in a command that reads none, by one of the command's own keys."""
SYNONYMS = (("alpha", "confidence", "confidence_level"), ("accept", "question"), ("on_conflict", "several_logs"))
"""Keys of different commands for the same choice."""
TYPE_NAMES = {int: "an integer", float: "a number", bool: "true or false", str: "a string", Any: "a value", NoneType: "null"}


def explained(
    error: Exception, schema: Any, prefix: str = "", arguments: Sequence[str] = (), given: DictConfig | None = None
) -> ConfigError:
    """The ConfigError for an exception of Hydra or OmegaConf.

    Parameters
    ----------
    error
        What Hydra, OmegaConf or the YAML parser raised.
    schema
        The dataclass of the configuration.
    prefix
        Path of that dataclass in the job's configuration, such as `benchmark.`.
    arguments
        The command line.
    given
        The configuration at fault, if it was composed.
    """
    shown = (isinstance(error, OverrideParseException) and _split_at_space(arguments)) or _explained(error, schema, prefix, given)
    if "webhook" in f"{error} {getattr(error, 'override', '')} {shown.where} {shown.got}".lower():  # its URL is a secret
        return ConfigError(shown.what, where=shown.where or "webhook", got=MASK, hint="quote the URL: 'webhook.url=\"https://…\"'")
    return shown


def _explained(error: Exception, schema: Any, prefix: str, given: DictConfig | None) -> ConfigError:
    text = str(error).strip()
    if isinstance(error, OverrideParseException):
        hint = (
            "quote a value that contains spaces or any of ()[]{}:,=: 'key=\"value\"'"
            if "=" in str(error.override)
            else f"{_key_of_path(schema)}={error.override}; --help lists the keys"
        )
        return ConfigError("An argument must have the form key=value.", got=repr(error.override), hint=hint)
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
        return _decimal_comma(schema, key, value) or ConfigError(
            "A list needs brackets.", where=key, got=value, hint=f"'{key}=[{value}]'"
        )
    key = prefix + str(getattr(error, "full_key", None) or "")
    if isinstance(error, ConfigKeyError):
        return unknown_key(key, schema, prefix)
    if isinstance(error, MissingMandatoryValue):
        return missing_value(key)
    if "is not a ListConfig" in text:
        value = OmegaConf.select(given, key.removeprefix(prefix)) if given is not None else None
        hint = f"give {ANY_LIST}" if value is None else f"'{key}=[{value}]'"
        return ConfigError("A list needs brackets.", where=key or None, got=None if value is None else str(value), hint=hint)
    expected = expected_type(schema, key.removeprefix(prefix))
    return ConfigError(
        "The configuration is not valid.",
        where=key or None,
        got=(text.splitlines() or [type(error).__name__])[0],
        hint=None if expected is None else f"give {expected}",
    )


def _split_at_space(arguments: Sequence[str]) -> ConfigError | None:
    """The error for a list or mapping that the shell split at its spaces; None if there is none."""
    for place, argument in enumerate(arguments):
        for end in range(place + 2, len(arguments) + 1):
            joined = "".join(arguments[place:end])
            if "=" in argument and _is_open(argument) and not _is_open(joined):
                got = " ".join(arguments[place:end])
                return ConfigError(
                    "A value has a space in it, where the shell splits it.",
                    where=argument.split("=", 1)[0],
                    got=got,
                    hint=f"remove the space, or quote the argument: {shlex.quote(got)}",
                )
    return None


def _is_open(text: str) -> bool:
    """Whether a text has more opening than closing brackets."""
    return sum(map(text.count, "[{(")) > sum(map(text.count, "]})"))


def _decimal_comma(schema: Any, key: str, value: str) -> ConfigError | None:
    """The error for a number such as 0,8; None for another value, or a key that is not of fractions."""
    kind = type_of(schema, key)
    kinds = (kind, *get_args(kind))
    if float not in kinds or not re.fullmatch(r"\d+,\d+", value):
        return None
    number = value.replace(",", ".")
    is_list = getattr(kind, "__origin__", None) is list
    hint = f"{key}=[{number}], or {key}=[{value}] for two numbers" if is_list else f"{key}={number}"
    return ConfigError("A number needs a decimal point, not a comma.", where=key, got=value, hint=hint)


def _key_of_path(schema: Any) -> str:
    """The key that a path without a key is probably for."""
    keys = get_type_hints(schema)
    return (
        "benchmark=scores benchmark.path" if "benchmark" in keys else next((key for key in ("path", "out") if key in keys), "key")
    )


def missing_value(key: str) -> ConfigError:
    """The error for a required key without a value."""
    return ConfigError("A value is needed.", where=key, hint=f"{key}=…; --help describes the keys, with an example")


def plus_sign(key: str, value: str) -> ConfigError:
    """The error for `+key=value` where the configuration has the key already."""
    return ConfigError(f"Use {key}={value}, not +{key}={value}.", where=key, got=f"+{key}=…")


def type_of(schema: Any, key: str) -> Any:
    """The type of a key of a dataclass; None for a key that it does not have."""
    kind = schema
    for part in re.findall(r"[^.\[\]]+", key):
        if part.isdigit():
            listed = next((each for each in (kind, *get_args(kind)) if getattr(each, "__origin__", None) is list), None)
            kind = next(iter(get_args(listed)), None)
        else:
            kind = get_type_hints(kind).get(part) if is_dataclass(kind) else None
    return kind


def expected_type(schema: Any, key: str) -> str | None:
    """The type of a key of a dataclass, in words; None for a key that it does not have."""
    kind = type_of(schema, key)
    if kind in TYPE_NAMES:
        return TYPE_NAMES[kind]
    if getattr(kind, "__origin__", None) is dict:
        return ANY_MAPPING
    parts = [TYPE_NAMES.get(each, ANY_MAPPING if is_dataclass(each) else ANY_LIST) for each in get_args(kind)]
    if getattr(kind, "__origin__", None) is list:
        return f"a list in brackets, each {parts[0]}"
    return " or ".join(parts) or None


def unknown_key(key: str, schema: Any, prefix: str = "") -> ConfigError:
    """The error for an unknown key: suggests a key of that name elsewhere, or the closest key, and lists all at the same level."""
    known: Mapping[str, Any] = OmegaConf.structured(schema)
    *path, last = key.removeprefix(prefix).split(".")
    if "benchmark" in path:
        readers = [name for name, reader in BENCHMARKS.items() if last in reader.__dataclass_fields__]
        names = {name for reader in BENCHMARKS.values() for name in reader.__dataclass_fields__}
        error = unknown("key", key, last, names)
        return _with_hint(error, _of_reader(last, readers)) if readers else error
    for part in path:
        known = known[part] if part in known and OmegaConf.is_dict(known[part]) else {}
    error = unknown("key", key, last, [str(name) for name in known])
    if prefix:
        return error
    hint = error.hint or ""
    elsewhere = [each for each in _keys(schema) if each.split(".")[-1] == last]
    if elsewhere:
        return _with_hint(error, f"did you mean {' or '.join(elsewhere)}? {hint.rpartition('? ')[2]}")
    synonyms = [each for names in SYNONYMS if last in names for each in names if each in known]
    if synonyms and not path:
        return _with_hint(error, f"did you mean {synonyms[0]}? {hint.rpartition('? ')[2]}")
    readers = [name for name, reader in BENCHMARKS.items() if last in reader.__dataclass_fields__]
    if readers and type_of(schema, "benchmark") is not None and not hint.startswith("did you mean"):
        return _with_hint(error, f"did you mean benchmark.{last}? {_of_reader(last, readers)}")
    of_benchmark = (readers or last == "benchmark") and type_of(schema, "benchmark") is None
    instead = next((text for name, text in WITHOUT_BENCHMARK.items() if of_benchmark and name in get_type_hints(schema)), None)
    return error if instead is None or hint.startswith("did you mean") else _with_hint(error, f"{instead}; {hint}")


def _of_reader(key: str, readers: Sequence[str]) -> str:
    """The hint for a key that only some kinds of benchmarks have."""
    others = f" (or benchmark={', '.join(readers[1:])})" if readers[1:] else ""
    return f"choose a benchmark that has this key: benchmark={readers[0]} benchmark.{key}=…{others}"


def _keys(schema: Any, prefix: str = "") -> list[str]:
    """All keys of a dataclass and of the dataclasses in it, with their paths."""
    keys = []
    for name, kind in get_type_hints(schema).items():
        keys.append(prefix + name)
        for part in (kind, *get_args(kind)):
            if is_dataclass(part) and getattr(kind, "__origin__", None) is not list:
                keys += _keys(part, f"{prefix}{name}.")
    return keys


def _with_hint(error: ConfigError, hint: str) -> ConfigError:
    return ConfigError(error.what, where=error.where, got=error.got, hint=hint)
