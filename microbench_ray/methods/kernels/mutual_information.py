"""Mutual information, in nats: of an item's responses with the sources' accuracies, and of two items' responses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import FloatArray

NEIGHBOURS = 3
"""Nearest neighbours of the same level, as in Ross (2014) and most implementations of it."""
NEARNESS = 1e-13
"""Accuracies are as near as the last neighbour up to this difference, which is rounding."""

Levels = NDArray[np.intp]


def response_levels(responses: FloatArray) -> Levels:
    """Code responses as levels 0, 1 (and 2), so that items can be compared as discrete variables.

    Right or wrong stays as it is. Graded responses are cut at the terciles of the item: above the lower one, and from the upper one
    on, so that every item with two values keeps both.

    Parameters
    ----------
    responses
        (n_source, n_items) in [0, 1], without gaps.

    Returns
    -------
    numpy.ndarray
        (n_source, n_items) consecutive codes from 0 in each column.
    """
    lower, upper = np.quantile(responses, [1 / 3, 2 / 3], axis=0, method="inverted_cdf")
    codes = (responses > lower).astype(np.intp) + (responses >= upper)
    codes -= codes.min(axis=0)
    levels: Levels = np.where((codes == 1).any(axis=0), codes, codes // 2)
    return levels


def information_on_accuracy(levels: Levels, accuracy: FloatArray, neighbours: int = NEIGHBOURS) -> FloatArray:
    """Estimate the mutual information of a discrete and a continuous variable by nearest neighbours (Ross 2014).

    A model's accuracy is compared with those of the models of the same level: its k-th nearest one among them lies at a distance
    within which m models of any level lie. An informative item has few others so near. With N models, of which N_x have the level,
    the estimate is ψ(N) + the mean over models of ψ(k) − ψ(N_x) − ψ(m). k is at most N_x − 1; a model alone with its level says
    nothing and counts 0. Negative estimates are set to 0. Equal accuracies are better set apart by noise beforehand: at distance 0,
    m counts all equal ones, however large k is.

    Parameters
    ----------
    levels
        (n_source, n_items) codes from 0.
    accuracy
        (n_source,)
    neighbours
        k, at least 1.

    Returns
    -------
    numpy.ndarray
        (n_items,)

    References
    ----------
    Ross, B. C. (2014). Mutual information between discrete and continuous data sets. PLoS ONE 9(2).
    """
    n = len(accuracy)
    if n < 2:
        return np.zeros(levels.shape[1])
    ascending = np.argsort(accuracy, kind="stable")
    ordered, accuracies = levels[ascending].T, accuracy[ascending]
    # In each row, the models of one level follow one another, by accuracy.
    by_level = np.argsort(ordered, axis=1, kind="stable")
    own_level = np.take_along_axis(ordered, by_level, axis=1)
    at = accuracies[by_level]
    changes = own_level[:, 1:] != own_level[:, :-1]
    place = np.arange(n)
    start = np.maximum.accumulate(np.where(np.pad(changes, ((0, 0), (1, 0)), constant_values=True), place, 0), axis=1)
    lasts = np.where(np.pad(changes, ((0, 0), (0, 1)), constant_values=True), place, n - 1)
    end = np.minimum.accumulate(lasts[:, ::-1], axis=1)[:, ::-1]
    count = end - start + 1
    k = np.minimum(neighbours, count - 1)
    distance = np.full(at.shape, np.inf)
    for before in range(neighbours + 1):
        first = place - before
        last = first + k
        inside = (before <= k) & (first >= start) & (last <= end)
        low, high = (np.take_along_axis(at, np.clip(each, 0, n - 1), axis=1) for each in (np.broadcast_to(first, at.shape), last))
        distance = np.where(inside, np.minimum(distance, np.maximum(at - low, high - at)), distance)
    alone = count == 1
    reach = np.where(alone, 0.0, distance) + NEARNESS
    near = np.searchsorted(accuracies, at + reach, "right") - np.searchsorted(accuracies, at - reach, "left") - 1
    from scipy.special import digamma  # slow to import

    digammas = digamma(np.arange(1, n + 1))
    of_model = digammas[n - 1] + digammas[np.maximum(k, 1) - 1] - digammas[count - 1] - digammas[np.maximum(near, 1) - 1]
    information: FloatArray = np.maximum(np.where(alone, 0.0, of_model).mean(axis=1), 0.0)
    return information


class ItemInformation:
    """Mutual information of pairs of items, from the counts of models at each pair of levels (the plug-in estimate).

    Parameters
    ----------
    levels
        (n_source, n_items) codes from 0, of at least one model.
    """

    def __init__(self, levels: Levels) -> None:
        self._n, self._n_items = levels.shape
        self._n_levels = int(levels.max(initial=0)) + 1
        # Counts of the level 0 follow from the others and the totals.
        self._above = np.array([levels == level for level in range(1, self._n_levels)]).astype(np.float32)
        counts = np.arange(self._n + 1)
        self._terms = counts * np.log(np.maximum(counts, 1))
        self._totals = np.stack([np.count_nonzero(levels == level, axis=0) for level in range(self._n_levels)])
        self._own = self._terms[self._totals].sum(axis=0)

    def with_item(self, item: int) -> FloatArray:
        """(n_items,) the mutual information of every item with this one; with itself, its entropy."""
        if self._n_levels == 1:
            return np.zeros(self._n_items)
        table = np.zeros((self._n_levels, self._n_levels, self._n_items), np.intp)
        table[1:, 1:] = np.rint(np.stack([self._above[:, :, item] @ of_level for of_level in self._above], axis=1)).astype(np.intp)
        table[1:, 0] = self._totals[1:, item, None] - table[1:, 1:].sum(axis=1)
        table[0] = self._totals - table[1:].sum(axis=0)
        joint = self._terms[table].sum(axis=(0, 1))
        information: FloatArray = (joint - self._own - self._own[item] + self._terms[self._n]) / self._n
        return np.maximum(information, 0.0)
