"""Forward selection of items that order the pairs of source models near a target difference correctly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.sources import SourceAccuracies
from microbench_ray.methods.readout import FloatArray

NEAR = 2.0
"""Pairs count whose difference is within this factor of the target difference."""


def pair_form(accuracy: FloatArray, difference: float) -> FloatArray:
    """The (n, n) matrix L such that eᵀLe is the mean of (e_a − e_b)² over the pairs of models near the target difference.

    It is the Laplacian of the graph of these pairs. If no pair is near, all pairs count.
    """
    differences = np.abs(accuracy[:, None] - accuracy[None, :])
    near = (differences >= difference / NEAR) & (differences <= difference * NEAR)
    return _mean_over(near) if near.any() else all_pairs_form(np.arange(len(accuracy)))


def all_pairs_form(groups: NDArray[np.intp]) -> FloatArray:
    """The same for all pairs of models with different labels of `groups`, (n,)."""
    return _mean_over(groups[:, None] != groups[None, :])


def _mean_over(pairs: NDArray[np.bool_]) -> FloatArray:
    weights = pairs / max(1.0, float(pairs.sum() / 2))
    return np.diag(weights.sum(axis=1)) - weights


class PairsForward:
    """The order in which items are chosen, computed lazily.

    A pair is misordered if the error of its difference exceeds the difference, so the squared error of the differences of some
    pairs is minimised. With the rows of the responses X multiplied by the root of `pair_form`, that is the squared error of a
    regression of the accuracies, and items are chosen as for a regression: from the items' covariances Σ over the source models,
    each is the item that reduces the expected squared error most, given those chosen before. As chance correlations are overfitted,
    Σ = (1 − shrink) XᵀX + shrink diag(XᵀX) (Ledoit and Wolf 2004): an item's own share of the accuracy counts fully, its
    information on other items less.

    Parameters
    ----------
    known
        Responses and accuracies of the source models. If there are confidences, items are chosen by these. Products with all items
        are computed in the precision of these numbers, everything else in double precision.
    form
        (n, n) the quadratic form of the models' errors that is minimised, such as `pair_form`.
    shrink
        In [0, 1].
    subtask
        (n_items,) codes, to keep subtasks in proportion to their sizes, to within one item; None for no such balance.
    costs
        (n_items,) positive: each item is then the one that reduces the error most per cost. None where all cost the same.

    References
    ----------
    Ledoit, O. and Wolf, M. (2004). A well-conditioned estimator for large-dimensional covariance matrices. Journal of
    Multivariate Analysis 88.
    """

    def __init__(
        self,
        known: SourceAccuracies,
        form: FloatArray,
        shrink: float,
        subtask: NDArray[np.int32] | None = None,
        costs: FloatArray | None = None,
    ) -> None:
        responses = known.responses if known.confidence is None else known.confidence
        n = len(known.accuracy)
        root = _root(form) if n else np.zeros((0, 0))
        rotated = root @ responses
        variance = np.square(rotated).sum(axis=0)
        self._own: FloatArray = shrink * variance
        self._weights = np.ones_like(variance) if known.weights is None else known.weights
        self._share: FloatArray = self._own * self._weights if known.confidence is None else np.zeros_like(variance)
        self._z = (np.sqrt(1 - shrink) * rotated).astype(responses.dtype)
        if known.confidence is None:
            counted = self._z if known.weights is None else self._z * known.weights
            total = counted.sum(axis=1, dtype=np.float64)
        else:
            total = root @ known.accuracy * responses.shape[1]
        self._observed = known.confidence is None
        self._m = np.eye(n)
        self._gain: FloatArray = total @ self._z
        self._spread: FloatArray = np.square(self._z).sum(axis=0, dtype=np.float64)
        self._left = np.ones(responses.shape[1], bool)
        self._order: list[int] = []
        self._costs = 1.0 if costs is None else costs
        self._quota = None if subtask is None else _Quota(subtask)

    def first(self, size: int) -> NDArray[np.intp]:
        """(size,) positions of the first `size` chosen items; ties are broken by position."""
        while len(self._order) < size:
            self.take(self.best())
        return np.array(self._order[:size], np.intp)

    def best(self) -> int:
        """The item that reduces the expected squared error most, of those that are left."""
        variance = self._own + self._spread
        gain = np.zeros_like(variance)
        np.divide(np.square(self._gain + self._share), variance, out=gain, where=variance > 1e-12)
        allowed = self._left if self._quota is None else self._left & self._quota.allowed(len(self._order))
        return int(np.argmax(np.where(allowed, gain / self._costs, -1.0)))

    def take(self, item: int) -> None:
        """Choose an item that is left, whichever it is: those after it are chosen with it in mind."""
        self._order.append(item)
        self._left[item] = False
        if self._quota is not None:
            self._quota.take(item)
        variance = float(self._own[item] + self._spread[item])
        if variance > 1e-12:
            self._condition(item, variance)

    def _condition(self, item: int, variance: float) -> None:
        """Condition on an item: a change of rank one."""
        column = self._m @ self._z[:, item]
        shared = (column.astype(self._z.dtype) @ self._z).astype(np.float64, copy=False)
        gain = float(self._gain[item])
        if self._observed:  # the item is no longer part of what is predicted
            weight = self._weights[item]
            gain -= weight * float(self._spread[item])
            self._gain = self._gain - weight * shared
        self._m -= np.outer(column, column / variance)
        self._gain = self._gain - shared * (gain / variance)
        self._spread = np.maximum(self._spread - np.square(shared) / variance, 0.0)


class _Quota:
    """The maximum number of items of each subtask: its share of all chosen items, rounded up."""

    def __init__(self, subtask: NDArray[np.int32]) -> None:
        self._subtask = subtask
        self._sizes = np.bincount(subtask)
        self._taken = np.zeros_like(self._sizes)

    def allowed(self, chosen: int) -> NDArray[np.bool_]:
        # In integers: taken + 1 <= ceil(size × (chosen + 1) / n_items).
        below_quota = self._taken * len(self._subtask) < self._sizes * (chosen + 1)
        return (below_quota & (self._taken < self._sizes))[self._subtask]

    def take(self, item: int) -> None:
        self._taken[self._subtask[item]] += 1


def _root(form: FloatArray) -> FloatArray:
    """The symmetric square root."""
    values, vectors = np.linalg.eigh(form)
    root: FloatArray = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root
