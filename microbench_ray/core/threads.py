"""One thread for the numerical libraries, because the number of threads can change the last bits of a result."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
"""Environment variables that numerical libraries read when they are loaded."""
_cached: tuple[int, ThreadpoolController] | None = None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit all numerical libraries to one thread.

    Those already loaded are limited like by `threadpoolctl.threadpool_limits(1)`. One that is loaded in the body, by a method that
    imports it on first use, starts with one thread and keeps it afterwards.

    Finding the libraries takes some milliseconds. They are therefore cached until another module is imported, which may load more.
    """
    global _cached
    if _cached is None or _cached[0] != len(sys.modules):
        controller = ThreadpoolController()
        _cached = len(sys.modules), controller
    before = {name: os.environ.get(name) for name in VARIABLES}
    with _cached[1].limit(limits=1):
        os.environ.update(dict.fromkeys(VARIABLES, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
