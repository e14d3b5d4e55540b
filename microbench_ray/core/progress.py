"""How far it is: a bar for a person, a line now and then for a log. Only the driver shows anything."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

HEARTBEAT_SECONDS = 10.0


class WorkProgress:
    """Counts what is finished: done/total, how many per second, time left, failures.

    Parameters
    ----------
    total
        What is to be done.
    stream
        Where to show it: a bar if it is a terminal, else a line every `every` seconds and one at the end.
    every
        Seconds between lines. Where less than one of the unit is to be done, there is no line.
    clock
        Seconds, for tests.
    unit
        What is counted.
    """

    def __init__(
        self,
        total: float,
        stream: TextIO | None = None,
        *,
        every: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "cells",
    ) -> None:
        self.total, self.unit = total, unit
        self.done = self.failed = 0.0
        self._told = -1.0
        self._stream = stream if stream is not None else sys.stderr
        self._clock, self._every = clock, every
        self._started = self._last = clock()
        self._bar: Progress | None = None
        self._task: Any = None
        if self._stream.isatty():
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(file=self._stream),
            )
            self._task = self._bar.add_task(unit, total=total, rate="")

    def __enter__(self) -> WorkProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self.total >= 1 and self._told != self.done:
            self._line()

    def advance(self, amount: float, *, failed: bool = False) -> None:
        """Count what is finished."""
        self.done += amount
        self.failed += amount if failed else 0
        if self._bar is not None:
            text = f"{self._rate():,.0f} {self.unit}/s" + (f", {self.failed:,.0f} failed" if self.failed else "")
            self._bar.update(self._task, advance=amount, rate=text)
        elif self._clock() - self._last >= self._every:
            self._last = self._clock()
            self._line()

    def _rate(self) -> float:
        return self.done / max(self._clock() - self._started, 1e-9)

    def _line(self) -> None:
        self._told = self.done
        left = max(0.0, self.total - self.done) / self._rate() if self.done else float("nan")
        eta = "" if math.isclose(self.done, self.total) else f", {left:,.0f} s left" if self.done else ""
        failed = f", {self.failed:,.0f} failed" if self.failed else ""
        self._stream.write(f"{self.done:,.0f}/{self.total:,.0f} {self.unit}, {self._rate():,.0f} {self.unit}/s{eta}{failed}\n")
        self._stream.flush()
