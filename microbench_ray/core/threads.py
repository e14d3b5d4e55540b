"""One thread for the numerical libraries, because the number of threads can change the last bits of a result."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

_cached: tuple[int, ThreadpoolController] | None = None


def one_thread() -> AbstractContextManager[object]:
    """Limit all loaded numerical libraries to one thread, like `threadpoolctl.threadpool_limits(1)`.

    Finding the libraries takes some milliseconds. They are therefore cached until another module is imported, which may load more.
    """
    global _cached
    if _cached is None or _cached[0] != len(sys.modules):
        controller = ThreadpoolController()
        _cached = len(sys.modules), controller
    limit: AbstractContextManager[object] = _cached[1].limit(limits=1)
    return limit
