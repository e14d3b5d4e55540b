"""A random order of items whose every prefix is balanced over subtasks and difficulties."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.readout import FloatArray

GOLDEN = (5**0.5 - 1) / 2


def balanced_order(
    items: NDArray[np.intp], means: FloatArray, subtask: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Order items by systematic sampling that can be stopped at any size.

    The items lie on a circle by subtask and, within, by mean score (equal ones in random order). From a uniform start, steps of the
    golden ratio visit the circle: every prefix of these visits is spread evenly over it, and visits all items with the same
    probability.

    Parameters
    ----------
    items
        (n,) positions, ascending.
    means, subtask
        (n_items,) mean scores and subtask codes of all items.
    rng
        Draws the start and the order of ties.

    Returns
    -------
    numpy.ndarray
        (n,) a permutation of `items`.
    """
    n = len(items)
    circle = items[np.lexsort((rng.random(n), means[items], subtask[items]))]
    visits = np.floor(((np.arange(4 * n) * GOLDEN + rng.random()) % 1.0) * n).astype(np.intp)
    places, first = np.unique(visits, return_index=True)
    places = places[np.argsort(first)]
    rest = np.setdiff1d(np.arange(n), places)
    order: NDArray[np.intp] = circle[np.concatenate([places, rest])]
    return order
