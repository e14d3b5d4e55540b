"""Which methods are not worse than the best one by more than chance, over runs that all of them share.

Of many methods, the one with the largest measured agreement is partly the luckiest one. So the question is not which method came
first, but of which methods the runs say that another one is better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.counts import IntArray
from microbench_ray.metrics.paired import MIN_RUNS, linearised_agreement
from microbench_ray.metrics.pairs import FloatArray

ROUNDING = 1e-12
"""A standard deviation over runs up to this is none."""


def best_p_values(agree: IntArray, pairs: IntArray) -> FloatArray:
    """For each method, the p-value of the hypothesis that no other method is better, by mean agreement.

    A method is compared with every other one by Student's one-sided test of their paired difference over runs (linearised, as
    in `paired.mean_agreement_difference`). Its own p-value is the smallest of these times their number (Bonferroni), because
    the best of the others is chosen by the same runs; and the p-values of all methods are then corrected together (`holm`). So
    if all methods are equal, any of them has a p-value up to .05 in at most 5 % of sweeps; and the method that is truly best
    has one above .05 in at least 95 % of sweeps.

    Parameters
    ----------
    agree, pairs
        (n_methods, n_runs) counts over all bins, as in `BootstrapCrossings`; column k is the same run of every method.

    Returns
    -------
    array
        (n_methods,) in [0, 1]; NaN below `MIN_RUNS` runs, for a method without pairs, and where fewer than two methods have pairs.

    References
    ----------
    Hsu, J. C. (1996). Multiple Comparisons: Theory and Methods. Chapman and Hall.
    """
    from scipy import special  # slow to import

    found = np.full(len(agree), np.nan)
    comparable = np.flatnonzero(pairs.sum(axis=1) > 0)
    n_runs = pairs.shape[1]
    if n_runs < MIN_RUNS or len(comparable) < 2:
        return found
    means, linearised = zip(*(linearised_agreement(agree[k], pairs[k]) for k in comparable), strict=True)
    behind = np.array(means)[None, :] - np.array(means)[:, None]
    per_run = np.stack(linearised)
    error = (per_run[None, :, :] - per_run[:, None, :]).std(axis=2, ddof=1) / np.sqrt(n_runs)
    exact = error < ROUNDING
    statistic = np.where(exact, np.where(behind > ROUNDING, np.inf, -np.inf), behind / np.where(exact, 1.0, error))
    np.fill_diagonal(statistic, -np.inf)
    p_values = special.stdtr(n_runs - 1, -statistic)
    found[comparable] = holm(np.minimum(1.0, (len(comparable) - 1) * p_values.min(axis=1)))
    return found


def holm(p_values: NDArray[np.float64]) -> FloatArray:
    """(n,) p-values adjusted for their number: rejecting those up to a level makes any false rejection as rare as that level.

    References
    ----------
    Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6.
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1.0, p_values[order] * np.arange(len(order), 0, -1)))
    adjusted = np.empty(len(order))
    adjusted[order] = stepped
    return adjusted
