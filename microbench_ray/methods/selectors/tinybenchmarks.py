"""tinyBenchmarks (Polo et al. 2024): the items nearest to the centroids of clusters of item response parameters."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.clustering import kmeans
from microbench_ray.methods.kernels.irt import IrtFit
from microbench_ray.methods.kernels.irt_fit import FitsIrt, check_dims


@dataclass(frozen=True)
class TinyBenchmarks(FitsIrt):
    """One item of each k-means cluster of the items' discriminations and difficulties, weighted by the cluster's share of items.

    A multidimensional IRT model is fitted to the source models' correctness. As its abilities have covariance I, the squared
    distance of two items' [a, b] is the mean squared difference of their logits over models of such abilities. A cluster is
    represented by the item nearest to its centroid.

    Missing responses are left out of the likelihood; graded ones enter as fractions.

    Parameters
    ----------
    dims
        Maximum number of dimensions of the IRT model.

    References
    ----------
    Polo, F. M. et al. (2024). tinyBenchmarks: evaluating LLMs with fewer examples. ICML 2024, §3.3 ("anchor-IRT").
    """

    dims: int = 10
    signal: ClassVar[Signal] = "correctness"
    nested: ClassVar[bool] = False
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_dims("tinybenchmarks", self.dims)

    def select(self, seen: SeenItems, fit: IrtFit, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items; their weights sum to 1."""
        points = np.column_stack([fit.discrimination, fit.difficulty])
        return choose_representatives(points, size, rng, seen.weights)


def choose_representatives(
    points: NDArray[np.float64], size: int, rng: np.random.Generator, shares: NDArray[np.float64] | None = None
) -> Selection:
    """The point of each of `size` k-means clusters that is nearest to its centroid, weighted by the cluster's share of points.

    Where there are fewer distinct points than `size`, the clusters with the most points per representative get further
    representatives, their next nearest to the centroid; a cluster's share is divided equally among its representatives.

    Parameters
    ----------
    points
        (n_items, n_coordinates), finite.
    size
        At most n_items.
    rng
        Draws the start of k-means.
    shares
        (n_items,) the share of each point that a cluster's weight is the sum of; None where they are equal.

    Returns
    -------
    Selection
        Items in ascending order.
    """
    from sklearn.exceptions import ConvergenceWarning  # slow to import, and not needed by most methods

    n_clusters = min(size, len(np.unique(points.astype(np.float32), axis=0)))
    with warnings.catch_warnings():
        # Where points nearly coincide, k-means finds fewer clusters; the loop below makes up the number.
        warnings.simplefilter("ignore", ConvergenceWarning)
        centres, labels = kmeans(points, n_clusters, rng)
    distance = ((points - centres[labels]) ** 2).sum(axis=1)
    by_cluster = np.lexsort((np.arange(len(points)), distance, labels))
    sizes = np.bincount(labels, minlength=n_clusters)
    first = np.cumsum(sizes) - sizes
    taken = np.minimum(sizes, 1)
    while taken.sum() < size:
        load = np.where(taken < sizes, sizes / np.maximum(taken, 1), 0.0)
        taken[int(np.argmax(load))] += 1
    items = np.concatenate([by_cluster[start : start + count] for start, count in zip(first, taken, strict=True)])
    of_cluster = sizes / np.maximum(taken, 1) / len(points)
    if shares is not None:
        of_cluster = np.bincount(labels, shares, minlength=n_clusters) / np.maximum(taken, 1)
    weights = np.repeat(of_cluster, taken)
    order = np.argsort(items)
    return Selection(items[order], weights[order])
