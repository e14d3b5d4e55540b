"""Progress of a long loop: a bar in a terminal or a notebook, a line every ten seconds elsewhere."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

from microbench_ray.core.log import error_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10.0


class WorkProgress:
    """Counts finished work: done and total, rate, time left, failures.

    Parameters
    ----------
    total
        Units of work.
    unit
        Their name.
    visible
        Whether anything is shown; None: where messages of level `info` are.
    console
        Where it is shown; None for standard error.
    every
        Seconds between lines where no bar can be drawn. A total of less than one unit has no line.
    clock
        Seconds, for tests.
    """

    def __init__(
        self,
        total: float,
        unit: str = "cells",
        *,
        visible: bool | None = None,
        console: Console | None = None,
        every: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.unit = total, unit
        self.done = self.failed = 0.0
        self._visible = logger.isEnabledFor(logging.INFO) if visible is None else visible
        self._last_shown = -1.0
        self._console = console or error_console()
        self._clock, self._every = clock, every
        self._started = self._last = clock()
        self._bar: Progress | None = None
        self._task: Any = None
        if self._visible and can_draw(self._console):
            self._bar = _bar(self._console)
            self._task = self._bar.add_task(unit, total=total, rate="")

    def __enter__(self) -> WorkProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._visible and self.total >= 1 and self._last_shown != self.done:
            self._line()

    def advance(self, amount: float, *, failed: bool = False) -> None:
        """Count finished work."""
        self.done += amount
        self.failed += amount if failed else 0
        if self._bar is not None:
            text = f"{self._rate():,.0f} {self.unit}/s" + (f", {self.failed:,.0f} failed" if self.failed else "")
            self._bar.update(self._task, advance=amount, rate=text)
        elif self._visible and self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._line()

    def _rate(self) -> float:
        return self.done / max(self._clock() - self._started, 1e-9)

    def _line(self) -> None:
        self._last_shown = self.done
        left = max(0.0, self.total - self.done) / self._rate() if self.done else float("nan")
        eta = "" if math.isclose(self.done, self.total) else f", {left:,.0f} s left" if self.done else ""
        failed = f", {self.failed:,.0f} failed" if self.failed else ""
        self._console.print(f"{self.done:,.0f}/{self.total:,.0f} {self.unit}, {self._rate():,.0f} {self.unit}/s{eta}{failed}")


def can_draw(console: Console) -> bool:
    """Whether a bar can be drawn: in a terminal, and in a notebook that has ipywidgets."""
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
