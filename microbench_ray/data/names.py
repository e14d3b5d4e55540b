"""Names of models, items and subtasks: checks, and their display in messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from microbench_ray.core.errors import DataError
from microbench_ray.core.shown import escape_controls, show_name, storable

__all__ = ["check_ids", "check_texts", "escape_controls", "first_few", "show_name", "storable"]


def first_few(names: Iterable[object], count: int = 5) -> str:
    """List the first few names for a message: ``'a', 'b' and 7 more``."""
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more"


def check_texts(values: Sequence[str], kind: str) -> list[str]:
    """Return the values as plain texts.

    Raises
    ------
    DataError
        A value is empty, not a text or not valid Unicode; the error names the first one.
    """
    texts = list(values)
    bad = next((k for k, text in enumerate(texts) if not storable(text)), None)
    if bad is not None:
        raise DataError(
            f"Every {kind} must have a name, a non-empty text in valid Unicode.",
            where=f"{kind} {bad + 1} of {len(texts)}",
            got=repr(texts[bad]),
        )
    return [str(text) for text in texts]


def check_ids(values: Sequence[str], kind: str) -> list[str]:
    """Return the values as plain texts.

    Raises
    ------
    DataError
        A value is empty or not a text, or some are repeated.
    """
    ids = check_texts(values, kind)
    if len(set(ids)) < len(ids):
        repeated = [name for name, count in Counter(ids).items() if count > 1]
        raise DataError(
            f"{kind.capitalize()} ids must be unique.",
            where=f"{kind} ids",
            got=f"{len(repeated)} given more than once: {first_few(repeated)}",
            hint=f"rename or remove the repeated {kind}s",
        )
    return ids
