"""The order of items of `auto`, by definition: guided items, random ones, and items that the best models fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from microbench_ray.methods import SeenItems
from microbench_ray.methods.kernels import auto_order
from microbench_ray.methods.kernels.auto import fit_auto
from microbench_ray.methods.kernels.auto_order import means_of_the_best, mixed, open_items
from microbench_ray.methods.kernels.pairs_forward import PairsForward
from microbench_ray.methods.kernels.sources import SourceAccuracies
from microbench_ray.methods.readout import FloatArray
from tests.helpers.small import responses

N_ITEMS = 60


def fitted(n_source: int) -> Any:
    ids = np.array([str(k) for k in range(N_ITEMS)], object)
    scores = responses(n_source, 0, N_ITEMS).astype(np.float32)
    return fit_auto(SeenItems(ids, np.zeros(N_ITEMS, np.int32), scores), np.random.default_rng(0))


def known(scores: FloatArray) -> SourceAccuracies:
    return SourceAccuracies(responses=scores, accuracy=scores.mean(axis=1), confidence=None)


class Listed:
    """A selection whose items come in the order of a list."""

    def __init__(self, items: Iterable[int]) -> None:
        self.left = list(items)

    def best(self) -> int:
        return self.left[0]

    def take(self, item: int) -> None:
        self.left.remove(item)


@given(
    st.permutations(range(12)),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.125, 0.25, 0.5]),
    st.permutations(range(12)),
    st.integers(0, 12),
)
def test_every_prefix_has_its_shares(guided: list[int], n_guided: int, share: float, added: list[int], n_added: int) -> None:
    random = np.random.default_rng(0).permutation(12)
    order = mixed(Listed(guided), n_guided, random, share, np.array(added[:n_added], np.intp), 0.25).tolist()
    assert sorted(order) == list(range(12))
    is_open = set(added[:n_added])
    expected: list[int] = []
    taken = {"added": 0, "random": 0, "guided": 0}
    while len(expected) < 12:
        k = len(expected) + 1
        free = {
            queue: [item for item in items if item not in expected]
            for queue, items in {"added": added[:n_added], "random": random.tolist(), "guided": guided}.items()
        }
        drawn = taken["random"] + taken["added"]
        queue = "guided"
        if taken["random"] < int(share * k):
            queue = "random"
        elif len(is_open & set(expected)) < k // 2 and taken["added"] < k // 4 and drawn < k // 2 and free["added"]:
            queue = "added"
        if queue == "guided" and taken["guided"] == n_guided:
            break
        taken[queue] += 1
        expected.append(free[queue][0])
    assert order == expected + [item for item in random.tolist() if item not in expected]


def test_open_items_are_added_where_the_guided_ones_are_solved_by_the_best() -> None:
    random, added = np.arange(40)[::-1], np.arange(20, 40)

    def first(share: float, added: NDArray[np.intp], size: int) -> list[int]:
        return mixed(Listed(range(40)), 20, random, share, added, 0.25)[:size].tolist()

    # Every fourth item is an open one; the guided ones keep their order.
    assert first(0.0, added, 9) == [0, 1, 2, 20, 3, 4, 5, 21, 6]
    # A fifth is random beside them.
    assert first(0.2, added, 11) == [0, 1, 2, 20, 39, 3, 4, 21, 5, 38, 6]
    # With as many random items as there may be, none is added.
    assert first(0.5, added, 6) == [0, 39, 1, 38, 2, 37]
    # Where half of the guided ones are open, none is added.
    assert first(0.0, np.arange(0, 40, 2), 9) == list(range(9))
    # Where no item is open, none can be.
    assert first(0.0, np.arange(0), 9) == list(range(9))


@pytest.mark.parametrize(("n_source", "n_random", "added"), [(10, 10, 0.25), (25, 4, 0.25), (5, 10, 0.25), (125, 0, 0.08)])
def test_the_fewer_the_sources_the_more_random_items(
    n_source: int, n_random: int, added: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 items, a share of five by the number n of sources, at most half; of added ones a quarter, beyond 70 × (70 / n)².

    Two of the 125 models are copies.
    """
    shares: list[tuple[float, float]] = []
    numbers: list[int] = []

    def spy(guided: Any, n_guided: int, random: Any, share: float, of_added: Any, added_share: float) -> Any:
        shares.append((share, added_share))
        numbers.append(n_guided)
        return mixed(guided, n_guided, random, share, of_added, added_share)

    monkeypatch.setattr(auto_order, "mixed", spy)
    learned = fitted(n_source).learned
    assert int(20 * shares[0][0]) == n_random
    # Half as many again are guided as the nested split supports.
    assert numbers[0] == round(1.5 * learned.per_source * np.unique(learned.groups).size)
    assert shares[0][1] == pytest.approx(added, abs=0.006)


def test_the_best_are_a_quarter_of_the_sources_and_at_least_three() -> None:
    scores = np.tril(np.ones((16, 16)))  # model k solves the first k + 1 items: the best four are models 12 to 15
    assert means_of_the_best(known(scores), np.arange(16)).tolist() == [1.0] * 13 + [0.75, 0.5, 0.25]
    assert means_of_the_best(known(scores[:5]), np.arange(5)).tolist() == pytest.approx([1, 1, 1, 2 / 3, 1 / 3, *[0] * 11])
    assert means_of_the_best(known(scores[:2]), np.arange(2)).tolist() == [1.0, 0.5, *[0] * 14]


def test_of_copies_one_counts_among_the_best() -> None:
    scores = np.tril(np.ones((16, 16)))
    copied = np.concatenate([scores, np.repeat(scores[15:], 8, axis=0)])
    groups = np.concatenate([np.arange(16), np.full(8, 15)])
    assert means_of_the_best(known(copied), groups).tolist() == means_of_the_best(known(scores), np.arange(16)).tolist()


def test_open_items_are_those_that_the_best_fail_and_first_those_on_which_they_differ() -> None:
    scores = np.zeros((12, N_ITEMS))
    scores[:3, :20] = [[1], [0], [0]]  # p = 1/3 on 20 items, 0 on 20, and 1 on 20, of the best three
    scores[:3, 40:] = 1
    none = np.zeros(N_ITEMS, np.int32)
    found = [open_items(known(scores), np.arange(12), none, np.random.default_rng(seed), None) for seed in range(40)]
    assert {tuple(sorted(items)) for items in found} == {tuple(range(40))}
    # The probabilities are in proportion to 2/9 and .05, so .816 of the first items are of the first kind.
    assert np.mean([(items[:10] < 20).mean() for items in found]) == pytest.approx(2 / 9 / (2 / 9 + 0.05), abs=0.03)
    costs = np.where(np.arange(N_ITEMS) < 20, 4.0, 0.5)
    cheap = open_items(known(scores), np.arange(12), none, np.random.default_rng(0), costs)
    assert (cheap[:10] < 20).mean() == pytest.approx(2 / 36 / (2 / 36 + 0.1), abs=0.1)


def test_of_items_that_the_best_mostly_fail_those_at_most_at_the_median_are_open() -> None:
    none = np.zeros(N_ITEMS, np.int32)

    def found(solved_by_best: list[int]) -> list[int]:
        """The open ones among items that so many of the best ten models solve; the other thirty solve none."""
        scores = np.zeros((40, N_ITEMS))
        for item, solved in enumerate(solved_by_best):
            scores[:solved, item] = 1
        scores[:10, len(solved_by_best) :] = 1
        return sorted(open_items(known(scores), np.arange(40), none, np.random.default_rng(0), None).tolist())

    # Fewer than 7 of 10, and not above the median, 3 of 10.
    assert found([3] * 20 + [1] * 20 + [6] * 20) == list(range(40))
    # The median is 9 of 10: all below 7 of 10.
    assert found([9] * 40 + [6] * 10 + [7] * 10) == list(range(40, 50))
    # Most items are failed by all.
    assert found([0] * 50 + [1] * 10) == list(range(50))


@pytest.mark.parametrize(("n_source", "weight"), [(8, 1.0), (50, 1.0), (100, 0.25)])
def test_guided_items_are_for_near_pairs_and_with_few_sources_as_much_for_all(
    n_source: int, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms: list[FloatArray] = []

    class Spy(PairsForward):
        def __init__(self, of: SourceAccuracies, form: FloatArray, shrink: float, costs: FloatArray | None = None) -> None:
            forms.append(form)
            super().__init__(of, form, shrink, costs=costs)

    monkeypatch.setattr(auto_order, "PairsForward", Spy)
    learned = fitted(n_source).learned
    assert np.unique(learned.groups).size == n_source
    error = np.random.default_rng(0).normal(size=n_source)
    squares = np.square(error[:, None] - error[None, :])
    gaps = np.abs(learned.known.accuracy[:, None] - learned.known.accuracy[None, :])
    near = (gaps >= 0.025) & (gaps <= 0.1)
    expected = squares[near].mean() + weight * squares[~np.eye(n_source, dtype=bool)].mean()
    assert error @ forms[0] @ error == pytest.approx(expected)
