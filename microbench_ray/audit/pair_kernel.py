"""The loops behind `pair_sums.weighted_sums`, compiled."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def weighted_sums_kernel(bins, agree, base, added, n_late, n_bins):  # type: ignore[no-untyped-def]
    """The fields of `pair_sums.Sums`: see `pair_sums.weighted_sums` for what is counted and for the arguments."""
    n, n_models = base.shape
    n_added = added.shape[1]
    first_agree, first_pairs = np.zeros((n, n_bins), np.int64), np.zeros((n, n_bins), np.int64)
    all_agree, all_pairs = np.zeros((n, n_bins), np.int64), np.zeros((n, n_bins), np.int64)
    late = np.zeros((n, 2), np.int64)
    there, weight = np.empty(n_models, np.int64), np.empty(n_models, np.int64)
    row_agree, row_pairs = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for k in range(n):
        row_agree[:] = 0
        row_pairs[:] = 0
        m = 0
        for model in range(n_models):
            weight[model] = base[k, model]
            if weight[model] > 0:
                there[m] = model
                m += 1
        for i in range(m):
            one = there[i]
            for j in range(i):
                other = there[j]
                product = weight[one] * weight[other]
                row_pairs[bins[one, other]] += product
                row_agree[bins[one, other]] += product * agree[one, other]
        first_agree[k] = row_agree[:n_bins]
        first_pairs[k] = 2 * row_pairs[:n_bins]
        before_agree, before_pairs = first_agree[k].sum(), first_pairs[k].sum()
        for i in range(n_added):
            if i == n_added - n_late:
                before_agree, before_pairs = row_agree[:n_bins].sum(), 2 * row_pairs[:n_bins].sum()
            one = added[k, i]
            for j in range(m):
                other = there[j]
                row_pairs[bins[one, other]] += weight[other]
                row_agree[bins[one, other]] += weight[other] * agree[one, other]
            if weight[one] == 0:
                there[m] = one
                m += 1
            weight[one] += 1
        all_agree[k] = row_agree[:n_bins]
        all_pairs[k] = 2 * row_pairs[:n_bins]
        if n_late > 0:
            late[k, 0] = all_agree[k].sum() - before_agree
            late[k, 1] = all_pairs[k].sum() - before_pairs
    return first_agree, first_pairs, all_agree, all_pairs, late
