"""Logging in the terminal: one handler that writes to a rich console on standard error.

Every module logs to `logging.getLogger(__name__)`. The command line calls `configure`. A program that imports the package adds its
own handlers to the logger `microbench_ray`; without them, it sees no messages.
"""

from __future__ import annotations

import logging
import sys
from copy import copy
from functools import cache
from importlib.util import find_spec
from pathlib import PurePath
from typing import TYPE_CHECKING

from microbench_ray.core.errors import ConfigError, MicrobenchError
from microbench_ray.core.shown import escape_controls, escape_lines

if TYPE_CHECKING:
    from rich.console import Console

LEVELS = ("debug", "info", "warning", "error")
ROOT = "microbench_ray"


class PlainConsole:
    """Prints lines to standard error, in place of a rich console where rich is not installed."""

    is_terminal = is_jupyter = False

    def print(self, text: str) -> None:
        """Print a line, its unprintable characters escaped."""
        sys.stderr.write(escape_lines(text) + "\n")


@cache
def error_console() -> Console | PlainConsole:
    """The console on standard error, shared by log messages and progress bars so that messages do not break a bar."""
    if find_spec("rich") is None:
        return PlainConsole()
    from microbench_ray.core.console import TerminalConsole

    class ErrorConsole(TerminalConsole):
        def on_broken_pipe(self) -> None:
            """Show nothing more; rich would end the program."""
            self.quiet = True

    return ErrorConsole(stderr=True, soft_wrap=True, highlight=False, markup=False)


class TerminalHandler(logging.Handler):
    """Writes records to `error_console`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; `logging` reports errors of the stream."""
        try:
            error_console().print(self.format(record))
        except Exception:
            self.handleError(record)


class TerminalFormatter(logging.Formatter):
    """Formats a record as its message, with its level in front from `warning` on. At `debug`, all show their level and logger.

    Texts, paths and errors among its arguments are escaped, so that a name cannot add a line. Messages of this package's errors are
    escaped already.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        if isinstance(record.args, tuple):
            record = copy(record)
            record.args = tuple(_escaped(each) for each in record.args or ())
        text = super().format(record)
        if logging.getLogger(ROOT).level <= logging.DEBUG:
            return f"{record.levelname.lower()}: {record.name.removeprefix(ROOT + '.')}: {text}"
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


def _escaped(argument: object) -> object:
    raw = isinstance(argument, str | PurePath | Exception) and not isinstance(argument, MicrobenchError)
    return escape_controls(str(argument)) if raw else argument


def configure(level: str) -> None:
    """Show the package's records of at least `level` in the terminal.

    Raises
    ------
    ConfigError
        The level is not one of `LEVELS`.
    """
    if level not in LEVELS:
        raise ConfigError("Unknown log level.", where="log_level", got=level, hint=f"valid: {', '.join(LEVELS)}")
    logger = logging.getLogger(ROOT)
    logger.setLevel(level.upper())
    if not any(isinstance(handler, TerminalHandler) for handler in logger.handlers):
        handler = TerminalHandler()
        handler.setFormatter(TerminalFormatter())
        logger.addHandler(handler)
