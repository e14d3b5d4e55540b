"""Errors that a user can fix. The message states the problem, its place, the value found and a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from microbench_ray.core.shown import escape_controls


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
        """The message: a line per part, whose names cannot reach a terminal raw or add lines."""
        lines = [escape_controls(self.what)]
        for label, text in (("where", self.where), ("got", self.got), ("hint", self.hint)):
            if text is not None:
                lines.append(f"  {label + ':':<7}{escape_controls(text)}")
        return "\n".join(lines)


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


def unknown(kind: str, where: str, got: object, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name; the hint gives the closest valid name and lists all of them."""
    names = sorted(known)
    closest = difflib.get_close_matches(str(got), names, n=1)
    suggestion = f"did you mean {closest[0]}? " if closest else ""
    listing = f"valid: {', '.join(names)}" if names else "there are none"
    return ConfigError(f"Unknown {kind}.", where=where, got=str(got), hint=suggestion + listing)


def first_line(error: object) -> str:
    """The first line of an error's message that is not empty, or the name of its class."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
