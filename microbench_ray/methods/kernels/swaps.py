"""The compiled loops of FasterPAM; see `fasterpam`, which calls them."""

from __future__ import annotations

import numpy as np

from microbench_ray.core.compiled import compiled


@compiled(nogil=True)
def swap_until_best(distances, medoids, max_passes, min_gain):  # type: ignore[no-untyped-def]
    """Swap two or more `medoids` in place until no swap lowers the loss; return nearest, loss, passes, swaps and convergence."""
    n, k = distances.shape[0], medoids.size
    nearest, second = np.empty(n, np.int64), np.empty(n, np.int64)
    to_nearest, to_second = np.empty(n, distances.dtype), np.empty(n, distances.dtype)
    slot = np.full(n, -1)  # of a medoid, its position among the medoids
    slot[medoids] = np.arange(k)
    for point in range(n):
        _two_nearest(distances, medoids, slot, point, nearest, second, to_nearest, to_second)
    removal, gains = np.empty(k), np.empty(k)
    near, left = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    loss = _losses(nearest, to_nearest, to_second, removal)
    min_removal = removal.min()
    n_passes, n_swaps, since = 0, 0, 0
    while n_passes < max_passes:
        n_passes += 1
        for candidate in range(n):
            since += 1
            row = distances[candidate]
            # No swap can gain more than the candidate's reach minus the loss of removing a medoid: this skips most candidates.
            if slot[candidate] < 0 and _reach(row, to_second) >= 0.99 * min_removal:
                # Only points nearer to the candidate than to their second medoid matter; finding them first, without a branch, is
                # several times as fast as a single loop over all points.
                n_near = 0
                for point in range(n):
                    near[n_near] = point
                    n_near += row[point] < to_second[point]
                # The change of the loss that does not depend on which medoid is removed, and the change for each removal.
                shared = 0.0
                gains[:] = removal
                for i in range(n_near):
                    point = near[i]
                    d, first, other = np.float64(row[point]), np.float64(to_nearest[point]), np.float64(to_second[point])
                    if d < first:
                        shared += d - first
                        gains[nearest[point]] += first - other
                    else:
                        gains[nearest[point]] += d - other
                leaving = np.argmin(gains)
                if gains[leaving] + shared < -min_gain * loss:
                    slot[medoids[leaving]] = -1
                    slot[candidate] = leaving
                    medoids[leaving] = candidate
                    n_left = 0
                    for point in range(n):
                        left[n_left] = point
                        n_left += (nearest[point] == leaving) | (second[point] == leaving)
                    for i in range(n_near):
                        point = near[i]
                        if row[point] < to_nearest[point]:
                            second[point], to_second[point] = nearest[point], to_nearest[point]
                            nearest[point], to_nearest[point] = leaving, row[point]
                        else:
                            second[point], to_second[point] = leaving, row[point]
                    for i in range(n_left):
                        _two_nearest(distances, medoids, slot, left[i], nearest, second, to_nearest, to_second)
                    _two_nearest(distances, medoids, slot, candidate, nearest, second, to_nearest, to_second)
                    loss = _losses(nearest, to_nearest, to_second, removal)
                    min_removal = removal.min()
                    n_swaps += 1
                    since = 0
            if since >= n:
                return nearest, loss, n_passes, n_swaps, True
    return nearest, loss, n_passes, n_swaps, False


@compiled(nogil=True, fastmath={"reassoc", "nsz"})
def _reach(row, to_second):  # type: ignore[no-untyped-def]
    """How much nearer a candidate is to the points than their second medoid, summed; approximate, since sums may be reordered."""
    reach = row.dtype.type(0)
    for point in range(row.size):
        reach += max(to_second[point] - row[point], row.dtype.type(0))
    return reach


@compiled(nogil=True)
def _two_nearest(distances, medoids, slot, point, nearest, second, to_nearest, to_second):  # type: ignore[no-untyped-def]
    """Find a point's nearest and second nearest medoid; a medoid is its own nearest, even if another is as near."""
    row = distances[point]
    first = other = -1
    to_first = to_other = np.inf
    for m in range(medoids.size):
        d = row[medoids[m]]
        if d < to_other and medoids[m] != point:
            if d < to_first:
                first, other = m, first
                to_first, to_other = d, to_first
            else:
                other, to_other = m, d
    if slot[point] >= 0:
        first, other = slot[point], first
    nearest[point], second[point] = first, other
    to_nearest[point], to_second[point] = row[medoids[first]], row[medoids[other]]


@compiled(nogil=True)
def _losses(nearest, to_nearest, to_second, removal):  # type: ignore[no-untyped-def]
    """Return the loss, and write into `removal` its increase if a medoid is removed without replacement."""
    loss = 0.0
    removal[:] = 0.0
    for point in range(nearest.size):
        loss += np.float64(to_nearest[point])
        removal[nearest[point]] += np.float64(to_second[point]) - np.float64(to_nearest[point])
    return loss
