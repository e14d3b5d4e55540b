"""Helpers shared by the log readers: scores, digests, file discovery and access to untrusted JSON."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.digest import as_json, content_digest, text_digest
from microbench_ray.ingest.base import LOGGED, ModelLog, Options, Tally, finite_number
from microbench_ray.ingest.metrics import ROUNDING
from microbench_ray.ingest.regular import is_regular, refuse_pointer

T = TypeVar("T")

CHECK_SOURCE = "check that source= names the format of this log"
WRITE_AGAIN_OR_CHECK = f"write or copy the log again, or {CHECK_SOURCE}"
TYPE_NAMES: dict[type, str] = {dict: "an object", list: "a list", str: "a string"}

WITHOUT_SCORE = "samples without a score"
NOT_FINITE = "samples with a score of NaN or infinity"
ENDED_IN_ERROR = "samples that ended in an error"

_PLAIN = (float, int, bool)
_KEYS_OF_OTHER_TYPES = ('"null":', '"true":', '"false":')
MAX_DEPTH = 50
"""Levels of nesting in the content of an item."""


def other_metric(value: Any) -> str:
    """The hint for a value of a log that is not a score in [0, 1]."""
    if isinstance(value, str):
        return "choose a numeric metric with metric=NAME"
    return "choose a metric in [0, 1] with metric=NAME, or give the range of this one: scale=BEST offset=WORST"


def parse_score(
    value: Any, tally: Tally, *, file: Path, item: str, metric: str, hint_of: Callable[[Any], str] = other_metric
) -> float | None:
    """Convert a logged value to a score in [0, 1] by `tally.scale`; None for a missing or non-finite one, which `tally` counts.

    `hint_of` gives the hint for a value that is not such a score.

    Raises
    ------
    DataError
        The value is not a number, or lies outside [0, 1].
    """
    if value is None:
        tally.drop(WITHOUT_SCORE)
        return None
    if type(value) in _PLAIN and tally.scale is LOGGED and 0 <= value <= 1:  # the common case
        return float(value)
    number = finite_number(value)
    number = number if number is None else tally.scale.score(number)
    if number is not None and 0 <= number <= 1:
        return number
    where = f"{file}: item {shorten(item)}, metric {metric!r}"
    if number is None:
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            raise DataError("A score is not a number.", where=where, got=shorten(value), hint=hint_of(value)) from None
        tally.drop(NOT_FINITE)
        return None
    if not -ROUNDING <= number <= 1 + ROUNDING:
        got = f"{number:g}" if tally.scale == LOGGED else f"{shorten(value)}, which is {number:g} on the given scale"
        raise DataError("A score is outside [0, 1].", where=where, got=got, hint=hint_of(number))
    return min(max(number, 0.0), 1.0)


def choice_probabilities(logprobs: Any) -> tuple[float, ...] | None:
    """Softmax of the answers' log-likelihoods (numbers or numeric texts); None unless there are at least two, all finite."""
    if not isinstance(logprobs, list | tuple) or len(logprobs) < 2:
        return None
    numbers = [finite_number(value) for value in logprobs]
    if any(number is None for number in numbers):
        return None
    array: NDArray[np.float64] = np.array(numbers, dtype=np.float64)
    weights = np.exp(array - array.max())
    return tuple(float(weight) for weight in weights / weights.sum())


def item_digest(where: str, /, **parts: Any) -> str:
    """Digest of an item as a model saw it.

    Parameters
    ----------
    where
        The item's place, for the error message.
    parts
        Texts, numbers, and lists and mappings of them, by name.

    Raises
    ------
    DataError
        A part is nested more than `MAX_DEPTH` levels deep.
    """
    text = _json(parts)
    if text is not None:
        return text_digest(text)
    return content_digest({name: _plain(value, where, MAX_DEPTH) for name, value in parts.items()}, {})


def _json(parts: dict[str, Any]) -> str | None:
    """The JSON of parts that are plain and hardly nested, as most are; None where `_plain` has something to change or refuse."""
    try:
        text = as_json(parts)
    except (TypeError, ValueError, RecursionError):
        return None
    nested = text.count("[") + text.count("{") >= MAX_DEPTH
    null, true, false = _KEYS_OF_OTHER_TYPES
    return None if nested or null in text or true in text or false in text else text


def _plain(value: Any, where: str, levels: int) -> Any:
    if levels == 0:
        raise DataError("The item is nested too deeply.", where=where, got=f"more than {MAX_DEPTH} levels", hint=CHECK_SOURCE)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, where, levels - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, where, levels - 1) for inner in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def shorten(value: Any, max_length: int = 120) -> str:
    """A logged value for a message: escaped, and cut to one line."""
    text = repr(value if isinstance(value, str | int | float | bool | None) else type(value).__name__)
    return text if len(text) <= max_length else f"{text[:max_length]}…"


def value_at(document: Any, kind: type[T], where: str, *keys: str) -> T:
    """Return `document[key][key]…`.

    Raises
    ------
    DataError
        A key is missing, or the value is not of type `kind`.
    """
    if len(keys) == 1 and type(document) is dict:  # the common case
        value = document.get(keys[0])
        if type(value) is kind:
            return value
    for depth, key in enumerate(keys):
        if not isinstance(document, dict) or key not in document:
            raise DataError(
                "The log lacks a required field.",
                where=where,
                got=f"no {'.'.join(keys[: depth + 1])!r}",
                hint=WRITE_AGAIN_OR_CHECK,
            )
        document = document[key]
    if not isinstance(document, kind):
        raise DataError(
            "The log has a value of the wrong type.",
            where=where,
            got=f"{'.'.join(keys) or 'the document'}: {shorten(document)}; expected {TYPE_NAMES.get(kind, kind.__name__)}",
            hint=WRITE_AGAIN_OR_CHECK,
        )
    return document


def files_below(path: Path, patterns: Iterable[str], tally: Tally) -> list[Path]:
    """The file at `path`, or the sorted regular files below it whose names match one of the patterns.

    Paths of other kinds, such as pipes and links to nowhere, are logged and counted in `tally`; folders are not.

    Raises
    ------
    DataError
        `path` does not exist.
    """
    if path.is_file():
        refuse_pointer(path)
        return [path]
    if not path.is_dir():
        raise DataError("The path does not exist.", where=str(path), hint="give a log or a folder of logs with path=…")
    names = re.compile("|".join(map(fnmatch.translate, patterns)))
    found = [(folder.split("/"), name) for folder, _, inside in os.walk(path) for name in inside if names.match(name)]
    files = (Path("/".join((*folders, name))) for folders, name in sorted(found))
    return [file for file in files if is_regular(file, tally)]


def require_logs(
    logs: Sequence[ModelLog], path: Path, tool: str, options: Options, tally: Tally, patterns: Sequence[str] = ()
) -> Sequence[ModelLog]:
    """Return the logs, of files whose names match one of the patterns.

    Raises
    ------
    DataError
        There are none. The message gives the reasons that `tally` holds, or the patterns.
    """
    if logs:
        return logs
    if tally.failed:
        raise next(iter(tally.failed.values()))
    reasons = [f"{reason}: {count:,}" for reason, count in tally.dropped.items()]
    filters = [f"{name}={list(patterns)}" for name, patterns in (("tasks", options.tasks), ("models", options.models)) if patterns]
    raise DataError(
        f"No {tool} logs were found.",
        where=str(path),
        got=f"left out: {'; '.join(reasons)}" if reasons else None,
        hint=f"check {' and '.join(filters)}, and path="
        if filters
        else "check source= and path=" + (f"; logs of {tool} are named {' or '.join(patterns)}" if patterns else ""),
    )
