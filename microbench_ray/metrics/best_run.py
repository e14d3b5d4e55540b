"""Several runs on the same items: which is best, and how much of its lead is luck."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.threads import one_thread

FloatArray = NDArray[np.float64]

N_DRAWS = 1_000
"""Draws of the Bayesian bootstrap: probabilities have a standard error of at most .016."""
TIE = 1e-6
"""Difference of two means below which they are tied: single precision."""
DRAWS_PER_BLOCK = 100
"""All draws of a large benchmark would not fit into memory."""
MIN_SHRUNK = 3
"""Runs from which on the spread of their true scores can be told from chance."""


class Standings(NamedTuple):
    """Mean scores of runs.

    Attributes
    ----------
    mean
        (n_runs,) over the items, with their weights.
    p_best
        (n_runs,) probability of the highest mean on the population of items; ties are shared.
    shrunk
        (n_runs,) means moved towards that of all runs by the share of their spread that is chance; `mean` itself for fewer than
        `MIN_SHRUNK` runs.
    """

    mean: FloatArray
    p_best: FloatArray
    shrunk: FloatArray


def standings(scores: FloatArray, weights: FloatArray, cluster: NDArray[np.intp], rng: np.random.Generator) -> Standings:
    """Compare runs on the items that all of them answered.

    `p_best` is from the Bayesian bootstrap (Rubin 1981) over clusters. `shrunk` is the empirical-Bayes estimate of James and Stein
    (Efron & Morris 1975) of the runs' deviations from their mean, each with its own variance over clusters; the variance of the
    true deviations is estimated by moments.

    Parameters
    ----------
    scores
        (n_runs, n_items) without missing values.
    weights
        (n_items,) that sum to 1.
    cluster
        (n_items,) clusters of items, from 0 on; one for each item where items are independent.
    rng
        Draws the weights of the clusters.
    """
    n_runs = len(scores)
    _, cluster = np.unique(cluster, return_inverse=True)
    n_clusters = int(cluster.max()) + 1
    totals = np.stack([np.bincount(cluster, weights * row, n_clusters) for row in scores])
    shares = np.bincount(cluster, weights, n_clusters)
    mean = scores @ weights
    means = np.empty((N_DRAWS, n_runs))
    of_runs, of_items = totals.T.astype(np.float32), shares.astype(np.float32)
    with one_thread():  # the products are too small to gain from more
        for start in range(0, N_DRAWS, DRAWS_PER_BLOCK):
            drawn = rng.standard_exponential((min(DRAWS_PER_BLOCK, N_DRAWS - start), n_clusters), np.float32)
            means[start : start + len(drawn)] = (drawn @ of_runs) / (drawn @ of_items)[:, None]
    best = means >= means.max(axis=1, keepdims=True) - TIE
    p_best = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    if n_runs < MIN_SHRUNK or n_clusters < 2:
        return Standings(mean, p_best, mean.copy())
    centred = scores - scores.mean(axis=0)
    deviation = centred @ weights
    residuals = np.stack([np.bincount(cluster, weights * row, n_clusters) for row in centred - deviation[:, None]])
    variance = n_clusters / (n_clusters - 1) * np.square(residuals).sum(axis=1)
    spread = max(0.0, float((np.square(deviation).sum() - variance.sum()) / (n_runs - 1)))
    kept = spread / np.maximum(spread + variance, 1e-300) if spread else np.zeros(n_runs)
    return Standings(mean, p_best, mean.mean() + kept * deviation)
