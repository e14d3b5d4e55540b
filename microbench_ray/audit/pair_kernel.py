"""Compiled loops of `pair_sums.division_sums`."""

from __future__ import annotations

import numpy as np

from microbench_ray.core.compiled import compiled


@compiled(nogil=True)
def division_sums_kernel(bins, agree, added, n_late, n_bins):  # type: ignore[no-untyped-def]
    """The fields of `pair_sums.PairSums`, in order; arguments as for `pair_sums.division_sums`."""
    n_models = bins.shape[0]
    n, n_added = added.shape
    total_agree, total_pairs = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for i in range(n_models):
        for j in range(i):
            total_pairs[bins[i, j]] += 2
            total_agree[bins[i, j]] += agree[i, j]
    base_agree, base_pairs = np.zeros((n, n_bins), np.int64), np.zeros((n, n_bins), np.int64)
    late = np.zeros((n, 2), np.int64)
    present = np.empty(n_models, np.bool_)
    row_agree, row_pairs = np.empty(256, np.int64), np.empty(256, np.int64)
    for k in range(n):
        present[:] = True
        row_agree[:] = total_agree
        row_pairs[:] = total_pairs
        for i in range(n_added):  # the models added last are removed first
            model = added[k, n_added - 1 - i]
            present[model] = False
            for partner in range(n_models):
                if present[partner]:
                    row_pairs[bins[model, partner]] -= 2
                    row_agree[bins[model, partner]] -= agree[model, partner]
            if i == n_late - 1:
                late[k, 0] = total_agree[:n_bins].sum() - row_agree[:n_bins].sum()
                late[k, 1] = total_pairs[:n_bins].sum() - row_pairs[:n_bins].sum()
        base_agree[k] = row_agree[:n_bins]
        base_pairs[k] = row_pairs[:n_bins]
    return base_agree, base_pairs, total_agree[:n_bins].copy(), total_pairs[:n_bins].copy(), late
