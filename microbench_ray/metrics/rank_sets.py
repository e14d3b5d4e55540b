"""Intervals of ranks: the accuracies of a board are those of a sample of items, of clusters of items, or of repeats.

A model's rank lies between 1 + the number of models that are better beyond chance and the number of models less those that it beats
beyond chance. Chance is what the largest studentised difference, of the model from any other, or of any two models, exceeds with
probability 1 - level (Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for ranks", Review of Economic Studies 91). The share of
resamples in which a model has a rank, the usual bootstrap, holds too rarely where models are close (Hall and Miller 2009).
The distribution of the largest difference is that of Gaussian multipliers of the items' residuals (Chernozhukov, Chetverikov and
Kato 2013, Annals of Statistics 41).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.threads import one_thread
from microbench_ray.metrics.pairs import TIE_TOLERANCE, FloatArray
from microbench_ray.metrics.run_difference import collapsed_strata

IntArray = NDArray[np.int64]

PSEUDO_ITEMS = 2
"""Items on which one of two models is ahead that are added to the variance of their difference, as in `run_difference`."""
DRAWS_PER_BLOCK = 128
SHOWN_PAIRS = 400
"""Pairs of models from which the size of a pseudo-item is taken where scores are graded."""


class RankSets(NamedTuple):
    """Intervals of ranks, all (n_models,).

    Attributes
    ----------
    rank
        By accuracy, from 1; models of equal accuracy share the best rank.
    low, high
        The interval.
    tie_group
        From 1, cut from the top: a group is its best model and all below it that are not worse beyond chance.
    """

    rank: IntArray
    low: IntArray
    high: IntArray
    tie_group: IntArray


class Spread(NamedTuple):
    """How accuracies vary by chance.

    Attributes
    ----------
    residuals
        (n_models, n_units) what each item, or cluster of items, adds to an accuracy less its mean; accuracies of another sample
        differ from these by sums of the residuals, each times an independent number with mean 0 and variance 1.
    own
        (n_models,) variance of each accuracy beyond that, independent between models: of repeats, and of runs.
    pseudo
        Variance that is added to every difference.
    """

    residuals: FloatArray
    own: FloatArray
    pseudo: float


def item_spread(
    scores: NDArray[Any],
    cluster: NDArray[np.integer[Any]] | None,
    runs: FloatArray,
    *,
    shares: FloatArray | None = None,
    stratum: NDArray[np.signedinteger[Any]] | None = None,
) -> Spread:
    """The items, or clusters of them, are a sample.

    Parameters
    ----------
    scores
        (n_models, n_items) fractions, NaN where missing; every model has answered an item.
    cluster
        (n_items,) from 0 on; None where items are independent.
    runs
        (n_models,) variance of each accuracy by effects of runs.
    shares
        (n_items,) what each item counts in an accuracy, with sum 1; None where all count the same.
    stratum
        (n_items,) subtasks from 0 on, each of which counts the same: items are drawn within them. None where items are drawn from
        all, also with other `shares`.
    """
    n_items = scores.shape[1]
    units = np.arange(n_items) if cluster is None else np.unique(cluster, return_inverse=True)[1]
    within = None if stratum is None else stratum.astype(np.intp)
    drawn_within = np.zeros(n_items, np.intp) if within is None else collapsed_strata(within, units)
    if shares is None:
        present = ~np.isnan(scores)
        answered = present.sum(axis=1)
        means = np.nansum(scores, axis=1) / answered
        residuals = np.where(present, scores - means[:, None], 0.0) / answered[:, None]
    else:
        residuals = _weighted_residuals(scores, shares, within, drawn_within)
    residuals *= np.sqrt(_correction(drawn_within, units))
    if cluster is not None:
        residuals = _sums(residuals, units)
    return Spread(residuals, runs, PSEUDO_ITEMS * _pseudo_square(scores) / effective_items(shares, n_items) ** 2)


def effective_items(shares: FloatArray | None, n_items: int) -> float:
    """The number of items that count the same and leave a mean the same variance as these `shares`, (n_items,) with sum 1."""
    return float(n_items) if shares is None else 1.0 / float(np.square(shares).sum())


def _weighted_residuals(
    scores: NDArray[Any], shares: FloatArray, subtask: NDArray[np.intp] | None, drawn_within: NDArray[np.intp]
) -> FloatArray:
    """(n_models, n_items) what each item adds to a weighted accuracy, less the mean of those drawn with it; 0 for missing ones."""
    present = ~np.isnan(scores)
    counts = present * shares
    if subtask is not None:  # each subtask of which a model answered any item counts the same
        of_subtask = _sums(counts, subtask)[:, subtask]
        counts = np.divide(counts, of_subtask, out=np.zeros(counts.shape), where=of_subtask > 0)
    counts /= counts.sum(axis=1, keepdims=True)
    values, totals = np.where(present, scores, 0.0), _sums(counts, drawn_within)
    means = np.divide(_sums(counts * values, drawn_within), totals, out=np.zeros(totals.shape), where=totals > 0)
    residuals: FloatArray = counts * (values - means[:, drawn_within])
    return residuals


def _sums(values: FloatArray, group: NDArray[np.intp]) -> FloatArray:
    """(n_models, n_groups) sums over the items of each group."""
    sums = np.zeros((len(values), int(group.max()) + 1))
    np.add.at(sums.T, group, values.T)
    return sums


def _correction(stratum: NDArray[np.intp], units: NDArray[np.intp]) -> FloatArray:
    """(n_items,) n/(n - 1) for the n items, or clusters, that are drawn in the stratum of each."""
    drawn = np.bincount(np.unique(np.stack([stratum, units]), axis=1)[0])
    factor: FloatArray = (drawn / np.maximum(1, drawn - 1))[stratum]
    return factor


def repeat_spread(within: FloatArray, n_items: float) -> Spread:
    """The items are all there are: only repeats vary; `within` is the (n_models,) variance of accuracies by repeats and runs,
    and `n_items` the effective number of items."""
    return Spread(np.zeros((within.size, 1)), within, PSEUDO_ITEMS * 0.25 / n_items**2)


def _pseudo_square(scores: NDArray[Any]) -> float:
    """The square of a difference of an item that counts: 1 for scores of 0 and 1, for grades the mean weighted by the squares."""
    n_models = len(scores)
    picked = np.linspace(0, n_models - 1, min(n_models, round(SHOWN_PAIRS**0.5))).round().astype(np.intp)
    squares = np.square(scores[picked][:, None] - scores[picked][None])
    total = float(np.nansum(squares))
    return float(np.nansum(np.square(squares))) / total if total > 0 else 1.0


def rank_sets(
    accuracy: FloatArray, spread: Spread, *, level: float, simultaneous: bool, n_draws: int, rng: np.random.Generator
) -> RankSets:
    """Intervals of ranks, which hold with at least the probability `level`: each by itself, or all together (`simultaneous`).

    Parameters
    ----------
    accuracy
        (n_models,) fractions.
    spread
        How they vary.
    level
        In (0, 1).
    simultaneous
        Whether all intervals hold together.
    n_draws, rng
        Draws of the largest difference.
    """
    n = accuracy.size
    gram = spread.residuals @ spread.residuals.T
    own = np.diag(gram) + spread.own
    errors = np.sqrt(np.maximum(0.0, own[:, None] + own[None] - 2 * gram) + spread.pseudo)
    np.fill_diagonal(errors, np.inf)
    largest = np.empty((n_draws, n))
    with one_thread():
        for start in range(0, n_draws, DRAWS_PER_BLOCK):
            count = min(DRAWS_PER_BLOCK, n_draws - start)
            drawn = rng.standard_normal((count, spread.residuals.shape[1])) @ spread.residuals.T
            drawn += rng.standard_normal((count, n)) * np.sqrt(spread.own)
            for model in range(n):
                largest[start : start + count, model] = (np.abs(drawn - drawn[:, [model]]) / errors[model]).max(axis=1)
    if simultaneous:
        largest = np.broadcast_to(largest.max(axis=1, keepdims=True), largest.shape)
    limits = np.quantile(largest, level, axis=0, method="higher")
    beyond = (accuracy[:, None] - accuracy[None]) / errors  # of the row's model over the column's
    behind, ahead = -beyond > limits[:, None], beyond > limits[:, None]
    low, high = 1 + behind.sum(axis=1), n - ahead.sum(axis=1)
    # Sorted from the best; equal accuracies share the best rank.
    rank = 1 + (accuracy[None] > accuracy[:, None] + TIE_TOLERANCE).sum(axis=1)
    return RankSets(rank, np.minimum(low, rank), np.maximum(high, rank), _groups(accuracy, beyond, limits))


def _groups(accuracy: FloatArray, beyond: FloatArray, limits: FloatArray) -> IntArray:
    """(n_models,) tie groups, see `RankSets`."""
    order = np.argsort(-accuracy, kind="stable")
    groups = np.zeros(accuracy.size, np.int64)
    best, group = order[0], 1
    for model in order:
        if beyond[best, model] > limits[best]:
            best, group = model, group + 1
        groups[model] = group
    return groups
