"""Neyman allocation over subtasks: allocations by hand, its optimum by brute force, costs, and gaps."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.selectors.neyman import RandomSubtaskNeyman, difference_deviations
from tests.helpers.errors import refuses

SUBTASK = np.repeat(np.arange(3), (4, 10, 30)).astype(np.int32)


def seen(weights: Any = None, responses: np.ndarray | None = None, costs: Any = None) -> SeenItems:
    """Items of subtasks of 4, 10 and 30 items, whose shares of the accuracy are `weights`."""
    ids = np.array([f"q{k}" for k in range(44)], object)
    shares = None if weights is None else (np.array(weights) / np.bincount(SUBTASK))[SUBTASK]
    return SeenItems(ids, SUBTASK, responses, weights=shares, costs=None if costs is None else np.array(costs, float)[SUBTASK])


def allocated(given: SeenItems, size: int, **parameters: Any) -> list[int]:
    selector = RandomSubtaskNeyman(**parameters)
    fit = selector.fit(given, np.random.default_rng(0))
    items = selector.select(given, fit, size, np.random.default_rng(1)).items
    counts: list[int] = np.bincount(SUBTASK[items], minlength=3).tolist()
    return counts


def test_allocations_by_hand() -> None:
    # Without source models all deviations are 1, so that items go by the shares, up to all of a subtask's.
    assert allocated(seen(), 11) == [1, 3, 7]  # in proportion to the sizes, 4 : 10 : 30, rounded
    assert allocated(seen([0.25, 0.25, 0.5]), 8) == [2, 2, 4]
    assert allocated(seen([0.25, 0.25, 0.5]), 3) == [1, 1, 1]
    assert allocated(seen([0.25, 0.25, 0.5]), 1) == [0, 0, 1]
    assert allocated(seen([0.98, 0.01, 0.01]), 8) == [4, 2, 2]  # a subtask with four items gives four
    assert allocated(seen([1 / 3] * 3, costs=[1, 4, 16]), 14, by_cost=True) == [4, 7, 3]  # ten left, as 1/2 : 1/4
    assert allocated(seen([1 / 3] * 3, costs=[1, 4, 16]), 7, by_cost=True) == [4, 2, 1]  # as 1 : 1/2 : 1/4
    assert allocated(seen([1 / 3] * 3, costs=[1, 4, 16]), 9) == [3, 3, 3]


@pytest.mark.parametrize("size", [3, 5, 9, 14, 20])
def test_no_allocation_has_a_smaller_variance(size: int) -> None:
    rng = np.random.default_rng(2)
    responses = (rng.random((20, 44)) < np.array([0.05, 0.4, 0.9])[SUBTASK]).astype(np.float32)
    given, weights = seen([0.5, 0.2, 0.3], responses), np.array([0.5, 0.2, 0.3])
    products = np.square(weights * difference_deviations(given))

    def variance(counts: Any) -> float:
        return float((products / np.array(counts)).sum())

    best = min(variance(each) for each in product(range(1, 5), range(1, 11), range(1, 31)) if sum(each) == size)
    assert variance(allocated(given, size)) == pytest.approx(best)


def test_deviations_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(3)
    responses = rng.random((5, 44)).astype(np.float32)
    squares = []
    for code in range(3):
        own = responses[:, code == SUBTASK]
        variances = [np.var(own[i] - own[j]) for i in range(5) for j in range(i)]
        squares.append(np.mean(variances))
    assert difference_deviations(seen(responses=responses)) == pytest.approx(np.sqrt(squares), rel=1e-5)
    gaps = responses.copy()
    gaps[0, 5], gaps[:, 6] = np.nan, np.nan
    assert np.isfinite(difference_deviations(seen(responses=gaps))).all()
    assert difference_deviations(seen(responses=responses[:1])).tolist() == [1, 1, 1]


def test_sizes_nest_and_weights_are_shares() -> None:
    given, selector = seen([0.5, 0.2, 0.3]), RandomSubtaskNeyman()
    fit = selector.fit(given, np.random.default_rng(4))
    few, many = (selector.select(given, fit, size, np.random.default_rng(5)) for size in (9, 44))
    assert many.items[:9].tolist() == few.items.tolist()
    assert sorted(many.items.tolist()) == list(range(44))
    assert few.weights is not None
    of_subtask = np.bincount(SUBTASK[few.items], few.weights)
    assert of_subtask == pytest.approx([0.5, 0.2, 0.3])
    plain = selector.select(replace(given, weights=None), fit, 9, np.random.default_rng(5))
    assert plain.weights is not None  # items count the same, but their numbers are not in proportion to the subtasks' sizes
    assert np.bincount(SUBTASK[plain.items], plain.weights) == pytest.approx([4 / 44, 10 / 44, 30 / 44])


def test_by_cost_is_true_or_false() -> None:
    unfit: Any = 1
    with refuses(ConfigError, "by_cost"):
        RandomSubtaskNeyman(by_cost=unfit)
