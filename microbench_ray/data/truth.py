"""The number by which a leaderboard ranks models: what each item counts in it, and the models' values of it.

`micro` is the mean over items. `macro` is the mean over subtasks of the mean over their items, and `weights` the weighted mean over
items. With `macro`, items have weights only on a suite (`data.suite`): a subtask, which is a board, counts by the sum of its items'
weights, and its mean is the weighted one. Of some of the items, such as one half, it is the same kind of mean of these items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microbench_ray.core.errors import DataError

if TYPE_CHECKING:
    from microbench_ray.data.benchmark import Benchmark

Kind = Literal["micro", "macro"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What can be chosen; the third kind, `weights`, is that of items which have weights."""
RANKED_BY = {"macro": "the mean over subtasks of their accuracies on each", "weights": "a weighted mean over items"}
"""What models are ranked by, in words, where all items do not count the same."""
MODELS_PER_BLOCK = 64

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]


def item_shares(benchmark: Benchmark, items: Positions) -> FloatArray | None:
    """The share that each of some items, (n,), has in the mean over them; None where all have the same.

    The shares sum to 1. With `macro` every subtask has the same share, or that of its weight, divided among those of its items that
    are given, equally or by their weights.
    """
    if benchmark.weights is not None and benchmark.truth == "macro":
        codes, weights = benchmark.subtask_codes[items], benchmark.weights[items]
        of_subtask, given = _subtask_weights(benchmark), np.bincount(codes, weights, len(benchmark.subtask_names))
        of_given: FloatArray = weights * of_subtask[codes] / (given[codes] * of_subtask[given > 0].sum())
        return of_given
    if benchmark.weights is not None:
        weights = benchmark.weights[items]
        shares: FloatArray = weights / weights.sum()
        return shares
    if benchmark.truth != "macro":
        return None
    codes = benchmark.subtask_codes[items]
    counts = np.bincount(codes)
    n_subtasks = int(np.count_nonzero(counts))
    return None if n_subtasks < 2 else 1.0 / (n_subtasks * counts[codes].astype(np.float64))


def mean_one_weights(benchmark: Benchmark) -> FloatArray | None:
    """(n_items,) what each item counts in the accuracies of a benchmark, 1 on average; None where all count the same."""
    shares = item_shares(benchmark, np.arange(benchmark.n_items))
    return None if shares is None else shares * benchmark.n_items


def weighted_accuracies(benchmark: Benchmark, models: Positions, items: Positions) -> FloatArray:
    """The models' weighted means of the scores on some items, (n_models,) fractions; NaN for a model without a response to them.

    Missing responses are left out: with `macro`, each subtask's mean is over the items that the model answered, and the mean of
    these over the subtasks of which it answered any; the sum of the weights is that of the items that it answered.
    """
    macro = benchmark.truth == "macro"
    order, starts = items, np.zeros(1, np.intp)
    if macro:
        order = items[np.argsort(benchmark.subtask_codes[items], kind="stable")]
        starts = np.flatnonzero(np.diff(benchmark.subtask_codes[order], prepend=-1))
    weights = None if benchmark.weights is None else benchmark.weights[order]
    of_means = np.ones(1)
    if macro and weights is not None:
        of_means = _subtask_weights(benchmark)[benchmark.subtask_codes[order[starts]]]

    def sums_of(values: NDArray[Any]) -> NDArray[Any]:
        return values.sum(axis=1, keepdims=True) if len(starts) == 1 else np.add.reduceat(values, starts, axis=1)

    found = np.full(len(models), np.nan)
    for start in range(0, len(models), MODELS_PER_BLOCK):
        block = slice(start, start + MODELS_PER_BLOCK)
        scores = benchmark.scores[models[block]][:, order]
        known = scores != benchmark.missing
        counted = np.where(known, scores, 0).astype(np.int64)
        if weights is None:  # sums of whole numbers are exact in any order
            sums, counts = sums_of(counted), sums_of(known.astype(np.int64)).astype(np.float64)
        else:
            sums, counts = sums_of(counted * weights), sums_of(known * weights)
        means = np.divide(sums, benchmark.units * counts, out=np.zeros(sums.shape), where=counts > 0)
        of_answered = ((counts > 0) * of_means).sum(axis=1)
        np.divide((means * of_means).sum(axis=1), of_answered, out=found[block], where=of_answered > 0)
    return found


def _subtask_weights(benchmark: Benchmark) -> FloatArray:
    """What each subtask counts, (n_subtasks,): the sum of the weights of all of its items."""
    weights: FloatArray = np.bincount(benchmark.subtask_codes, benchmark.weights, len(benchmark.subtask_names)).astype(np.float64)
    return weights


def checked_weights(weights: ArrayLike, items: list[str]) -> FloatArray:
    """The items' weights, (n_items,); DataError unless they are positive, finite numbers."""
    return _positive(weights, items, "weight", "leave out items that count nothing")


def checked_costs(costs: ArrayLike, items: list[str]) -> FloatArray:
    """The items' costs, (n_items,); DataError unless they are positive, finite numbers."""
    return _positive(costs, items, "cost", "give every item a cost above 0, such as its mean number of tokens")


def _positive(given: ArrayLike, items: list[str], what: str, hint: str) -> FloatArray:
    try:
        values = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"The {what} of an item must be a positive number.", where=f"{what}s", got=str(error), hint=hint) from None
    if values.shape != (len(items),):
        raise DataError(
            f"There must be one {what} per item, a number.",
            where=f"{what}s",
            got=f"shape {np.shape(given)} for {len(items)} items",
        )
    wrong = ~(np.isfinite(values) & (values > 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise DataError(
            f"The {what} of an item must be a positive number.",
            where=f"{what}s, item {items[first]!r}",
            got=str(values[first]),
            hint=hint,
        )
    return values


def check_truth(truth: str, *, n_subtasks: int, weighted: bool, where: str) -> None:
    """Raise DataError for an unknown truth, one beside weights, and for the mean over subtasks where there is only one."""
    if truth not in KINDS:
        raise DataError("Unknown truth.", where=where, got=repr(truth), hint=f"use one of {', '.join(KINDS)}")
    if truth == "macro" and weighted:
        raise DataError(
            "Items have weights, and subtasks are to count the same.",
            where=where,
            got="truth=macro beside weights of items",
            hint="leave out either one",
        )
    if truth == "macro" and n_subtasks < 2:
        raise DataError(
            "A mean over subtasks needs at least two subtasks.",
            where=where,
            got="truth=macro, and one subtask",
            hint="name the column of subtasks: benchmark.columns={subtask: NAME}",
        )
