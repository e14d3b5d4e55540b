"""Checks of a selector, each called with the selector and the sizes to select."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection
from microbench_ray.testing.boards import N_ITEMS, Board
from microbench_ray.testing.common import (
    COMMON_CHECKS,
    Fit,
    boards_for,
    fit_of,
    fresh_fit,
    global_random_state_unchanged,
    identity_of,
    other_global_random_state,
    promises,
    require,
    twin_of,
    unchanged,
)

SIZES = (1, 2, 7, 23, N_ITEMS)
SEEDS = range(5)


def select(selector: Any, fit: Fit, size: int, seed: int = 4) -> Selection:
    """Select from a stream."""
    return selector.select(fit.seen, fit.fit, size, np.random.default_rng(seed))  # type: ignore[no-any-return]


def same(one: Selection, other: Selection) -> bool:
    """Whether two selections have equal items in equal order, and equal weights."""
    if (one.weights is None) != (other.weights is None) or not np.array_equal(one.items, other.items):
        return False
    return one.weights is None or (other.weights is not None and np.array_equal(one.weights, other.weights))


def require_valid(selection: Any, size: int, n_items: int) -> None:
    """Check the form of a selection."""
    require(isinstance(selection, Selection), f"select must return a Selection: {type(selection).__name__}.")
    items, weights = selection.items, selection.weights
    require(isinstance(items, np.ndarray) and items.shape == (size,), f"{size} items are needed: shape {np.shape(items)}.")
    require(items.dtype.kind == "i", f"The items must be integers: {items.dtype}.")
    chosen = sorted(items.tolist())
    require(len(set(chosen)) == size, f"An item is selected twice: {chosen}.")
    require(chosen[0] >= 0 and chosen[-1] < n_items, f"The items must be positions from 0 to {n_items - 1}: {chosen}.")
    if weights is not None:
        require(isinstance(weights, np.ndarray) and weights.shape == (size,), f"One weight per item: shape {np.shape(weights)}.")
        require(weights.dtype == np.float64, f"The weights must be float64: {weights.dtype}.")
        require(np.isfinite(weights).all() and (weights >= 0).all(), f"The weights must be finite and at least 0: {weights}.")
        require(weights.sum() > 0, "All weights are 0.")


def check_selects_distinct_seen_items(selector: Any, sizes: Sequence[int]) -> None:
    """For every size, seed and signal: that many distinct positions in range, with finite weights."""
    for board, seeds in zip(boards_for(selector), (SEEDS, *[SEEDS[:1]] * 2), strict=False):
        for seed in seeds:
            for size in sizes:
                require_valid(select(selector, fit_of(selector, board, seed), size, seed + 1), size, N_ITEMS)


def check_equal_streams_give_equal_selections(selector: Any, sizes: Sequence[int]) -> None:
    """The choice depends on the seen items and the streams only; a worker's copy makes the same."""
    for board in boards_for(selector):
        for part in (selector, twin_of(selector)):
            fit = fresh_fit(part, board)
            for size in sizes:
                once = select(selector, fit_of(selector, board), size)
                require(same(once, select(part, fit, size)), f"Equal random streams give different choices of {size} items.")


def check_one_fit_serves_every_size(selector: Any, sizes: Sequence[int]) -> None:
    """`select` changes neither the fit nor the parameters: a choice does not depend on the sizes selected before."""
    identity = identity_of(selector)
    for board in boards_for(selector):
        fit = fresh_fit(selector, board)
        for size in (*sizes, *sizes[::-1]):
            select(selector, fit, size, seed=size)
        for size in sizes:
            after, alone = select(selector, fit, size), select(selector, fresh_fit(selector, board), size)
            require(same(after, alone), f"The choice of {size} items depends on sizes that were selected before.")
    require(identity_of(selector) == identity, "The parameters have changed by use.")


def check_input_is_not_changed(selector: Any, sizes: Sequence[int]) -> None:
    """Read-only arrays, which Ray gives, are accepted, make no difference, and stay the same."""
    for board in boards_for(selector, gaps=True):
        seen = board.seen(selector.signal)
        with unchanged(seen):
            read_only = Fit(seen, selector.fit(seen, np.random.default_rng(3)))
            for size in sizes:
                once, again = select(selector, fit_of(selector, board), size), select(selector, read_only, size)
                require(same(once, again), f"Read-only arrays give another choice of {size} items.")


def check_memory_layout_does_not_matter(selector: Any, sizes: Sequence[int]) -> None:
    """Fortran order gives the same choice; float64 responses give a valid one."""
    for board in boards_for(selector):
        seen = board.seen(selector.signal)
        if seen.responses is None:
            continue
        for responses in (np.asfortranarray(seen.responses), seen.responses.astype(np.float64)):
            other = SeenItems(seen.item_ids, seen.subtask, responses, seen.labels)  # type: ignore[arg-type]
            fit = Fit(other, selector.fit(other, np.random.default_rng(3)))
            for size in sizes:
                chosen = select(selector, fit, size)
                require_valid(chosen, size, N_ITEMS)
                alike = responses.dtype == np.float64 or same(select(selector, fit_of(selector, board), size), chosen)
                require(alike, f"Responses in Fortran order give another choice of {size} items.")


def check_global_random_state(selector: Any, sizes: Sequence[int]) -> None:
    """Only the given generators are drawn from."""
    for board in boards_for(selector):
        with global_random_state_unchanged():
            once = select(selector, fresh_fit(selector, board), sizes[-1])
        with other_global_random_state():
            again = select(selector, fresh_fit(selector, board), sizes[-1])
        require(same(once, again), "The choice depends on a global random state: draw from `rng` instead.")


def check_missing_responses(selector: Any, sizes: Sequence[int]) -> None:
    """With NaN among the responses, also for a whole item and for a whole model, selections are valid and weights finite."""
    for board in boards_for(selector, gaps=True):
        for size in sizes:
            require_valid(select(selector, fit_of(selector, board), size), size, N_ITEMS)


def check_sizes_nest(selector: Any, sizes: Sequence[int]) -> None:
    """Where `nested` says so, the choice for a size is the start of that for any larger size."""
    for board in boards_for(selector) if selector.nested else ():
        largest = select(selector, fit_of(selector, board), sizes[-1]).items
        for size in sizes:
            chosen = select(selector, fit_of(selector, board), size).items
            problem = f"`nested` is True, but a larger choice does not start with that of {size} items."
            require(np.array_equal(chosen, largest[:size]), problem)


def check_few_models(selector: Any, sizes: Sequence[int]) -> None:
    """One to three source models are enough."""
    for number in (1, 2, 3):
        for board in boards_for(selector, n_source=number):
            for size in sizes:
                require_valid(select(selector, fit_of(selector, board), size), size, N_ITEMS)


def check_few_items(selector: Any, sizes: Sequence[int]) -> None:
    """One or two items are enough, and can all be selected."""
    for n_items in (1, 2):
        for board in boards_for(selector, n_items=n_items):
            for size in range(1, n_items + 1):
                require_valid(select(selector, fit_of(selector, board), size), size, n_items)


def check_promised_order_does_not_matter(selector: Any, sizes: Sequence[int]) -> None:
    """Where the class has `ignores_order = ("models", "items")`, or one of these, their order makes no difference to the choice."""
    order = np.random.default_rng(1)
    for board in boards_for(selector):
        models, items = order.permutation(board.n_source), order.permutation(N_ITEMS)
        if promises(selector, "models"):
            _require_same_choice(selector, board, board.reordered(models=models), np.arange(N_ITEMS), sizes)
        if promises(selector, "items"):
            _require_same_choice(selector, board, board.reordered(items=items), items, sizes)


def _require_same_choice(selector: Any, board: Board, reordered: Board, original: NDArray[np.intp], sizes: Sequence[int]) -> None:
    fit = fresh_fit(selector, reordered)
    for size in sizes:
        once, again = select(selector, fit_of(selector, board), size).items, select(selector, fit, size).items
        require(set(once) == set(original[again]), f"The order of models or items changes the choice of {size}.")


SELECTOR_CHECKS = (
    *COMMON_CHECKS,
    check_selects_distinct_seen_items,
    check_equal_streams_give_equal_selections,
    check_one_fit_serves_every_size,
    check_input_is_not_changed,
    check_memory_layout_does_not_matter,
    check_global_random_state,
    check_missing_responses,
    check_sizes_nest,
    check_few_models,
    check_few_items,
    check_promised_order_does_not_matter,
)
