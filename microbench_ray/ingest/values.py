"""What readers of logs share: scores, digests, the files below a path, and documents that may be anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError
from microbench_ray.data.digest import content_digest
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Log, Options, Tally, fraction

T = TypeVar("T")

WITHOUT_SCORE = "sample without a score"
NOT_FINITE = "score is NaN or infinite"
ENDED_IN_ERROR = "sample ended in an error"

_DEEPEST = 50
_SLACK = 1e-9  # of scores that are means of floats, which may be just above 1


def checked_score(value: Any, tally: Tally, *, file: Path, item: str, metric: str) -> float | None:
    """A score as a log has it, in [0, 1]; None, counted, where there is none or it is no finite number.

    Raises
    ------
    DataError
        For what is no number, and for numbers outside [0, 1].
    """
    if value is None:
        tally.drop(WITHOUT_SCORE)
        return None
    number = fraction(value)
    if number is not None and 0 <= number <= 1:
        return number
    where = f"{file}: item {shortened(item)}, metric {metric!r}"
    if number is None:
        try:
            float(value)
        except (TypeError, ValueError, OverflowError):
            hint = "choose a metric whose values are numbers: metric=NAME"
            raise DataError("There is no number where a score should be.", where=where, got=shortened(value), hint=hint) from None
        tally.drop(NOT_FINITE)
        return None
    if not -_SLACK <= number <= 1 + _SLACK:
        hint = "choose a metric between 0 and 1: metric=NAME"
        raise DataError("A score is outside [0, 1].", where=where, got=f"{number:g}", hint=hint)
    return min(max(number, 0.0), 1.0)


def choice_probabilities(logprobs: Any) -> tuple[float, ...] | None:
    """Probabilities of the answers from their log-likelihoods (texts or numbers), adding up to 1; None where they tell none."""
    if not isinstance(logprobs, list | tuple) or len(logprobs) < 2:
        return None
    numbers = [fraction(value) for value in logprobs]
    if any(number is None for number in numbers):
        return None
    array: NDArray[np.float64] = np.array(numbers, dtype=np.float64)
    weights = np.exp(array - array.max())
    return tuple(float(weight) for weight in weights / weights.sum())


def item_digest(where: str, /, **parts: Any) -> str:
    """Digest of what a model saw of an item: texts, numbers and lists of them, by name.

    Raises
    ------
    DataError
        If they are nested more than `_DEEPEST` levels; `where` tells of which item.
    """
    return content_digest({name: _plain(value, where, _DEEPEST) for name, value in parts.items()}, {})


def _plain(value: Any, where: str, levels: int) -> Any:
    if levels == 0:
        raise DataError("The item is nested too deeply.", where=where, hint="no evaluation tool writes such: is it a log?")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, where, levels - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, where, levels - 1) for inner in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def shortened(value: Any, most: int = 120) -> str:
    """A value of a log as a message shows it: escaped, and never longer than a line."""
    text = repr(value if isinstance(value, str | int | float | bool | None) else type(value).__name__)
    return text if len(text) <= most else f"{text[:most]}…"


def part(document: Any, kind: type[T], where: str, *keys: str) -> T:
    """What a document holds at `document[key][key]…`.

    Raises
    ------
    DataError
        If it is not there, or of another type.
    """
    for depth, key in enumerate(keys):
        if not isinstance(document, dict) or key not in document:
            raise DataError(
                "The log lacks what its format promises.",
                where=where,
                got=f"no {'.'.join(keys[: depth + 1])!r}",
                hint="write or copy it again, or check source=…",
            )
        document = document[key]
    if not isinstance(document, kind):
        raise DataError(
            "The log is not as its format promises.",
            where=where,
            got=f"{'.'.join(keys) or 'the document'}: {shortened(document)}",
            hint="write or copy it again, or check source=…",
        )
    return document


def files_below(path: Path, patterns: Iterable[str]) -> list[Path]:
    """The file at `path`, or the files below it whose names match one of the patterns, sorted.

    Raises
    ------
    DataError
        If there is nothing at `path`.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        hint = "give the folder of the logs, or one of them: path=…"
        raise DataError("There is nothing to read.", where=str(path), got="nothing at this path", hint=hint)
    return sorted({file for pattern in patterns for file in path.rglob(pattern) if file.is_file()})


def found(logs: Sequence[Log], path: Path, what: str, options: Options, tally: Tally) -> Sequence[Log]:
    """The logs, where there are some.

    Raises
    ------
    DataError
        Where there are none, telling why as far as it is known.
    """
    if logs:
        return logs
    if tally.failed:
        raise next(iter(tally.failed.values()))
    reasons = [f"{count} × {reason}" for reason, count in tally.dropped.items()]
    asked = [f"{name}={list(given)}" for name, given in (("tasks", options.tasks), ("models", options.models)) if given]
    raise DataError(
        f"There are no logs of {what} to read.",
        where=str(path),
        got=first_few(reasons) if reasons else None,
        hint=f"check {' and '.join(asked)}, and the path" if asked else "check source=… and path=…",
    )
