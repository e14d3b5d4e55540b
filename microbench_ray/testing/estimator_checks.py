"""Checks of an estimator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import Selection, can_weight
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

SIZES = (1, 3, 30)
LARGE_SIZE, LARGE_ITEMS = 200, 220
"""A size at which sums by blocks differ from plain ones."""
TIED = 1e-12
"""Estimates within this are tied."""
FLOAT32 = 1e-4
SHRUNK = 0.05
"""How far an estimator with a fit, which shrinks towards it, may be from the accuracy when all items are selected."""
OUTSIDE = 1.0
"""How far an estimate, which need not be clipped, may lie outside [0, 1]."""

Responses = NDArray[Any]


def estimate(estimator: Any, fit: Fit, responses: Responses, selection: Selection) -> NDArray[np.float64]:
    """Estimates of the targets with these responses."""
    return estimator.estimate(responses, selection, fit.seen, fit.fit)  # type: ignore[no-any-return]


def selections(n_items: int = N_ITEMS, sizes: Sequence[int] = SIZES) -> Iterator[Selection]:
    """Random items of several sizes, with and without weights."""
    for size in sizes:
        rng = np.random.default_rng(size)
        items, weights = rng.permutation(n_items)[:size], rng.uniform(0.1, 1, size)
        yield Selection(items)
        yield Selection(items, weights / weights.sum())


def responses_of(estimator: Any, board: Board, selection: Selection) -> list[Responses]:
    """The board's targets' responses, and others on a grid of quarters that are unlike all source models, both with equal gaps."""
    given = board.targets(estimator.signal, selection.items)
    drawn = np.random.default_rng(len(selection.items)).integers(0, 5, given.shape) / 4
    return [given, np.where(np.isnan(given), np.nan, drawn)]


def unanswered(responses: Responses) -> NDArray[np.bool_]:
    """(n_target,) whether a target answered none of the selected items."""
    absent: NDArray[np.bool_] = np.isnan(responses).reshape(len(responses), -1).min(axis=1)
    return absent


def equal(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether two arrays of estimates are equal to the last bit."""
    return np.array_equal(one, other, equal_nan=True)


def largest_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest difference of two arrays of estimates with NaN at the same places."""
    return float(np.nan_to_num(np.abs(one - other)).max(initial=0))


def require_valid(estimates: Any, responses: Responses) -> None:
    """Check the form of estimates: finite, except for a target that answered nothing."""
    shape = np.shape(estimates)
    require(isinstance(estimates, np.ndarray) and shape == (len(responses),), f"One estimate per target is needed: shape {shape}.")
    require(estimates.dtype == np.float64, f"Estimates must be float64: {estimates.dtype}.")
    absent = unanswered(responses)
    require(not np.isnan(estimates[~absent]).any(), f"A target with responses has no estimate: {estimates}.")
    require(np.isnan(estimates[absent]).all(), f"The estimate of a target without responses must be NaN: {estimates}.")
    finite = estimates[~absent]
    in_range = ((finite >= -OUTSIDE) & (finite <= 1 + OUTSIDE)).all()
    require(in_range, f"Estimates must be accuracies, as fractions: {finite}.")


def check_estimates_are_accuracies(estimator: Any, sizes: object = ()) -> None:
    """One finite float64 per target, at most 1 outside [0, 1]; NaN for a target without responses, and only then."""
    for gaps in (False, True):
        for board in boards_for(estimator, gaps=gaps):
            for selection in selections():
                for responses in responses_of(estimator, board, selection):
                    require_valid(estimate(estimator, fit_of(estimator, board), responses, selection), responses)


def check_equal_responses_are_their_own_estimate(estimator: Any, sizes: object = ()) -> None:
    """Without a fit, a target whose responses are all equal has that accuracy."""
    boards = [board for gaps in (False, True) for board in boards_for(estimator, gaps=gaps)]
    for board in boards if not estimator.fit_key else ():
        for selection in (*selections(), Selection(np.arange(N_ITEMS))):
            given, _ = responses_of(estimator, board, selection)
            for value in (0.0, 0.25, 1.0):
                responses = np.where(np.isnan(given), np.nan, value)
                estimates = estimate(estimator, fit_of(estimator, board), responses, selection)[~unanswered(given)]
                require(np.abs(estimates - value).max() < TIED, f"All responses are {value}, the estimates {estimates}.")


def check_all_items_give_the_accuracy(estimator: Any, sizes: object = ()) -> None:
    """With all items selected, estimates from scores are the accuracies; with a fit, within 0.05 of them."""
    if estimator.signal not in ("correctness", "both"):
        return
    everything, limit = np.arange(N_ITEMS), SHRUNK if estimator.fit_key else TIED
    for board in boards_for(estimator):
        accuracies = board.correctness[board.n_source :].mean(axis=1, dtype=np.float64)
        for selection in (Selection(everything), Selection(everything, np.full(N_ITEMS, 1 / N_ITEMS))):
            responses, _ = responses_of(estimator, board, selection)
            estimates = estimate(estimator, fit_of(estimator, board), responses, selection)
            off = largest_difference(estimates, accuracies)
            require(off < limit, f"All items are selected, and an estimate differs by {off:.2g} from the accuracy.")


def check_items_count_by_their_weights(estimator: Any, sizes: object = ()) -> None:
    """An estimator with `weighted = True`: as with all items selected, where the items count differently in the accuracy."""
    if estimator.signal not in ("correctness", "both") or not can_weight(estimator):
        return
    everything, limit = np.arange(N_ITEMS), SHRUNK if estimator.fit_key else TIED
    weights = np.random.default_rng(7).uniform(0.7, 1.3, N_ITEMS)
    weights /= weights.sum()
    for board in boards_for(estimator):
        accuracies = board.correctness[board.n_source :].astype(np.float64) @ weights
        seen = replace(board.seen(estimator.source_signal), weights=weights.copy())
        fit = Fit(seen, estimator.fit(seen, np.random.default_rng(3)))
        for selection in (Selection(everything), Selection(everything, weights.copy())):
            responses, _ = responses_of(estimator, board, selection)
            off = largest_difference(estimate(estimator, fit, responses, selection), accuracies)
            require(
                off < limit,
                f"Items have weights and all are selected; an estimate differs by {off:.2g} from the weighted accuracy.",
            )


def check_targets_are_estimated_one_by_one(estimator: Any, sizes: object = ()) -> None:
    """Targets with equal responses get equal bits, in any order and memory layout; an estimate does not depend on other targets."""
    for board in [board for gaps in (False, True) for board in boards_for(estimator, gaps=gaps)]:
        for selection in selections():
            _require_one_by_one(estimator, board, selection)
    for board in boards_for(estimator, n_items=LARGE_ITEMS):
        for selection in selections(LARGE_ITEMS, [LARGE_SIZE]):
            _require_one_by_one(estimator, board, selection)


def _require_one_by_one(estimator: Any, board: Board, selection: Selection) -> None:
    for responses in responses_of(estimator, board, selection):
        twice = np.concatenate([responses, responses[::-1], responses[4:5]])
        order, n_target = np.random.default_rng(1).permutation(len(twice)), len(responses)
        for layout in (np.ascontiguousarray, np.asfortranarray):
            estimates, again, alone = (
                estimate(estimator, fit_of(estimator, board), layout(given), selection)
                for given in (twice, twice[order], responses[:1])
            )
            require(equal(estimates[:n_target], estimates[n_target:-1][::-1]), "Equal responses have other estimates.")
            require(equal(estimates[4:5], estimates[-1:]), "Equal responses have other estimates.")
            require(equal(again, estimates[order]), "The order of the targets changes their estimates.")
            require(largest_difference(alone, estimates[:1]) < TIED, "Other targets change an estimate.")


def check_order_of_items(estimator: Any, sizes: object = ()) -> None:
    """The order of the selected items makes no difference without a fit, or where `ignores_order` has `items`."""
    boards = [board for gaps in (False, True) for board in boards_for(estimator, gaps=gaps)]
    for board in boards if not estimator.fit_key or promises(estimator, "items") else ():
        for selection in selections():
            order = np.random.default_rng(1).permutation(len(selection.items))
            other = Selection(selection.items[order], None if selection.weights is None else selection.weights[order])
            for responses in responses_of(estimator, board, selection):
                once = estimate(estimator, fit_of(estimator, board), responses, selection)
                again = estimate(estimator, fit_of(estimator, board), responses[:, order], other)
                require(largest_difference(once, again) < 1e-9, "The order of the selected items changes the estimates.")


def check_float32_responses(estimator: Any, sizes: object = ()) -> None:
    """float32 responses give float64 estimates, which differ little from those of float64 responses."""
    for board in boards_for(estimator, gaps=True):
        for selection in selections():
            responses, _ = responses_of(estimator, board, selection)
            narrow = estimate(estimator, fit_of(estimator, board), responses.astype(np.float32), selection)
            require_valid(narrow, responses)
            off = largest_difference(narrow, estimate(estimator, fit_of(estimator, board), responses, selection))
            require(off < FLOAT32, f"float32 responses change an estimate by {off:.2g}.")


def check_input_is_not_changed(estimator: Any, sizes: object = ()) -> None:
    """Read-only arrays, which Ray gives, are accepted and stay the same, and so do the fit and the parameters."""
    identity = identity_of(estimator)
    for board in boards_for(estimator, gaps=True):
        seen = board.seen(estimator.source_signal)
        with unchanged(seen):
            fit = Fit(seen, estimator.fit(seen, np.random.default_rng(3)))
            for selection in selections():
                for responses in responses_of(estimator, board, selection):
                    with unchanged(responses, selection.items, selection.weights):
                        estimates = estimate(estimator, fit, responses, selection)
                    once = estimate(estimator, fit_of(estimator, board), responses, selection)
                    require(equal(once, estimates), "Read-only arrays, or estimates before, change the estimates.")
    require(identity_of(estimator) == identity, "The parameters have changed by use.")


def check_equal_streams_give_equal_estimates(estimator: Any, sizes: object = ()) -> None:
    """Estimates depend on the responses and on the stream of the fit only; a worker's copy gives the same bits."""
    for board in boards_for(estimator):
        for part in (estimator, twin_of(estimator)):
            fit = fresh_fit(part, board)
            for selection in selections():
                responses, _ = responses_of(estimator, board, selection)
                once = estimate(estimator, fit_of(estimator, board), responses, selection)
                require(equal(once, estimate(part, fit, responses, selection)), "Equal streams give two estimates.")


def check_global_random_state(estimator: Any, sizes: object = ()) -> None:
    """Only the given generator is drawn from."""
    selection = next(selections(sizes=SIZES[-1:]))

    def estimates() -> list[NDArray[np.float64]]:
        return [
            estimate(estimator, fresh_fit(estimator, board), responses_of(estimator, board, selection)[0], selection)
            for board in boards_for(estimator)
        ]

    with global_random_state_unchanged():
        once = estimates()
    with other_global_random_state():
        again = estimates()
    require(all(map(equal, once, again)), "Estimates depend on a global random state: draw from `rng` instead.")


def check_few_models_and_items(estimator: Any, sizes: object = ()) -> None:
    """One to three source models, one target, and one or two items, are enough."""
    edges = [{"n_source": 1}, {"n_source": 2}, {"n_source": 3}, {"n_target": 1}, {"n_items": 1}, {"n_items": 2}]
    for edge in edges:
        for board in boards_for(estimator, **edge):
            n_items = len(board.subtask)
            for selection in selections(n_items, [size for size in (1, 2, 7) if size <= n_items]):
                responses, _ = responses_of(estimator, board, selection)
                require_valid(estimate(estimator, fit_of(estimator, board), responses, selection), responses)


ESTIMATOR_CHECKS = (
    *COMMON_CHECKS,
    check_estimates_are_accuracies,
    check_equal_responses_are_their_own_estimate,
    check_all_items_give_the_accuracy,
    check_items_count_by_their_weights,
    check_targets_are_estimated_one_by_one,
    check_order_of_items,
    check_float32_responses,
    check_input_is_not_changed,
    check_equal_streams_give_equal_estimates,
    check_global_random_state,
    check_few_models_and_items,
)
