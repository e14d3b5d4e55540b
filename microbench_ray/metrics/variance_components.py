"""Variance components of repeated responses: between items, between repeats of an item, and of whole runs.

A response of a model to item i in run k is taken as its accuracy + the item's effect + an effect of the run that is common to all
items + a rest, and the variances are estimated from mean squares (Searle, Casella and McCulloch 1992, "Variance Components",
chapter 4). What the mean over n items has of the first and the last falls with n; the effect of a run does not.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.tail_shares import f_tail

LEVEL = 0.05
"""p-value, after Holm's correction for the number of models, below which a run effect is a model's own."""
MIN_RUNS, MIN_ITEMS = 2, 2
"""Runs of all items, and items with all of them, from which a run effect can be told."""
ORDERED_Z = -4.0
"""Standard deviations by which neighbouring repeats differ less often than others, below which their order is not that of runs."""
ORDERED_SHARE = 0.1
"""Share of such models above which no model's repeats are taken as runs."""


class VarianceComponents(NamedTuple):
    """Variance components of each model, (n_models,), in squared fractions.

    Attributes
    ----------
    accuracy
        Mean over the items of the means of repeats; NaN without responses.
    items
        Variance between items of their expected scores.
    within
        Variance of a response to one item, without the effect of runs; the mean over items. NaN where no item was repeated.
    runs
        Variance of the effect of a run that is common to all items, unbiased, so that it may be below 0. NaN where it cannot be
        told: no items have all repeats, or the order of repeats is not that of runs.
    runs_used
        The same for predictions, at least 0: a model's own where a test finds it, elsewhere the mean of the models without such.
    p_runs
        p-value of there being no effect of runs, by the F test; NaN where it cannot be told.
    answered
        Share of the items that the model answered.
    per_item
        Mean over these items of 1 / number of repeats: how much of `within` is left in the mean of an item's repeats.
    n_runs
        Number of repeats, the largest of any item.
    is_grouped
        Whether equal scores stand together among an item's repeats, so that their order is not that of runs.
    """

    accuracy: FloatArray
    items: FloatArray
    within: FloatArray
    runs: FloatArray
    runs_used: FloatArray
    p_runs: FloatArray
    answered: FloatArray
    per_item: FloatArray
    n_runs: NDArray[np.intp]
    is_grouped: NDArray[np.bool_]


def variance_components(repeats: NDArray[Any], weights: FloatArray | None = None) -> VarianceComponents:
    """Estimate the components, model by model.

    Parameters
    ----------
    repeats
        (n_models, n_items, n_repeats) scores in [0, 1], NaN where a response has fewer repeats.
    weights
        (n_items,) what each item counts, 1 on average; None where all count the same. Components are then those of the scores times
        the weights, which are 1 on average over the items that a model answered, and `answered` is a share of the weights.
    """
    rows = [_of_model(np.asarray(scores, np.float64), weights) for scores in repeats]
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in _Row._fields}
    within = columns["within"]
    if np.isfinite(within).any():  # models without repeats have the noise of the others
        columns["within"] = np.where(np.isfinite(within), within, float(np.nanmean(within)))
    if columns["is_grouped"].mean() > ORDERED_SHARE:
        columns["runs"], columns["p_runs"] = (np.full(len(rows), math.nan) for _ in range(2))
    used = effects_used(columns["runs"], columns["p_runs"])
    columns["within"] = np.maximum(0.0, columns["within"] - used)  # repeats of an item differ by the effects of runs as well
    return VarianceComponents(runs_used=used, **columns)


class _Row(NamedTuple):
    """The components of one model."""

    accuracy: float
    items: float
    within: float
    runs: float
    p_runs: float
    answered: float
    per_item: float
    n_runs: int
    is_grouped: bool


def _of_model(scores: FloatArray, weights: FloatArray | None) -> _Row:
    """The components of (n_items, n_repeats) scores."""
    known = ~np.isnan(scores).all(axis=1)
    answered, scores = float(known.mean()), scores[known]
    if weights is not None and len(scores):
        answered = float(weights[known].sum()) / len(weights)
        scores = scores * (weights[known] / weights[known].mean())[:, None]
    counts = np.count_nonzero(~np.isnan(scores), axis=1)
    if not len(scores):
        nan = math.nan
        return _Row(nan, nan, nan, nan, nan, answered=0.0, per_item=nan, n_runs=0, is_grouped=False)
    means = np.nanmean(scores, axis=1)
    squares = np.nansum(np.square(scores - means[:, None]), axis=1)
    repeated = counts > 1
    within = float((squares[repeated] / (counts[repeated] - 1)).mean()) if repeated.any() else math.nan
    is_grouped = grouped(scores)
    runs, p = (math.nan, math.nan) if is_grouped else run_effect(scores)
    per_item = float((1.0 / counts).mean())
    of_means = float(means.var(ddof=1)) if len(means) > 1 else 0.0
    items = max(0.0, of_means - (0.0 if math.isnan(within) else within * per_item))
    return _Row(
        accuracy=float(means.mean()),
        items=items,
        within=within,
        runs=runs,
        p_runs=p,
        answered=answered,
        per_item=per_item,
        n_runs=int(counts.max()),
        is_grouped=is_grouped,
    )


def run_effect(scores: FloatArray) -> tuple[float, float]:
    """Variance of the effect of a run, unbiased, and the p-value of there being none; NaN where they cannot be told.

    By the mean squares of the two-way layout without replication, over the items that have all repeats.

    Parameters
    ----------
    scores
        (n_items, n_repeats), NaN where missing.
    """
    complete = scores[~np.isnan(scores).any(axis=1)]
    n, runs = complete.shape
    if runs < MIN_RUNS or n < MIN_ITEMS:
        return math.nan, math.nan
    of_runs = complete.mean(axis=0)
    residuals = complete - complete.mean(axis=1, keepdims=True) - of_runs + complete.mean()
    between = n * float(of_runs.var(ddof=1))
    rest = float(np.square(residuals).sum()) / ((n - 1) * (runs - 1))
    if rest <= 0:
        return between / n, 1.0 if between <= 0 else 0.0
    return (between - rest) / n, f_tail(between / rest, runs - 1, (n - 1) * (runs - 1))


def grouped(scores: FloatArray) -> bool:
    """Whether neighbouring repeats of an item are equal more often than others, such as where a tool groups equal answers.

    Such repeats are not runs: the means of their places differ, whatever the runs did.
    """
    complete = scores[~np.isnan(scores).any(axis=1)]
    n_repeats = complete.shape[1]
    if n_repeats < 3 or not len(complete):
        return False
    changes = float((np.diff(complete, axis=1) != 0).sum())
    ordered_pairs = float(sum((complete[:, [k]] != complete).sum() for k in range(n_repeats)))
    expected = ordered_pairs / n_repeats  # n_repeats - 1 neighbours, n_repeats (n_repeats - 1) ordered pairs
    return bool(changes - expected < ORDERED_Z * math.sqrt(expected))


def effects_used(runs: FloatArray, p: FloatArray) -> FloatArray:
    """(n_models,) variances of runs for predictions: a model's own where Holm's test finds it, else the mean of the others.

    Parameters
    ----------
    runs, p
        Unbiased variances and p-values, NaN where they cannot be told.
    """
    known = np.flatnonzero(~np.isnan(runs))
    own = np.zeros(runs.size, bool)
    for rank, model in enumerate(known[np.argsort(p[known], kind="stable")]):
        if p[model] > LEVEL / (known.size - rank):
            break
        own[model] = True
    rest = runs[known][~own[known]]
    common = max(0.0, float(rest.mean())) if rest.size else 0.0
    return np.where(own, np.maximum(0.0, np.nan_to_num(runs)), common)
