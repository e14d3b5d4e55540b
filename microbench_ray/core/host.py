"""What computes: the processor and the libraries that the last bits of a number can depend on."""

from __future__ import annotations

import contextlib
import platform
from functools import cache
from importlib.metadata import version
from pathlib import Path

from threadpoolctl import threadpool_info

NUMERICAL = ("numpy", "scipy", "scikit-learn", "numba")


@cache
def this_machine() -> str:
    """Processor, BLAS with the kernels that it chose, and versions, in one line: equal lines give equal bits."""
    return "; ".join([cpu(), *blas(), *(f"{name} {version(name)}" for name in ("microbench-ray", *NUMERICAL))])


def cpu() -> str:
    """The processor's model."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def blas() -> list[str]:
    """NumPy's linear algebra: library, version and the kernels chosen for this processor."""
    # Others are loaded when they are needed: which are there depends on what a process has done so far.
    found = [lib for lib in threadpool_info() if lib["user_api"] == "blas" and "numpy" in lib["filepath"]]
    return sorted({f"{lib['internal_api']} {lib['version']} {lib.get('architecture') or ''}".strip() for lib in found})


def free_memory() -> int:
    """Bytes to be had on this machine, or in the container that this is."""
    found = [
        int(line.split()[1]) * 1024 for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")
    ]
    with contextlib.suppress(OSError, ValueError):
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text() for name in ("max", "current"))
        found.append(int(limit) - int(used))
    return min(found)
