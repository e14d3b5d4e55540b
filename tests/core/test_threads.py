"""The limit to one thread applies to libraries that are loaded already and to those loaded later."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info

from microbench_ray.core.threads import one_thread

IMPORT_BETWEEN = """
import json, sys
import numpy
from threadpoolctl import threadpool_info
from microbench_ray.core.threads import one_thread

with one_thread():
    before = [library["num_threads"] for library in threadpool_info()]
import scipy.linalg
with one_thread():
    after = [library["num_threads"] for library in threadpool_info()]
print(json.dumps([before, after]))
"""


def test_the_limit_is_undone_afterwards() -> None:
    assert np.ones(1)[0] == 1  # loads numpy's library
    before = [library["num_threads"] for library in threadpool_info()]
    assert before
    for _ in range(2):
        with one_thread():
            assert {library["num_threads"] for library in threadpool_info()} == {1}
        assert [library["num_threads"] for library in threadpool_info()] == before


def test_the_limit_applies_to_libraries_imported_later() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_BETWEEN], capture_output=True, text=True, timeout=60, check=True)
    before, after = json.loads(done.stdout)
    assert len(after) > len(before) >= 1
    assert set(before) == set(after) == {1}
