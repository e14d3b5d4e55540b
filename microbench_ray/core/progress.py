"""Progress of a long loop: a bar in a terminal or notebook, otherwise a line every ten seconds."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

from microbench_ray.core.log import PlainConsole, error_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0
EARLY_SECONDS, EARLY_SHARE = 60.0, 0.05
"""The time left is not shown before either has passed: workers that start make the first part of the work slow."""


class WorkProgress:
    """Counts finished work and shows the amount done, the rate, the time left and failures.

    Parameters
    ----------
    total
        Total amount of work, in units.
    unit
        Name of the unit.
    visible
        Whether to show the progress; None shows it if the log level is `info` or lower.
    console
        Console to draw on; None for standard error.
    every
        Seconds between lines if no bar can be drawn. A total of less than one unit shows no line.
    clock
        Function that returns seconds; replaced in tests.
    """

    def __init__(
        self,
        total: float,
        unit: str = "cells",
        *,
        visible: bool | None = None,
        console: Console | PlainConsole | None = None,
        every: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.unit = total, unit
        self.done = self.failed = 0.0
        self._visible = logger.isEnabledFor(logging.INFO) if visible is None else visible
        self._last_shown_done = -1.0
        self._console = console or error_console()
        self._clock, self._every = clock, every
        self._started = self._last_line_time = clock()
        self._bar: Progress | None = None
        self._task: Any = None
        if self._visible and not isinstance(self._console, PlainConsole) and can_draw(self._console):
            self._bar = _bar(self._console)
            self._task = self._bar.add_task(unit, total=total, rate="")

    def __enter__(self) -> WorkProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._visible and self.total >= 1 and self._last_shown_done != self.done:
            self._line()

    def advance(self, amount: float, *, failed: bool = False) -> None:
        """Count `amount` units of finished work."""
        self.done += amount
        self.failed += amount if failed else 0
        if self._bar is not None:
            text = self._shown_rate() + (f", {self.failed:,.0f} failed" if self.failed else "")
            self._bar.update(self._task, advance=amount, rate=text)
        elif self._visible and self._clock() - self._last_line_time >= self._every:
            self._last_line_time = self._clock()
            self._line()

    def _rate(self) -> float:
        return self.done / max(self._clock() - self._started, 1e-9)

    def _shown_rate(self) -> str:
        rate = self._rate()
        return f"{rate:,.{2 if 0 < rate < 1 else 0}f} {self.unit}/s"

    def _line(self) -> None:
        self._last_shown_done = self.done
        finished = math.isclose(self.done, self.total)
        early = self.done < EARLY_SHARE * self.total and self._clock() - self._started < EARLY_SECONDS
        tells = self.done and not finished and not early
        seconds_left = f", {_duration(max(0.0, self.total - self.done) / self._rate())} left" if tells else ""
        failed = f", {self.failed:,.0f} failed" if self.failed else ""
        rate = self._shown_rate()
        try:
            self._console.print(f"{self.done:,.0f}/{self.total:,.0f} {self.unit}, {rate}{seconds_left}{failed}")
        except OSError as error:  # the work is worth more than its progress
            logger.debug("Progress cannot be shown: %s", error)


def _duration(seconds: float) -> str:
    """A time to wait, in the unit that people would use."""
    if seconds < 600:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 36_000 else f"{seconds / 3600:,.0f} h"


def can_draw(console: Console | PlainConsole) -> bool:
    """Whether a bar can be drawn: in a terminal, or in a notebook with ipywidgets."""
    return find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal


def _bar(console: Console) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
