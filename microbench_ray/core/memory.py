"""What a worker asks of the C library: that it keep the memory it has.

By default glibc gives every large array a mapping of its own and hands it back when the array goes, so that the kernel clears the
same pages for every fit, which takes the memory's bandwidth from the other workers too.
"""

from __future__ import annotations

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""The names in glibc's malloc.h."""
MOST = 2**31 - 1


@cache
def keep_memory() -> bool:
    """Let freed memory be used again instead of being given back; for a process that computes shards and nothing else.

    Its own memory stays at the most that it has ever needed. No number depends on it.

    Returns
    -------
    bool
        Whether the C library understood: glibc does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, MOST))
