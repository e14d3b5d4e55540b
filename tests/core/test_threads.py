"""One thread holds for libraries that are there, and for those that come later."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info

from microbench_ray.core.threads import one_thread

LATER = """
import json, sys
import numpy
from threadpoolctl import threadpool_info
from microbench_ray.core.threads import one_thread

with one_thread():
    before = [library["num_threads"] for library in threadpool_info()]
import sklearn.cluster
with one_thread():
    after = [library["num_threads"] for library in threadpool_info()]
print(json.dumps([before, after]))
"""


def test_it_holds_inside_and_is_undone_outside():
    assert np.ones(1)[0] == 1  # numpy's library is loaded
    before = [library["num_threads"] for library in threadpool_info()]
    for _ in range(2):
        with one_thread():
            assert {library["num_threads"] for library in threadpool_info()} == {1}
        assert [library["num_threads"] for library in threadpool_info()] == before


def test_it_holds_for_what_is_imported_later():
    done = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, timeout=60, check=True)
    before, after = json.loads(done.stdout)
    assert len(after) > len(before) >= 1
    assert set(before) == set(after) == {1}
