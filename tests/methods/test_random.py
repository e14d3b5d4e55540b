"""Random choices: inclusion probabilities, and allocations worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.methods import SeenItems
from microbench_ray.methods.selectors.random import (
    Random,
    RandomSubtaskEqual,
    RandomSubtaskInverse,
    RandomSubtaskProportional,
    choose_by_group,
    equal_allocation,
    largest_remainder,
)

DRAWS = 4000
SUBTASK = np.array([0] * 2 + [1] * 3 + [2] * 7, dtype=np.int32)
SEEN = SeenItems(np.array([f"q{k}" for k in range(12)], dtype=object), SUBTASK)


def inclusion(selector: Any, size: int) -> np.ndarray:
    """Share of draws that hold each item."""
    rng = np.random.default_rng(0)
    counts = np.zeros(12)
    for _ in range(DRAWS):
        counts[selector.select(SEEN, None, size, rng).items] += 1
    return counts / DRAWS


def within_four_standard_errors(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool((np.abs(found - expected) <= 4 * np.sqrt(expected * (1 - expected) / DRAWS) + 1e-12).all())


@pytest.mark.parametrize("size", [1, 5, 12])
def test_uniform_choice_holds_every_item_equally_often(size: int) -> None:
    assert within_four_standard_errors(inclusion(Random(), size), np.full(12, size / 12))


def test_uniform_choice_holds_every_pair_of_items_equally_often() -> None:
    rng = np.random.default_rng(1)
    together = np.zeros((12, 12))
    for _ in range(DRAWS):
        items = Random().select(SEEN, None, 3, rng).items
        together[np.ix_(items, items)] += 1
    # 3 · 2 / (12 · 11) for every pair.
    assert within_four_standard_errors(together[np.triu_indices(12, 1)] / DRAWS, np.full(66, 6 / 132))


def test_equal_choice_favours_items_of_small_subtasks() -> None:
    # 7 = 2 of each subtask and one more of a random one that has an item left: not of the first, which has only 2. So each
    # of the others has 2.5 on average: inclusion 1, 2.5/3 and 2.5/7.
    expected = np.repeat([1, 2.5 / 3, 2.5 / 7], [2, 3, 7])
    assert within_four_standard_errors(inclusion(RandomSubtaskEqual(), 7), expected)


def test_equal_choice_of_fewer_items_than_subtasks_takes_random_subtasks() -> None:
    assert within_four_standard_errors(inclusion(RandomSubtaskEqual(), 1), np.repeat([1 / 6, 1 / 9, 1 / 21], [2, 3, 7]))


def test_proportional_choice_gives_the_largest_remainders() -> None:
    # 5 · (2, 3, 7) / 12 = 10/12, 15/12, 35/12: whole parts 0, 1, 2 and remainders 10, 3, 11 twelfths, so 1, 1, 3.
    assert within_four_standard_errors(inclusion(RandomSubtaskProportional(), 5), np.repeat([1 / 2, 1 / 3, 3 / 7], [2, 3, 7]))


def test_inverse_choice_of_one_item_has_probability_one_over_its_subtasks_size() -> None:
    # The weights 1/2, 1/3 and 1/7 of a subtask's items add up to 1: every subtask is equally likely.
    assert within_four_standard_errors(inclusion(RandomSubtaskInverse(), 1), np.repeat([1 / 2, 1 / 3, 1 / 7], [2, 3, 7]) / 3)


def test_inverse_choice_of_two_items_draws_one_after_the_other() -> None:
    weight = np.repeat([1 / 2, 1 / 3, 1 / 7], [2, 3, 7]) / 3
    # Second with probability Σ over another first item j of w_j · w_i / (1 − w_j).
    second = weight * ((weight / (1 - weight)).sum() - weight / (1 - weight))
    assert (weight + second).sum() == pytest.approx(2)
    assert within_four_standard_errors(inclusion(RandomSubtaskInverse(), 2), weight + second)


def test_equal_allocation_of_small_subtasks_overflows_into_the_others() -> None:
    # 12 over 4: 3 each, of which the first two can give 1 and 2; of the 3 left each of the others gets 1, and one of them 1 more.
    found = {tuple(equal_allocation(np.array([1, 2, 10, 10]), 12, np.random.default_rng(seed)).tolist()) for seed in range(40)}
    assert found == {(1, 2, 5, 4), (1, 2, 4, 5)}
    # Without a remainder nothing is random: 3 and 3, then the 2 that the first cannot give.
    assert equal_allocation(np.array([1, 9]), 6, np.random.default_rng(0)).tolist() == [1, 5]
    assert equal_allocation(np.array([2, 3, 4]), 9, np.random.default_rng(0)).tolist() == [2, 3, 4]
    # Fewer items than subtasks: one each to some.
    assert sorted(equal_allocation(np.array([5, 5, 5]), 2, np.random.default_rng(0)).tolist()) == [0, 1, 1]


def test_largest_remainder_by_hand() -> None:
    rng = np.random.default_rng(0)
    # 4 · (7, 2, 1) / 10 = 2.8, .8, .4.
    assert largest_remainder(np.array([7, 2, 1]), 4, rng).tolist() == [3, 1, 0]
    # 3 · (5, 3, 2) / 10 = 1.5, .9, .6.
    assert largest_remainder(np.array([5, 3, 2]), 3, rng).tolist() == [1, 1, 1]
    # 5 · (6, 3, 1) / 10 = 3, 1.5, .5: the last place goes to either.
    assert {tuple(largest_remainder(np.array([6, 3, 1]), 5, rng).tolist()) for _ in range(40)} == {(3, 2, 0), (3, 1, 1)}


@st.composite
def groups_and_total(draw: st.DrawFn) -> Any:
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    return np.array(sizes), draw(st.integers(1, sum(sizes)))


@given(groups_and_total(), st.integers(0, 99))
def test_an_equal_allocation_is_as_equal_as_the_groups_allow(case: Any, seed: int) -> None:
    sizes, total = case
    share = equal_allocation(sizes, total, np.random.default_rng(seed))
    assert share.sum() == total
    assert (share <= sizes).all()
    assert (share[share < sizes] >= share.max() - 1).all()


@given(groups_and_total(), st.integers(0, 99))
def test_a_proportional_allocation_is_within_one_of_its_quota(case: Any, seed: int) -> None:
    sizes, total = case
    share = largest_remainder(sizes, total, np.random.default_rng(seed))
    assert share.sum() == total
    assert (share <= sizes).all()
    assert (np.abs(share * sizes.sum() - total * sizes) < sizes.sum()).all()


def test_choice_by_group_takes_what_each_group_is_allotted() -> None:
    groups = np.array([2, 0, 2, 1, 2, 0], dtype=np.int32)
    for seed in range(20):
        chosen = choose_by_group(groups, lambda sizes: np.array([1, 0, 2]), np.random.default_rng(seed))
        assert sorted(groups[chosen.items].tolist()) == [0, 2, 2]
        assert chosen.weights is None


def test_subtasks_of_which_no_item_is_seen_are_passed_over() -> None:
    # Codes are of the whole benchmark: here the codes 0 and 2 do not occur.
    seen = SeenItems(SEEN.item_ids[:6], np.array([1, 1, 1, 3, 3, 3], dtype=np.int32))
    for selector in (RandomSubtaskEqual(), RandomSubtaskProportional(), RandomSubtaskInverse()):
        for size in (1, 2, 5, 6):
            items = selector.select(seen, None, size, np.random.default_rng(size)).items
            assert len(set(items.tolist())) == size
    assert sorted(RandomSubtaskEqual().select(seen, None, 4, np.random.default_rng(0)).items // 3) == [0, 0, 1, 1]
