"""Memory allocation in workers: glibc keeps freed memory for reuse.

By default glibc maps every large array separately and unmaps it when the array is freed. The kernel then clears the same pages
again for every fit, which also takes memory bandwidth from the other workers.
"""

from __future__ import annotations

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt, from glibc's malloc.h."""
MAX_INT = 2**31 - 1


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
