"""A deadline inside the worker: first an exception where the shard hangs, then, where that cannot get through, the end."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import threading
from collections.abc import Iterator
from types import FrameType

STDERR = 2
GRACE_SECONDS = 10.0
"""From the exception to the end: what calls back into Python within this time says where it hung."""


class DeadlineExceeded(BaseException):
    """A shard took longer than it may. Not an Exception: a method that catches those must not catch this."""


@contextlib.contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise DeadlineExceeded in the body after so many seconds; end the process if it goes on for GRACE_SECONDS more.

    A call into compiled code sees no exception before it returns. The end needs neither the interpreter's lock nor its help: every
    thread's traceback goes to standard error, and the process exits with 1.

    Outside of the main thread there is the end alone.
    """

    def expired(number: int, frame: FrameType | None) -> None:
        raise DeadlineExceeded(f"not done after {seconds:g} s")

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, expired) if in_main else None
    try:
        faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=STDERR)
        if in_main:
            signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        if in_main:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()
