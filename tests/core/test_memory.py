"""A process that keeps freed memory needs no new pages for an array as large as an earlier one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

COUNT_PAGE_FAULTS = """
import json, resource, sys
import numpy as np
from microbench_ray.core.memory import keep_memory

supported = sys.argv[1] == "keep" and keep_memory()

def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # 3 MB each: from 4 MB on numpy uses huge pages, which would hide the number of pages.
    parts = [np.ones(3 * 2**17) for _ in range(8)]
    assert sum(float(part.sum()) for part in parts) == 8 * 3 * 2**17
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

touch()
print(json.dumps({"supported": supported, "faults": touch()}))
"""


def count_page_faults(mode: str) -> dict[str, int]:
    command = [sys.executable, "-c", COUNT_PAGE_FAULTS, mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_freed_memory_is_reused() -> None:
    kept = count_page_faults("keep")
    if not kept["supported"]:
        pytest.skip("the C library is not glibc")
    pages = 8 * 3 * 2**20 // 4096
    assert kept["faults"] < pages / 50
    assert count_page_faults("default")["faults"] > pages / 2
