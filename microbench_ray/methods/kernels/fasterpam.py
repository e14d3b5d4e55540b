"""k-medoids by FasterPAM (Schubert and Rousseeuw 2021, "Fast and eager k-medoids clustering", Information Systems 101)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import DataError

MAX_PASSES = 100
MIN_GAIN = 1e-9
"""A swap must lower the loss by more than this share of it: smaller gains are rounding errors, and ties could swap for ever."""


class KMedoids(NamedTuple):
    """Result of `fasterpam`."""

    medoids: NDArray[np.intp]
    """(k,) positions of the medoids."""
    labels: NDArray[np.intp]
    """(n,) index of the nearest medoid of each point, from 0; the first of equally near ones, but a medoid is its own."""
    loss: float
    """Sum over points of the distance to the nearest medoid."""
    n_passes: int
    """Number of passes over all candidates, the last one without a swap if it converged."""
    n_swaps: int
    """Number of swaps."""
    converged: bool
    """Whether no swap of one medoid for one other point lowers the loss."""


def fasterpam(distances: NDArray[np.floating], start: NDArray[np.integer], *, max_passes: int = MAX_PASSES) -> KMedoids:
    """Choose k of n points so that the sum of distances to the nearest chosen one is small: a local optimum for swaps.

    Every point in turn is tried as a medoid; the best swap with one of the medoids is found in O(n) from the distances to the
    nearest and second nearest medoid, and made at once if it lowers the loss. The search ends when a whole round of candidates
    brings no swap. Nothing is random: the result is a function of the distances and the start.

    Parameters
    ----------
    distances
        (n, n) symmetric dissimilarities, float32 or float64, in C order; sums are kept in float64.
    start
        (k,) distinct points to start from, 1 <= k <= n: a random choice is as good as any, since swaps are eager.
    max_passes
        Maximum number of passes; a handful is usual.

    Returns
    -------
    KMedoids
        Medoids in no order, labels, loss and a report of convergence.

    Raises
    ------
    DataError
        Distances that are not a square matrix or not finite; a start with repeated or out-of-range points.
    """
    matrix = np.ascontiguousarray(distances)
    points = np.asarray(start, dtype=np.int64)
    n = matrix.shape[0]
    if matrix.ndim != 2 or matrix.shape != (n, n) or matrix.dtype not in (np.float32, np.float64):
        raise DataError("Distances must be a square matrix of floats.", where="fasterpam", got=f"{matrix.dtype} of {matrix.shape}")
    if not (np.isfinite(matrix.min(initial=0.0)) and np.isfinite(matrix.max(initial=0.0))):
        raise DataError(
            "Distances must be finite.",
            where="fasterpam",
            got=f"{np.count_nonzero(~np.isfinite(matrix))} values that are not finite",
        )
    if (
        points.ndim != 1
        or not 1 <= points.size <= n
        or np.unique(points).size < points.size
        or points.min() < 0
        or points.max() >= n
    ):
        raise DataError(
            "The start must be 1 to n distinct points.", where="fasterpam", got=f"{points.size} of {n} points: {points[:5]}"
        )
    return swap_medoids(matrix, points, max_passes)


def swap_medoids(matrix: NDArray[np.floating], start: NDArray[np.int64], max_passes: int = MAX_PASSES) -> KMedoids:
    """`fasterpam` without checks of its arguments: checking all distances costs as much as a pass over them."""
    medoids = start.copy()
    n = len(matrix)
    if medoids.size == 1:
        sums = matrix.sum(axis=1, dtype=np.float64)
        medoids[0] = np.argmin(sums)
        nearest, loss, n_passes, n_swaps, converged = np.zeros(n, np.int64), sums.min(), 1, int(medoids[0] != start[0]), True
    else:
        from microbench_ray.methods.kernels.swaps import swap_until_best  # imports numba, which takes a second

        nearest, loss, n_passes, n_swaps, converged = swap_until_best(matrix, medoids, max_passes, MIN_GAIN)
    return KMedoids(
        medoids=medoids.astype(np.intp),
        labels=nearest.astype(np.intp),
        loss=float(loss),
        n_passes=int(n_passes),
        n_swaps=int(n_swaps),
        converged=bool(converged),
    )
