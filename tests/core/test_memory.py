"""A process that keeps its memory takes no new pages for an array as large as one that it has had."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAULTS = """
import json, resource, sys
import numpy as np
from microbench_ray.core.memory import keep_memory

understood = sys.argv[1] == "keep" and keep_memory()

def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    # 3 MB: numpy asks for huge pages only from 4 MB on, and these would hide how many pages there are.
    parts = [np.ones(3 * 2**17) for _ in range(8)]
    assert sum(float(part.sum()) for part in parts) == 8 * 3 * 2**17
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

touch()
print(json.dumps({"understood": understood, "faults": touch()}))
"""


def faults(how: str) -> dict[str, int]:
    words = [sys.executable, "-c", FAULTS, how]
    return json.loads(subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's")
def test_freed_memory_is_used_again():
    kept = faults("keep")
    if not kept["understood"]:
        pytest.skip("the C library is not glibc")
    pages = 8 * 3 * 2**20 // 4096
    assert kept["faults"] < pages / 50
    assert faults("fresh")["faults"] > pages / 2
