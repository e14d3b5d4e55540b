"""Random selections of items: uniform, and by subtask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, SelectorWithoutFit


@dataclass(frozen=True)
class Random(SelectorWithoutFit):
    """Uniform random sampling without replacement. Responses of source models are not read."""

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, every set of them equally likely."""
        return Selection(rng.choice(seen.n_items, size, replace=False))


@dataclass(frozen=True)
class RandomSubtaskEqual(SelectorWithoutFit):
    """The same number of items from every subtask; the remainder is given to random subtasks, one item each.

    A subtask with fewer items than its share gives all of them, and the others share the rest in the same way.
    """

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, uniformly within each subtask."""
        return _weighted(choose_by_group(seen.subtask, lambda sizes: equal_allocation(sizes, size, rng), rng), seen)


@dataclass(frozen=True)
class RandomSubtaskProportional(SelectorWithoutFit):
    """Items from every subtask in proportion to its size, by the largest remainder method (ties in random order)."""

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, uniformly within each subtask."""
        return _weighted(choose_by_group(seen.subtask, lambda sizes: largest_remainder(sizes, size, rng), rng), seen)


@dataclass(frozen=True)
class RandomSubtaskInverse(SelectorWithoutFit):
    """Successive draws with probability 1/size of an item's subtask, renormalised after each draw.

    The paper's code calls this rule "proportional". Sorting the items by an exponential variate divided by their weight and
    taking the first ones gives the same distribution (Efraimidis and Spirakis 2006).
    """

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items."""
        subtask_size = np.bincount(seen.subtask)[seen.subtask]
        arrival = rng.standard_exponential(seen.n_items) * subtask_size
        return _weighted(Selection(np.argsort(arrival, kind="stable")[:size]), seen)


def _weighted(selection: Selection, seen: SeenItems) -> Selection:
    """The selection, with what its items stand for where items count differently in the accuracy."""
    return selection if seen.weights is None else stand_for_subtask(selection.items, seen)


def stand_for_subtask(items: NDArray[np.intp], seen: SeenItems) -> Selection:
    """The items, with what each stands for in the accuracy.

    Those of a subtask are a uniform sample of it, whatever their number, and stand for all of its items together. Subtasks without
    a selected item are left out.
    """
    subtask = seen.subtask[items]
    share = np.bincount(seen.subtask)[subtask] / np.bincount(subtask)[subtask]
    weights = seen.stand_for(items, share / seen.n_items)
    return Selection(items, weights / weights.sum())


def equal_allocation(sizes: NDArray[np.int64], total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share `total` equally among groups of at most `sizes`; the remainder goes to random groups, one each."""
    share = np.zeros_like(sizes)
    while (left := total - int(share.sum())) > 0:
        not_full = np.flatnonzero(share < sizes)
        each, rest = divmod(left, len(not_full))
        if each:
            share[not_full] += np.minimum(each, sizes[not_full] - share[not_full])
        else:
            share[rng.choice(not_full, rest, replace=False)] += 1
    return share


def largest_remainder(sizes: NDArray[np.int64], total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share `total` among groups in proportion to `sizes`: Hamilton's method, in integers."""
    share, remainder = np.divmod(total * sizes, sizes.sum())
    order = np.lexsort((rng.random(len(sizes)), -remainder))
    share[order[: total - int(share.sum())]] += 1
    return share


def choose_by_group(
    groups: NDArray[np.int32], allocate: Callable[[NDArray[np.int64]], NDArray[np.int64]], rng: np.random.Generator
) -> Selection:
    """Draw from each group, uniformly, the number of items that `allocate` assigns to it."""
    sizes = np.bincount(groups).astype(np.int64)
    share = allocate(sizes)
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    rank = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Selection(order[rank < np.repeat(share, sizes)])
