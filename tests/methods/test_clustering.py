"""k-means runs on one thread, whatever was limited before scikit-learn was imported."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from microbench_ray.methods.kernels.clustering import kmeans

WATCH = """
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

with threadpool_limits(1):
    from microbench_ray.methods.kernels.clustering import kmeans
    import sklearn.cluster

    fit, seen = sklearn.cluster.KMeans.fit, []

    def watched(self, points):
        seen.extend(library["num_threads"] for library in threadpool_info())
        return fit(self, points)

    sklearn.cluster.KMeans.fit = watched
    kmeans(np.random.default_rng(0).random((100, 2)), 3, np.random.default_rng(0))
print(sorted(set(seen)), {library["user_api"] for library in threadpool_info()} >= {"openmp", "blas"})
"""


@pytest.mark.slow
def test_one_thread_is_used_also_by_libraries_loaded_later() -> None:
    done = subprocess.run([sys.executable, "-c", WATCH], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[0] == "[1] True"


def test_points_are_nearest_to_their_own_centre() -> None:
    points = np.random.default_rng(1).random((200, 3))
    found = kmeans(points, 7, np.random.default_rng(2))
    assert found.centres.shape == (7, 3)
    nearest = np.square(points[:, None] - found.centres).sum(axis=2).argmin(axis=1)
    assert np.mean(nearest == found.labels) > 0.99
    assert np.array_equal(found.labels, kmeans(points, 7, np.random.default_rng(2)).labels)
