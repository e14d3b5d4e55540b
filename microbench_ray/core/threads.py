"""Numerical libraries held to one thread, without looking for them every time: more threads would change bits."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

_found: tuple[int, ThreadpoolController] | None = None


def one_thread() -> AbstractContextManager[object]:
    """Hold every numerical library that is loaded to one thread, as `threadpoolctl.threadpool_limits(1)` does.

    That takes some milliseconds, for reading what the process has mapped; here it is read again only when a module was imported
    since, for libraries come with modules.
    """
    global _found
    if _found is None or _found[0] != len(sys.modules):
        controller = ThreadpoolController()
        _found = len(sys.modules), controller
    limited: AbstractContextManager[object] = _found[1].limit(limits=1)
    return limited
