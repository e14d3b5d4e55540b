"""k-means, the same on any number of cores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.threads import one_thread


class Clusters(NamedTuple):
    """What `kmeans` returns."""

    centres: NDArray[np.floating]
    """(k, n_features) means of the clusters."""
    labels: NDArray[np.int32]
    """(n,) cluster of each point."""


def kmeans(points: NDArray[np.floating], k: int, rng: np.random.Generator) -> Clusters:
    """Lloyd's k-means from one k-means++ start (scikit-learn's), with one thread.

    Parameters
    ----------
    points
        (n, n_features), with at least k different rows.
    k
        Number of clusters.
    rng
        Draws the start.
    """
    from sklearn.cluster import KMeans  # imported where it is used: it takes seconds, and most methods do without

    model = KMeans(n_clusters=k, n_init=1, random_state=int(rng.integers(2**31)))
    # A limit that was set before the import does not hold for the threads that the import brought; more of them change bits.
    with one_thread():
        model.fit(points)
    return Clusters(model.cluster_centers_, model.labels_)
