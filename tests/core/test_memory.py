"""A process that keeps freed memory needs no new pages for an array as large as an earlier one."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from contextlib import suppress

import pytest

from microbench_ray.core.memory import NEW_OBJECTS, rare_collections

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


def test_collections_are_rare_in_the_body_only() -> None:
    before = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold() == (NEW_OBJECTS, *before[1:])
        with rare_collections():
            assert gc.get_threshold()[0] == NEW_OBJECTS
    assert gc.get_threshold() == before
    with suppress(KeyError), rare_collections():
        raise KeyError
    assert gc.get_threshold() == before


def test_a_collector_that_is_off_stays_off() -> None:
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with rare_collections():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)
