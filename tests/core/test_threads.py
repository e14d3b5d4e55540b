"""The limit to one thread applies to libraries that are loaded already and to those loaded later."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from microbench_ray.core.threads import VARIABLES, one_thread

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


LOADED_INSIDE = """
import os, sys
from threadpoolctl import threadpool_info
from microbench_ray.core.threads import VARIABLES, one_thread
with one_thread():
    import scipy.linalg
    import sklearn.cluster
    threads = {entry["filepath"]: entry["num_threads"] for entry in threadpool_info()}
assert len(threads) >= 3, threads  # numpy's and scipy's BLAS, and OpenMP
assert set(threads.values()) == {1}, threads
assert not set(VARIABLES) & set(os.environ)
"""


@pytest.mark.slow
def test_a_library_that_is_loaded_inside_has_one_thread() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    completed = subprocess.run([sys.executable, "-c", LOADED_INSIDE], env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with contextlib.suppress(ValueError), one_thread():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
        raise ValueError
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ
