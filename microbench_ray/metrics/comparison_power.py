"""The power of a comparison of two runs before they are made: how often the interval of `run_difference` finds the better model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from microbench_ray.metrics.normal import normal_share
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.run_difference import PSEUDO_ITEMS

NORMAL_95 = 1.959964
"""Standard errors on either side of a 95 % interval."""
GRADED = 3.0
"""The mean square of graded differences weighted by themselves, over their mean square: that of a normal variable."""


def comparison_power(pairs: PairMoments, size: int) -> FloatArray:
    """(n_pairs,) probability that the 95 % interval of a comparison on `size` random items lies above 0, for the better model.

    The interval is that of items which are independent and count the same, for all items like these. With `pairs.noise`, runs are
    single ones, or means of several repeats, and the better model is the one with the higher expectation.

    Parameters
    ----------
    pairs
        Pairs that answered the same items, which count the same.
    size
        Number of items, drawn from the benchmark's; at most all.
    """
    noise, n_items = pairs.noise, pairs.n_items
    difference = pairs.mean / pairs.units
    if noise is None:
        per_item = pairs.variance / pairs.units**2 * n_items / max(1, n_items - 1)
        drawn, of_truth = per_item * (1 / size - 1 / n_items), np.zeros(pairs.n_pairs)
        square, binary = pairs.square / pairs.units**2, pairs.units == 1
    else:
        per_item = replace(noise, with_runs=False).variance(pairs, size, population=True) * size
        drawn, of_truth = noise.variance(pairs, size), noise.truth_variance(pairs)
        share = noise.truth_share(pairs, of_truth)
        difference, of_truth = share * difference, share * of_truth
        square, binary = per_item + difference**2, noise.units == 1
    one_sided = np.ones(pairs.n_pairs) if binary else np.minimum(1.0, GRADED * square)
    n = size + PSEUDO_ITEMS
    centre = size * difference / n
    error = np.sqrt(((size * square + PSEUDO_ITEMS * one_sided) / n - centre**2) / n)
    deviation = size / n * np.sqrt(drawn + of_truth)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = normal_share((centre - NORMAL_95 * error) / deviation)
    return np.where(deviation > 0, found, np.asarray(centre > NORMAL_95 * error, np.float64))
