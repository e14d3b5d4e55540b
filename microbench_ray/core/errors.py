"""Errors that a user can fix: one message that says what is wrong, where, what was found there, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MicrobenchError(Exception):
    """An error in what the user gave: shown as one message without a traceback, exit code 1.

    Parameters
    ----------
    what
        What is wrong, in one sentence.
    where
        The file, configuration key or column at fault.
    got
        What was found there.
    mend
        What to do about it.
    """

    def __init__(self, what: str, *, where: str | None = None, got: str | None = None, hint: str | None = None) -> None:
        self.what, self.where, self.got, self.hint = what, where, got, hint
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        for label, text in (("where", self.where), ("got", self.got), ("hint", self.hint)):
            if text is not None:
                lines.append(f"  {label + ':':<7}{text}")
        return "\n".join(lines)


class ConfigError(MicrobenchError):
    """A configuration key, value or combination that cannot be."""


class DataError(MicrobenchError):
    """A benchmark file that cannot be read, or whose content cannot be."""


class GridError(MicrobenchError):
    """A grid that the benchmark at hand cannot carry: sizes, source or target models."""


class StoreError(MicrobenchError):
    """An output folder that cannot be written, or that holds another sweep's results."""


class EngineError(MicrobenchError):
    """The engine could not be started."""


def unknown(kind: str, where: str, got: object, known: Iterable[str]) -> ConfigError:
    """The error for a name that does not exist: says the nearest one, and all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(str(got), names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    listing = f"valid: {', '.join(names)}" if names else "there are none"
    return ConfigError(f"Unknown {kind}.", where=where, got=str(got), hint=hint + listing)
