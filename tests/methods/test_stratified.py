"""Stratified sampling: strata, means with gaps, and inclusion probabilities that are exactly size / n_items."""

from __future__ import annotations

from itertools import permutations
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems
from microbench_ray.methods.kernels.item_statistics import item_means
from microbench_ray.methods.selectors.stratified import StratifiedConfidence, randomised_proportional, select_as_paper
from tests.helpers.errors import refuses
from tests.helpers.optional import required


def seen_items(responses: Any) -> SeenItems:
    responses = np.asarray(responses, np.float32)
    n_items = responses.shape[1]
    return SeenItems(np.array([f"q{k}" for k in range(n_items)], dtype=object), np.zeros(n_items, np.int32), responses)


def fit(responses: Any, **parameters: Any) -> np.ndarray:
    return StratifiedConfidence(**parameters).fit(seen_items(responses), np.random.default_rng(0))


class Scripted:
    """Stands for a Generator whose two draws are given."""

    def __init__(self, order: tuple[int, ...], start: int) -> None:
        self.order, self.start = np.array(order), start

    def permutation(self, n: int) -> np.ndarray:
        assert n == len(self.order)
        return self.order

    def integers(self, high: int) -> int:
        assert self.start < high
        return self.start


@pytest.mark.parametrize(("sizes", "total"), [((2, 3, 5), 4), ((2, 3, 5), 1), ((1, 1, 9), 5), ((4, 4, 4), 7), ((3, 8), 10)])
def test_the_expected_share_is_exactly_proportional(sizes: Any, total: int) -> None:
    # All draws that are possible, each of which is equally likely.
    n_items = sum(sizes)
    shares = [
        randomised_proportional(np.array(sizes), total, cast("np.random.Generator", Scripted(order, start)))
        for order in permutations(range(len(sizes)))
        for start in range(n_items)
    ]
    assert (np.sum(shares, axis=0) * n_items == len(shares) * total * np.array(sizes)).all()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10), st.data())
def test_a_share_is_a_quota_rounded_up_or_down(sizes: Any, data: st.DataObject) -> None:
    total = data.draw(st.integers(1, sum(sizes)))
    share = randomised_proportional(np.array(sizes), total, np.random.default_rng(data.draw(st.integers(0, 99))))
    assert share.sum() == total
    assert (share <= np.array(sizes)).all()
    assert (np.abs(share * sum(sizes) - total * np.array(sizes)) < sum(sizes)).all()


def test_every_item_is_chosen_with_probability_size_over_items() -> None:
    # Means 0, ½ and 1 of 3, 5 and 9 items: 4 · (3, 5, 9) / 17 are no whole numbers.
    seen = seen_items(np.tile(np.repeat([0, 0.5, 1], [3, 5, 9]), (4, 1)))
    selector, rng, draws = StratifiedConfidence(), np.random.default_rng(1), 4000
    strata = selector.fit(seen, rng)
    assert np.bincount(strata).tolist() in ([3, 5, 9], [3, 9, 5], [5, 3, 9], [5, 9, 3], [9, 3, 5], [9, 5, 3])
    counts = np.zeros(17)
    for _ in range(draws):
        selection = selector.select(seen, strata, 4, rng)
        counts[selection.items] += 1
        assert required(selection.weights).tolist() == [1 / 4] * 4
    p = 4 / 17
    assert (np.abs(counts / draws - p) <= 4 * np.sqrt(p * (1 - p) / draws)).all()


def test_strata_hold_items_of_similar_means() -> None:
    # Two items each near .1, .5 and .9.
    responses = np.array([[0.1, 0.52, 0.9, 0.12, 0.5, 0.88]] * 3)
    strata = fit(responses, strata=3)
    assert len(set(strata.tolist())) == 3
    assert [strata[0], strata[1], strata[2]] == [strata[3], strata[4], strata[5]]


@pytest.mark.parametrize(("means", "expected"), [([0.5] * 6, 1), ([0, 1, 0, 1, 0, 1], 2), ([0, 0.25, 0.5, 0, 0.25, 0.5], 3)])
def test_there_are_no_more_strata_than_distinct_means(means: Any, expected: int) -> None:
    strata = fit([means] * 4)
    assert sorted(set(strata.tolist())) == list(range(expected))
    assert strata.dtype == np.int32


def test_an_items_mean_is_over_the_models_that_answered_it() -> None:
    gap = np.nan
    responses = np.array([[0, 1, gap, 0.5, gap], [1, gap, gap, 0.25, 1], [1, gap, gap, 0.75, 0]], np.float32)
    # 2/3, 1, nobody: mean of the four others, .5, .5.
    means = item_means(responses)
    assert means == pytest.approx([2 / 3, 1, (2 / 3 + 1 + 0.5 + 0.5) / 4, 0.5, 0.5])
    assert means.dtype == np.float64
    assert item_means(np.full((2, 3), gap, np.float32)).tolist() == [0.5] * 3


def test_parameters_are_checked() -> None:
    with refuses(ConfigError, "stratified_confidence: strata", got="0"):
        StratifiedConfidence(strata=0)
    with refuses(ConfigError, "stratified_confidence: unknown signal", got="colour", hint="confidence"):
        StratifiedConfidence(signal="colour")  # type: ignore[arg-type]


def test_selectors_with_other_strata_share_no_fit() -> None:
    assert StratifiedConfidence(strata=5).fit_key != StratifiedConfidence(strata=6).fit_key
    assert StratifiedConfidence().fit_key == StratifiedConfidence(signal="correctness").fit_key


def test_the_papers_variant_gives_rounded_shares_and_draws_the_rest_from_all_others() -> None:
    # Shares of 4 among 3, 5 and 9 of 17 items: .71, 1.18, 2.12, rounded 1, 1, 2. Of 2: .35, .59, 1.06, rounded 0, 1, 1.
    strata = np.repeat(np.arange(3, dtype=np.int32), [3, 5, 9])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        selection = select_as_paper(strata, 4, rng)
        of = strata[selection.items]
        assert np.bincount(of).tolist() == [1, 1, 2]
        assert selection.weights == pytest.approx(np.array([3 / 17, 5 / 17, 9 / 34])[of])
        of = strata[select_as_paper(strata, 1, rng).items]
        assert of.tolist() == [2]


def test_the_papers_variant_weighs_leftovers_as_if_they_were_none() -> None:
    # Three strata of one item, one of seven: shares of 4 are .4 and 2.8, rounded 0 and 3. One leftover of any stratum.
    strata = np.array([0, 1, 2] + [3] * 7, np.int32)
    seen_strata = set()
    for seed in range(40):
        selection = select_as_paper(strata, 4, np.random.default_rng(seed))
        assert len(set(selection.items.tolist())) == 4
        of = strata[selection.items]
        seen_strata.add(int(of[3]))
        # 1 / (10 · 4/10) for strata that gave none, 1 / (10 · 3/7) for the other.
        assert selection.weights == pytest.approx(np.array([1 / 4] * 3 + [7 / 30])[of])
    assert seen_strata == {0, 1, 2, 3}


def test_the_papers_variant_drops_what_rounding_gives_too_much() -> None:
    # Shares of 3 among four equal strata: .75, rounded 1 each.
    strata = np.repeat(np.arange(4, dtype=np.int32), 2)
    dropped = set()
    for seed in range(40):
        selection = select_as_paper(strata, 3, np.random.default_rng(seed))
        assert len(set(strata[selection.items].tolist())) == 3
        assert selection.weights is not None
        assert selection.weights.tolist() == [1 / 4] * 3
        dropped |= {0, 1, 2, 3} - set(strata[selection.items].tolist())
    assert dropped == {0, 1, 2, 3}


@pytest.mark.parametrize("size", [1, 7, 20, 30])
def test_the_papers_variant_chooses_any_size(size: int) -> None:
    seen = seen_items(np.random.default_rng(0).random((5, 30)))
    selector, rng = StratifiedConfidence(variant="paper"), np.random.default_rng(1)
    selection = selector.select(seen, selector.fit(seen, rng), size, rng)
    assert len(set(selection.items.tolist())) == size
    assert selection.weights is not None
    assert selection.weights.shape == (size,)
    with refuses(ConfigError, "stratified_confidence: unknown variant", got="other", hint="paper"):
        StratifiedConfidence(variant="other")  # type: ignore[arg-type]
