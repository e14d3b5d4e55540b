"""A random order of items whose every prefix is balanced over subtasks and difficulties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import FloatArray

GOLDEN = (5**0.5 - 1) / 2
VISITS = 4
"""Visits per item, after which those without one follow: none where all cost the same."""


def balanced_order(
    items: NDArray[np.intp],
    means: FloatArray,
    subtask: NDArray[np.int32],
    rng: np.random.Generator,
    costs: FloatArray | None = None,
    weights: FloatArray | None = None,
) -> NDArray[np.intp]:
    """Order items by systematic sampling that can be stopped at any size.

    The items lie on a circle by subtask and, within, by mean score (equal ones in random order). From a uniform start, steps of the
    golden ratio visit the circle: every prefix of these visits is spread evenly over it, and visits all items with the same
    probability. With costs or weights, an item's part of the circle is in proportion to weight/cost, and so is the probability of a
    visit.

    Parameters
    ----------
    items
        (n,) positions, ascending.
    means, subtask
        (n_items,) mean scores and subtask codes of all items.
    rng
        Draws the start and the order of ties.
    costs
        (n_items,) positive; None where all cost the same.
    weights
        (n_items,) positive, what each item counts in the accuracy; None where all count the same.

    Returns
    -------
    numpy.ndarray
        (n,) a permutation of `items`.
    """
    n = len(items)
    if weights is not None:
        costs = (1.0 if costs is None else costs) / weights
    circle = items[np.lexsort((rng.random(n), means[items], subtask[items]))]
    points = (np.arange(VISITS * n) * GOLDEN + rng.random()) % 1.0
    if costs is None:
        visits = np.floor(points * n).astype(np.intp)
    else:
        ends = np.cumsum(1 / costs[circle])
        visits = np.minimum(np.searchsorted(ends / ends[-1], points, side="right"), n - 1) if n else np.zeros(0, np.intp)
    places, first = np.unique(visits, return_index=True)
    places = places[np.argsort(first)]
    rest = np.setdiff1d(np.arange(n), places)
    if costs is not None:
        rest = rest[np.argsort(costs[circle[rest]], kind="stable")]
    order: NDArray[np.intp] = circle[np.concatenate([places, rest])]
    return order
