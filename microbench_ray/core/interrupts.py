"""Interrupts (Ctrl-C, SIGTERM, a deadline) that arrive while compiled code runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_interrupts() -> Iterator[None]:
    """Raise an interrupt that compiled code has turned into a SystemError.

    A signal's handler may raise KeyboardInterrupt inside a call of a function that numba compiled. The interpreter then reports a
    SystemError ("returned a result with an exception set"), whose cause is the interrupt, and which would count as an error of the
    method.
    """
    try:
        yield
    except SystemError as error:
        cause = error.__cause__
        if cause is None or isinstance(cause, Exception):
            raise
        raise cause from None
