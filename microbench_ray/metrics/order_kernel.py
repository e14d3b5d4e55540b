"""Compiled loop of `order_simulation.SimulatedOrders`."""

from __future__ import annotations

import numpy as np

from microbench_ray.core.compiled import compiled


@compiled(nogil=True)
def order_counts(values, present, order, size, tolerance):  # type: ignore[no-untyped-def]
    """(n_models, n_models) number of samples in which the first model has the higher mean.

    Parameters
    ----------
    values, present
        (n_items, n_models) scores, whole numbers, 0 where missing; whether they are not. Where items count differently, floats: the
        scores by their weights, and the weights of those that are not missing.
    order
        (n_samples, n_items) permutations of the items; a sample is the first `size` of them.
    tolerance
        Products of a sum and a number of answered items that differ by less are equal: 0 for whole numbers.
    """
    n_models = values.shape[1]
    above = np.zeros((n_models, n_models), np.int64)
    sums, answered = np.empty(n_models, values.dtype), np.empty(n_models, values.dtype)
    for sample in range(order.shape[0]):
        sums[:] = 0
        answered[:] = 0
        for k in range(size):
            item = order[sample, k]
            for model in range(n_models):
                sums[model] += values[item, model]
                answered[model] += present[item, model]
        for i in range(n_models):
            if answered[i] > 0:
                for j in range(n_models):
                    # Ratios, compared as whole numbers; a model without a response has 0 > 0.
                    above[i, j] += answered[j] > 0 and sums[i] * answered[j] - sums[j] * answered[i] > tolerance
    return above
