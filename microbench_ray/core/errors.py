"""Errors that a user can fix. The message states the problem, its place, the value found and a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from microbench_ray.core.shown import escape_controls

MAX_LISTED = 100
"""Valid names that a hint lists."""


class MicrobenchError(Exception):
    """An error in the user's input: shown as one message without a traceback, exit code 1.

    Parameters
    ----------
    what
        The problem, in one sentence.
    where
        The file, configuration key or column at fault.
    got
        The value found there.
    hint
        What to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, got: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.got, self.hint = what, where, got, hint
        super().__init__(what)

    def __str__(self) -> str:
        return _message(self.what, self.where, self.got, self.hint)


class DataWarning(UserWarning):
    """Data that can be read but is probably not what was meant; parameters as for `MicrobenchError`. Nothing is changed."""

    def __init__(self, what: str, *, where: str | None = None, got: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.got, self.hint = what, where, got, hint
        super().__init__(what)

    def __str__(self) -> str:
        return _message(self.what, self.where, self.got, self.hint)

    @property
    def note(self) -> str:
        """The warning in one line, for the notes of a benchmark."""
        details = "; ".join(text for text in (self.where, self.got) if text)
        what = f"{self.what.rstrip('.')} ({details})." if details else self.what
        return what + (f" Hint: {self.hint}." if self.hint else "")


class ConfigError(MicrobenchError):
    """An invalid configuration key, value or combination."""


class DataError(MicrobenchError):
    """A benchmark file that cannot be read or has invalid content."""


class GridError(MicrobenchError):
    """A grid whose sizes or model counts do not fit the benchmark."""


class StoreError(MicrobenchError):
    """An output folder that cannot be read or written, is in use, or holds another sweep's results."""


class EngineError(MicrobenchError):
    """An engine that cannot be started or reached."""


def _message(what: str, where: str | None, got: str | None, hint: str | None) -> str:
    """The lines of an error or a warning: one per part, whose names cannot reach a terminal raw or add lines."""
    details = (("where", where), ("got", got), ("hint", hint))
    lines = [f"  {label + ':':<7}{escape_controls(text)}" for label, text in details if text is not None]
    return "\n".join([escape_controls(what), *lines])


def unknown(kind: str, where: str, got: object, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name; the hint gives the closest valid name and lists all of them."""
    return ConfigError(f"Unknown {kind}.", where=where, got=str(got), hint=closest(got, known))


def closest(got: object, known: Iterable[str], count: int = MAX_LISTED) -> str:
    """The hint for an unknown name: the closest valid name, and the valid names, at most `count` of them."""
    names = sorted(known)
    found = difflib.get_close_matches(str(got), names, n=1)
    more = f" and {len(names) - count} more" if len(names) > count else ""
    listing = f"valid: {', '.join(names[:count])}{more}" if names else "there are none"
    return (f"did you mean {found[0]}? " if found else "") + listing


def first_line(error: object) -> str:
    """The first line of an error's message that is not empty, or the name of its class."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
