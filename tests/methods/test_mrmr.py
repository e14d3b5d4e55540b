"""mRMR: information by the definition and by another library's estimate, and the greedy order by brute force."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif

from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.mutual_information import ItemInformation, information_on_accuracy, response_levels
from microbench_ray.methods.selectors.mrmr import MIN_REDUNDANCY, NOISE, Mrmr

LEVELS = st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), min_size=2, max_size=14)


def seen_items(responses: np.ndarray) -> SeenItems:
    n_items = responses.shape[1]
    ids = np.array([f"q{k}" for k in range(n_items)], object)
    return SeenItems(ids, np.zeros(n_items, np.int32), responses.astype(np.float32))


def psi(n: int) -> float:
    """The digamma function of a whole number."""
    return -0.5772156649015329 + sum(1 / k for k in range(1, n))


def defined(codes: list[int], accuracy: list[float], neighbours: int) -> float:
    """Ross's estimate model by model."""
    total = 0.0
    for i, (own, at) in enumerate(zip(codes, accuracy, strict=True)):
        distances = sorted(abs(accuracy[j] - at) for j, other in enumerate(codes) if other == own and j != i)
        if distances:
            k = min(neighbours, len(distances))
            near = sum(abs(each - at) <= distances[k - 1] + 1e-13 for each in accuracy) - 1
            total += psi(len(codes)) - psi(len(distances) + 1) + psi(k) - psi(near)
    return max(total / len(codes), 0.0)


def test_two_separate_levels_by_hand() -> None:
    """Four models, levels 0 0 1 1, accuracies .1 .2 .8 .9, k = 1: each one's nearest is of its level, so N_x = 2 and m = 1.

    ψ(4) − ψ(2) + ψ(1) − ψ(1) = 1/2 + 1/3.
    """
    found = information_on_accuracy(np.array([[0], [0], [1], [1]]), np.array([0.1, 0.2, 0.8, 0.9]), 1)
    assert found == pytest.approx([1 / 2 + 1 / 3])


def test_a_constant_item_says_nothing() -> None:
    assert information_on_accuracy(np.zeros((12, 1), int), np.linspace(0, 1, 12)) == pytest.approx([0.0])


@given(LEVELS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_it_is_the_definition_with_ties_too(rows: list[list[int]], random, neighbours: int) -> None:
    levels = np.array(rows)
    accuracy = np.array([random.choice([0.1, 0.25, 0.3, 0.5, 0.55, 0.9, random.random()]) for _ in rows])
    found = information_on_accuracy(levels, accuracy, neighbours)
    wanted = [defined(levels[:, k].tolist(), accuracy.tolist(), neighbours) for k in range(4)]
    assert found == pytest.approx(wanted, abs=1e-9)


def test_it_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    accuracy = rng.random(80)
    levels = (rng.random((80, 6)) < 0.5 + np.linspace(0, 1, 6) * (accuracy[:, None] - 0.5)).astype(int)
    wanted = [mutual_info_classif(accuracy[:, None], column, n_neighbors=3, random_state=0)[0] for column in levels.T]
    assert information_on_accuracy(levels, accuracy) == pytest.approx(wanted, abs=1e-6)


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """Mutual information of two columns of levels, from its definition."""
    n = len(one)
    own, others, pairs = Counter(one.tolist()), Counter(other.tolist()), Counter(zip(one.tolist(), other.tolist(), strict=True))
    return sum(count / n * math.log(count * n / (own[a] * others[b])) for (a, b), count in pairs.items())


@given(LEVELS)
def test_pairs_of_items_by_their_tables(rows: list[list[int]]) -> None:
    levels = np.array(rows)
    information = ItemInformation(levels)
    for item in range(4):
        wanted = [shared(levels[:, item], levels[:, other]) for other in range(4)]
        assert information.with_item(item) == pytest.approx(wanted, abs=1e-9)


def test_an_items_information_on_itself_is_its_entropy() -> None:
    levels = np.array([[0], [1], [1], [1]])
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert ItemInformation(levels).with_item(0) == pytest.approx([entropy])


@pytest.mark.parametrize(
    ("column", "codes"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ([1, 1, 1, 1, 1, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1, 1, 1, 0, 1]),
        ([0, 1, 0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], [0, 0, 0, 0, 0, 0]),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 0, 1, 2, 2, 2]),
    ],
)
def test_levels(column: list[float], codes: list[int]) -> None:
    assert response_levels(np.array(column)[:, None])[:, 0].tolist() == codes


@pytest.mark.parametrize("graded", [False, True])
def test_each_item_has_the_largest_quotient(graded: bool) -> None:
    """By brute force: relevance by its definition over the mean information with the items chosen before."""
    rng = np.random.default_rng(4)
    responses = 1 / (1 + np.exp(rng.normal(0, 1, 90) - np.linspace(-3, 3, 11)[:, None] - rng.normal(0, 1, (11, 90))))
    if not graded:
        responses = (responses > 0.5).astype(float)
    responses = responses.astype(np.float32).astype(np.float64)
    seen = seen_items(responses)
    codes, accuracy = response_levels(responses), responses.mean(axis=1)
    assert len(set(accuracy)) == 11
    selector = Mrmr()
    found = selector.select(seen, selector.fit(seen, np.random.default_rng(7)), 8, rng).items.tolist()
    same_stream = np.random.default_rng(7)
    same_stream.permutation(90)  # the order of equal items
    accuracy = accuracy + NOISE * same_stream.random(11)
    relevance = np.array([defined(column.tolist(), accuracy.tolist(), 3) for column in codes.T])
    assert relevance[found[0]] == pytest.approx(relevance.max())
    for n_chosen in range(1, 8):
        left = [item for item in range(90) if item not in found[:n_chosen]]
        redundancy = [np.mean([shared(codes[:, item], codes[:, each]) for each in found[:n_chosen]]) for item in left]
        quotient = relevance[left] / np.maximum(redundancy, MIN_REDUNDANCY)
        assert quotient[left.index(found[n_chosen])] == pytest.approx(quotient.max(), rel=1e-6)


def test_the_second_item_is_not_the_first_ones_twin() -> None:
    """Every item has a copy, so that accuracies stay what they are."""
    rng = np.random.default_rng(1)
    items = (rng.normal(0, 1, (200, 1)) + rng.logistic(size=(200, 20)) > 0).astype(float)
    seen = seen_items(np.concatenate([items, items], axis=1))
    selector = Mrmr()
    first, second = selector.select(seen, selector.fit(seen, rng), 2, rng).items.tolist()
    assert first % 20 != second % 20


def test_equal_accuracies_hide_no_information() -> None:
    """Two groups of twenty equal models: the item that tells them apart is first, before those that vary within both groups."""
    group, within = np.repeat([0.0, 1.0], 20), np.tile([0.0, 1.0], 20)
    seen = seen_items(np.stack([within, group, 1 - within], axis=1))
    selector = Mrmr()
    firsts = [int(selector.select(seen, selector.fit(seen, rng), 1, rng).items[0]) for rng in map(np.random.default_rng, range(10))]
    assert firsts == [1] * 10


def test_items_without_information_come_in_random_order() -> None:
    seen = seen_items(np.ones((20, 6)))
    selector = Mrmr()
    firsts = Counter(
        int(selector.select(seen, selector.fit(seen, rng), 1, rng).items[0]) for rng in map(np.random.default_rng, range(120))
    )
    assert set(firsts) == set(range(6))


@pytest.mark.parametrize("n_source", [0, 1, 3])
def test_few_sources_give_a_random_order(n_source: int) -> None:
    seen = seen_items(np.ones((n_source, 6)))
    selector = Mrmr()
    rng = np.random.default_rng(0)
    assert sorted(selector.select(seen, selector.fit(seen, rng), 6, rng).items.tolist()) == list(range(6))
