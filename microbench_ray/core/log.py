"""Logging in the terminal: one handler, which writes to rich's console on standard error.

Every module logs to `logging.getLogger(__name__)`. The command line calls `configure`; a program that imports the package
attaches handlers of its own to the logger `microbench_ray`, and sees nothing where it does not.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from microbench_ray.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

LEVELS = ("debug", "info", "warning", "error")
ROOT = "microbench_ray"


@cache
def error_console() -> Console:
    """The console on standard error that log messages and progress bars share, so that neither breaks the other."""
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


class TerminalHandler(logging.Handler):
    """Writes records to `error_console`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record; a stream that cannot be written is reported as `logging` does it."""
        try:
            error_console().print(self.format(record))
        except Exception:
            self.handleError(record)


class TerminalFormatter(logging.Formatter):
    """The message alone; a warning or an error with its level in front, and at `debug` every record with its logger."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        text = super().format(record)
        if logging.getLogger(ROOT).level <= logging.DEBUG:
            return f"{record.levelname.lower()}: {record.name.removeprefix(ROOT + '.')}: {text}"
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


def configure(level: str) -> None:
    """Show records of the package from `level` on in the terminal.

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
