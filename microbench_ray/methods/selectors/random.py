"""Random choices of items: uniform, and by subtask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, SelectorWithoutFit


@dataclass(frozen=True)
class Random(SelectorWithoutFit):
    """Uniform without replacement. Missing responses: none are read."""

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, every set of them equally likely."""
        return Selection(rng.choice(seen.n_items, size, replace=False))


@dataclass(frozen=True)
class RandomSubtaskEqual(SelectorWithoutFit):
    """The same number of items from every subtask, what is left over going one each to random subtasks.

    A subtask with fewer items than its share gives all it has; the others share the rest in the same way.
    """

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, uniformly within each subtask."""
        return choose_by_group(seen.subtask, lambda sizes: equal_allocation(sizes, size, rng), rng)


@dataclass(frozen=True)
class RandomSubtaskProportional(SelectorWithoutFit):
    """Items from every subtask in proportion to its size, by largest remainder (equal remainders in random order)."""

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items, uniformly within each subtask."""
        return choose_by_group(seen.subtask, lambda sizes: largest_remainder(sizes, size, rng), rng)


@dataclass(frozen=True)
class RandomSubtaskInverse(SelectorWithoutFit):
    """Successive draws with probability 1/size of an item's subtask, renormalised after each draw.

    The paper's code calls this rule "proportional". Ordering the items by an exponential variate divided by their weight and
    taking the first ones is the same distribution (Efraimidis and Spirakis 2006).
    """

    def select(self, seen: SeenItems, fit: None, size: int, rng: np.random.Generator) -> Selection:
        """Choose `size` items."""
        subtask_size = np.bincount(seen.subtask)[seen.subtask]
        arrival = rng.standard_exponential(seen.n_items) * subtask_size
        return Selection(np.argsort(arrival, kind="stable")[:size])


def equal_allocation(sizes: NDArray[np.int64], total: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share `total` equally among groups that hold at most `sizes`; the remainder one each to random groups."""
    share = np.zeros_like(sizes)
    while (left := total - int(share.sum())) > 0:
        room = np.flatnonzero(share < sizes)
        each, rest = divmod(left, len(room))
        if each:
            share[room] += np.minimum(each, sizes[room] - share[room])
        else:
            share[rng.choice(room, rest, replace=False)] += 1
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
    """Draw uniformly within each group as many items as `allocate` gives it."""
    sizes = np.bincount(groups).astype(np.int64)
    share = allocate(sizes)
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    rank = np.arange(len(groups)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return Selection(order[rank < np.repeat(share, sizes)])
