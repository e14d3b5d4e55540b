"""Models that are runs or copies of one another, found by their responses, and parts that keep them together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.intp]

DUPLICATE = 0.5
"""Correlation of two models' responses, with the items' means and the models' own taken off, from which on they are
near-duplicates: at least half of what the items' difficulty leaves open is common to both."""
DEVIATIONS = 4.0
"""The correlation must also be this many standard errors above 0, which matters below 64 items."""
MAX_ITEMS = 2000
"""Items compared, evenly spaced: enough for a standard error of .02."""


def compared_items(n_items: int) -> Positions:
    """Positions of the items that are compared, at most `MAX_ITEMS`."""
    return np.unique(np.linspace(0, n_items - 1, min(n_items, MAX_ITEMS)).astype(np.intp))


def groups_of_copies(responses: NDArray[np.float32]) -> Positions:
    """The models whose responses all agree with one another as those of copies do.

    That is far beyond what the items' difficulty and the models' accuracies explain. Groups are joined in the order of their most
    similar models, and only where all of their models are alike (complete linkage): no chain of similar models makes one group.

    Parameters
    ----------
    responses
        (n_models, n_items) scores of the items compared (`compared_items`), NaN where missing.

    Returns
    -------
    numpy.ndarray
        (n_models,) position of the first model of each model's group; a model by itself has its own position.
    """
    alike = residual_correlation(responses)
    limit = max(DUPLICATE, DEVIATIONS / math.sqrt(max(1, responses.shape[1])))
    one, other = np.nonzero(np.triu(alike > limit, 1))
    order = np.argsort(-alike[one, other], kind="stable")
    group_of = [[model] for model in range(len(responses))]
    for low, high in zip(one[order].tolist(), other[order].tolist(), strict=True):
        left, right = group_of[low], group_of[high]
        if left is not right and float(alike[np.ix_(left, right)].min()) > limit:
            left += right
            for model in right:
                group_of[model] = left
    return np.array([min(group) for group in group_of], np.intp)


def residual_correlation(responses: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_models, n_models) correlations of responses without the items' and the models' means; 0 for a model without a variance.

    Parameters
    ----------
    responses
        (n_models, n_items), NaN where missing, which counts as the mean.
    """
    answered = ~np.isnan(responses)
    filled = np.where(answered, responses, 0)
    residuals = filled - filled.sum(axis=0) / np.maximum(answered.sum(axis=0), 1)
    residuals *= answered
    residuals -= residuals.mean(axis=1, keepdims=True)
    length = np.sqrt(np.square(residuals).sum(axis=1, keepdims=True))
    residuals /= np.where(length > 0, length, 1)
    correlation: NDArray[np.float32] = (residuals @ residuals.T).astype(np.float32)
    return correlation


def random_parts(groups: Positions, parts: int | Sequence[int], rng: np.random.Generator) -> list[Positions]:
    """Draw parts of the models that split no group.

    Parameters
    ----------
    groups
        (n_models,) labels; models of one label are of one group.
    parts
        A number of parts, of as many groups each as possible; or the numbers of groups at which the parts end
        (`numpy.array_split`).
    rng
        Draws the order of the groups.

    Returns
    -------
    list of numpy.ndarray
        Positions of the models of each part.
    """
    labels = np.unique(groups)
    drawn = np.array_split(rng.permutation(len(labels)), parts)
    return [np.concatenate([np.flatnonzero(groups == label) for label in labels[part]] or [labels[:0]]) for part in drawn]


def shares(groups: Positions) -> NDArray[np.float64]:
    """(n_models,) one by the number of models of each model's group, so that every group counts once."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    share: NDArray[np.float64] = 1 / sizes[group]
    return share
