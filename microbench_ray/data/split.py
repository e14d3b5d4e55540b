"""The seen and unseen halves of the items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def seen_counts(subtask_sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of seen items of each subtask: half of its items.

    Subtasks with an odd number of items alternate, in their order, between one more seen than unseen item and one fewer. The number
    of seen items is thus ceil(n_items / 2) in every run.
    """
    odd = subtask_sizes % 2 == 1
    extra = odd & (np.cumsum(odd) % 2 == 1)
    counts: NDArray[np.int64] = subtask_sizes // 2 + extra
    return counts


def draw_halves(subtask_codes: NDArray[np.int32], rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split the items of every subtask in half at random.

    Parameters
    ----------
    subtask_codes
        (n_items,) subtask of every item, 0 … n_subtasks - 1.

    Returns
    -------
    tuple of numpy.ndarray
        Positions of the seen and of the unseen items, both ascending.
    """
    sizes = np.bincount(subtask_codes)
    order = rng.permutation(len(subtask_codes))
    order = order[np.argsort(subtask_codes[order], kind="stable")]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    seen = rank < np.repeat(seen_counts(sizes), sizes)
    return np.sort(order[seen]), np.sort(order[~seen])
