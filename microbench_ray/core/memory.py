"""Memory allocation: glibc keeps freed memory for reuse in workers, and Python looks for cycles less often while logs are read.

By default glibc maps every large array separately and unmaps it when the array is freed. The kernel then clears the same pages
again for every fit, which also takes memory bandwidth from the other workers.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt, from glibc's malloc.h."""
MAX_INT = 2**31 - 1
NEW_OBJECTS = 200_000
"""Objects that are made before Python looks for cycles among them: a few tens of megabytes."""


@cache
def keep_memory() -> bool:
    """Reuse freed memory instead of returning it to the system; for processes that only compute shards.

    The process keeps its peak memory until it ends. No result depends on this setting.

    Returns
    -------
    bool
        Whether the C library supports the setting; glibc does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, MAX_INT))


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Let Python look for cycles only once `NEW_OBJECTS` have been made, for code that makes many objects without any.

    By default it does so after some hundreds, which takes up to a third of the time of reading documents of JSON.
    """
    young, *older = gc.get_threshold()
    gc.set_threshold(max(young, NEW_OBJECTS) if young else 0, *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)
