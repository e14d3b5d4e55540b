"""Values as plain JSON values, for everything that is identified by its content."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from microbench_ray.core.errors import ConfigError


def plain(value: Any, where: str) -> Any:
    """The same content as None, bool, int, finite float, str, list and dict with text keys.

    Two values with different content never become the same, and one value never becomes two by the address or the order in which
    it is printed, as with `repr`.

    Parameters
    ----------
    value
        A plain value, a tuple, mapping, path, array or scalar of NumPy, or a dataclass of these.
    where
        The value's name, for messages.

    Raises
    ------
    ConfigError
        A value of any other class, or one that is not finite.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, np.ndarray):
        return plain({"dtype": str(value.dtype), "shape": value.shape, "values": value.ravel().tolist()}, where)
    if isinstance(value, list | tuple):
        return [
            each if each is None or type(each) in (str, int, bool) else plain(each, f"{where}[{position}]")
            for position, each in enumerate(value)
        ]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(each, f"{where}.{key}") for key, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), f"{where}.{field.name}") for field in fields(value)}
    raise ConfigError(
        "A parameter is not a plain value, so results cannot be identified by it.",
        where=where,
        got=f"{type(value).__name__}: {value!r:.60}",
        hint="use numbers, text, lists, dictionaries, NumPy arrays or dataclasses of these",
    )
