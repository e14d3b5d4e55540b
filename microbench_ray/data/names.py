"""Names of models, items and subtasks: checked, and shown in messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from microbench_ray.core.errors import DataError


def first_few(names: Iterable[object], count: int = 5) -> str:
    """Name the first few of many in a message: ``'a', 'b' and 7 more``."""
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more"


def check_texts(values: Sequence[str], kind: str) -> list[str]:
    """Return the values as plain texts.

    Raises
    ------
    DataError
        For the first one that is no text, or an empty one.
    """
    texts = list(values)
    bad = next((k for k, text in enumerate(texts) if not isinstance(text, str) or not text), None)
    if bad is not None:
        raise DataError(
            f"Every {kind} needs a name, a text that is not empty.",
            where=f"{kind} {bad + 1} of {len(texts)}",
            got=repr(texts[bad]),
        )
    return [str(text) for text in texts]


def check_ids(values: Sequence[str], kind: str) -> list[str]:
    """Return the values as plain texts, none of them empty.

    Raises
    ------
    DataError
        Where some repeat, naming the first few.
    """
    ids = check_texts(values, kind)
    if len(set(ids)) < len(ids):
        twice = [name for name, count in Counter(ids).items() if count > 1]
        raise DataError(
            f"{kind.capitalize()} ids must be unique.",
            where=f"{kind} ids",
            got=f"{len(twice)} given more than once: {first_few(twice)}",
            hint=f"rename or remove the {kind}s that repeat",
        )
    return ids
