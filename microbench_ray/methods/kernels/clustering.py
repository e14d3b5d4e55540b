"""k-means with the same result on any number of cores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.threads import one_thread


class Clusters(NamedTuple):
    """Result of `kmeans`."""

    centres: NDArray[np.floating]
    """(k, n_features) means of the clusters."""
    labels: NDArray[np.int32]
    """(n,) cluster of each point."""


def kmeans(points: NDArray[np.floating], k: int, rng: np.random.Generator) -> Clusters:
    """Lloyd's k-means from one k-means++ start (scikit-learn's), with one thread.

    Parameters
    ----------
    points
        (n, n_features), with at least k distinct rows. float64 takes half the time of float32, which scikit-learn converts block by
        block.
    k
        Number of clusters.
    rng
        Draws the start.
    """
    from sklearn.cluster import KMeans  # slow to import, and not needed by most methods

    model = KMeans(n_clusters=k, n_init=1, random_state=int(rng.integers(2**31)))
    # A limit set before the import does not apply to thread pools that the import creates, and more threads change bits.
    with one_thread():
        model.fit(points)
    return Clusters(centres=model.cluster_centers_, labels=model.labels_)
