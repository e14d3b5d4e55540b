"""A deadline inside the worker: an exception where the shard hangs and, if that has no effect, the end of the process."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import threading
from collections.abc import Iterator
from types import FrameType

STDERR = 2
GRACE_SECONDS = 10.0
"""Seconds from the exception to the end of the process. Code that returns to Python in time fails with a traceback."""


class DeadlineExceeded(BaseException):
    """A shard exceeded its deadline. A BaseException, so that methods that catch Exception do not catch it."""


@contextlib.contextmanager
def deadline(seconds: float, *, end_process: bool = True) -> Iterator[None]:
    """Raise DeadlineExceeded in the body after `seconds`; end the process if the body runs for GRACE_SECONDS more.

    Compiled code sees an exception only after it returns. Ending the process does not need the interpreter lock: the tracebacks
    of all threads go to standard error and the exit code is 1.

    Outside the main thread no exception is raised; only the process is ended.

    Parameters
    ----------
    seconds
        Time allowed.
    end_process
        False: code that does not return to Python is waited for.
    """

    def expired(number: int, frame: FrameType | None) -> None:
        raise DeadlineExceeded(f"not finished after {seconds:g} s")

    in_main = threading.current_thread() is threading.main_thread()
    previous_handler = signal.signal(signal.SIGALRM, expired) if in_main else None
    try:
        if end_process:
            faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=STDERR)
        if in_main:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        if in_main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous_handler)
        if end_process:
            faulthandler.cancel_dump_traceback_later()
