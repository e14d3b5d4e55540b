"""Compiled loops of `pair_sums.weighted_sums`."""

from __future__ import annotations

import numpy as np

from microbench_ray.core.compiled import compiled


@compiled(nogil=True)
def weighted_sums_kernel(bins, agree, base, added, n_late, n_bins):  # type: ignore[no-untyped-def]
    """The fields of `pair_sums.PairSums`, in order; arguments as for `pair_sums.weighted_sums`."""
    n, n_models = base.shape
    n_added = added.shape[1]
    base_agree, base_pairs = np.zeros((n, n_bins), np.int64), np.zeros((n, n_bins), np.int64)
    all_agree, all_pairs = np.zeros((n, n_bins), np.int64), np.zeros((n, n_bins), np.int64)
    late = np.zeros((n, 2), np.int64)
    present, weight = np.empty(n_models, np.int64), np.empty(n_models, np.int64)
    row_agree, row_pairs = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for k in range(n):
        row_agree[:] = 0
        row_pairs[:] = 0
        n_present = 0
        for j in range(n_models):
            weight[j] = base[k, j]
            if weight[j] > 0:
                present[n_present] = j
                n_present += 1
        for i in range(n_present):
            model = present[i]
            for j in range(i):
                partner = present[j]
                product = weight[model] * weight[partner]
                row_pairs[bins[model, partner]] += product
                row_agree[bins[model, partner]] += product * agree[model, partner]
        base_agree[k] = row_agree[:n_bins]
        base_pairs[k] = 2 * row_pairs[:n_bins]
        before_agree, before_pairs = base_agree[k].sum(), base_pairs[k].sum()
        for i in range(n_added):
            if i == n_added - n_late:
                before_agree, before_pairs = row_agree[:n_bins].sum(), 2 * row_pairs[:n_bins].sum()
            model = added[k, i]
            for j in range(n_present):
                partner = present[j]
                row_pairs[bins[model, partner]] += weight[partner]
                row_agree[bins[model, partner]] += weight[partner] * agree[model, partner]
            if weight[model] == 0:
                present[n_present] = model
                n_present += 1
            weight[model] += 1
        all_agree[k] = row_agree[:n_bins]
        all_pairs[k] = 2 * row_pairs[:n_bins]
        if n_late > 0:
            late[k, 0] = all_agree[k].sum() - before_agree
            late[k, 1] = all_pairs[k].sum() - before_pairs
    return base_agree, base_pairs, all_agree, all_pairs, late
