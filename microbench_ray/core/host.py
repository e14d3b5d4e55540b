"""The machine: its processor, the numerical libraries that can change the last bits of a result, and its free memory."""

from __future__ import annotations

import logging
import os
import platform
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_info

logger = logging.getLogger(__name__)

NUMERICAL_LIBRARIES = ("numpy", "scipy", "scikit-learn", "numba")


@cache
def describe_host() -> str:
    """Processor, BLAS with its kernels, and library versions in one line; hosts with equal lines compute equal bits."""
    return "; ".join([cpu(), *blas(), *(f"{name} {version(name)}" for name in ("microbench-ray", *NUMERICAL_LIBRARIES))])


def cpu() -> str:
    """Model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError as error:
        logger.debug("Cannot read /proc/cpuinfo: %s", error)
    return platform.processor() or platform.machine()


@cache
def blas() -> tuple[str, ...]:
    """NumPy's BLAS library, its version and the kernels that it chose for this processor."""
    # Only NumPy's: which other libraries are loaded depends on what the process has imported so far.
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas" and "numpy" in lib["filepath"]]
    return tuple(sorted({f"{lib['internal_api']} {lib['version']} {lib.get('architecture') or ''}".strip() for lib in libraries}))


def usable_cores() -> int:
    """Number of cores that this process may use; all of the machine where the system knows no affinity (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory available on this machine, or in this container if it has a limit.

    Where the system does not tell what is available (macOS), all of the machine's memory; `sys.maxsize` where it tells nothing.
    """
    available = [_available_memory()]
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        available.append(int(limit) - int(used))
    except (OSError, ValueError) as error:  # outside a container, or without a limit
        logger.debug("No memory limit of a control group: %s", error)
    return min(available)


def _available_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable"):
                return int(line.split()[1]) * 1024
    except OSError as error:
        logger.debug("Cannot read /proc/meminfo: %s", error)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError) as error:
        logger.debug("The machine's memory is unknown: %s", error)
        return sys.maxsize
