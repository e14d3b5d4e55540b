"""The closed form of uniform random sampling: against enumeration, and its properties."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import synthetic
from microbench_ray.metrics import closed_form as cf
from microbench_ray.metrics.pair_moments import pair_moments
from tests.helpers.errors import refuses

tables = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def enumerated(one: np.ndarray, other: np.ndarray, size: int) -> tuple[float, float]:
    """Share of all samples that order the pair as one > other, and that tie it."""
    sums = [int((one[list(s)].astype(int) - other[list(s)]).sum()) for s in combinations(range(one.size), size)]
    return float(np.mean(np.array(sums) > 0)), float(np.mean(np.array(sums) == 0))


@given(tables, st.integers(1, 8), st.data())
def test_exact_probabilities_are_those_of_enumeration(rng: np.random.Generator, n_items: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, n_items))
    scores = rng.integers(0, 2, (4, n_items)).astype(np.uint8)
    pairs = pair_moments(scores)
    got = cf.order_exactly(pairs, size)
    for k, (i, j) in enumerate(zip(pairs.higher, pairs.lower, strict=True)):
        assert (got.right[k], got.tied[k]) == pytest.approx(enumerated(scores[i], scores[j], size), abs=1e-12)


def boards_of_near_and_far_models() -> list[np.ndarray]:
    """(n_models, n_items) 0/1 scores: near copies of a model and unlike ones, on few and on more items."""
    boards = []
    for n_items, seed in ((60, 1), (200, 2)):
        rng = np.random.default_rng(seed)
        first = rng.random(n_items) < 0.6
        changed = rng.random((5, n_items)) < np.array([0.01, 0.03, 0.08, 0.2, 0.4])[:, None]
        unlike = rng.random((3, n_items)) < np.array([0.1, 0.5, 0.95])[:, None]
        boards.append(np.concatenate([first[None], first ^ changed, unlike]).astype(np.uint8))
    return boards


def test_every_size_is_near_the_exact_sum_without_a_step_where_formulas_change() -> None:
    for scores in boards_of_near_and_far_models():
        pairs = pair_moments(scores)
        pairs = pairs.take(pairs.difference > 0)
        gaps = []
        for size in range(1, scores.shape[1] + 1):
            got, exact = cf.order_probabilities(pairs, size), cf.order_exactly(pairs, size)
            gaps.append(got.right - exact.right)
            assert np.abs(gaps[-1]).max() < 0.006
            assert np.abs(got.tied - exact.tied).max() < 0.006
        assert np.abs(np.diff(gaps, axis=0)).max() < 0.006


def test_items_left_out_and_items_drawn_give_the_same_sum() -> None:
    """On the same pairs and sizes, the sums over drawn items and over left-out ones agree."""
    for scores in boards_of_near_and_far_models():
        n_items = scores.shape[1]
        ahead = (scores[0] > scores[1:]).sum(axis=1), (scores[0] < scores[1:]).sum(axis=1)
        b, c = np.maximum(*ahead), np.minimum(*ahead)
        for size in (1, 7, n_items // 2, n_items - 9, n_items - 1, n_items):
            for one, two in zip(cf._order_by_drawn(b, c, size, n_items), cf._order_by_left_out(b, c, size, n_items), strict=True):
                assert one == pytest.approx(two, abs=2e-6)


def test_a_board_at_eleven_items_is_no_surer_than_exact() -> None:
    """Models that differ on few items: a rule by size, not by the items that differ, said .482 at 11 items where .447 is right."""
    rng = np.random.default_rng(4)
    first = rng.random(500) < 0.7
    scores = (first ^ (rng.random((12, 500)) < 0.04)).astype(np.uint8)
    pairs = pair_moments(scores)
    pairs = pairs.take(pairs.difference > 0)
    means = [float(cf.order_probabilities(pairs, size).right.mean()) for size in range(8, 30)]
    exact = [float(cf.order_exactly(pairs, size).right.mean()) for size in range(8, 30)]
    assert means == pytest.approx(exact, abs=0.005)


@given(tables, st.integers(2, 40), st.integers(1, 2))
def test_all_items_order_as_the_whole_and_more_items_are_never_worse(rng: np.random.Generator, n_items: int, units: int) -> None:
    pairs = pair_moments(rng.integers(0, units + 1, (8, n_items)).astype(np.uint8), units=units)
    whole = cf.order_by_normal(pairs, n_items)
    assert np.array_equal(whole.right, (pairs.difference > 0).astype(float))
    apart = pairs.difference > 0
    if units == 1:
        assert cf.order_exactly(pairs, n_items).right == pytest.approx(whole.right, abs=1e-9)
    means = [float((o.right + o.tied / 2)[apart].sum()) for o in (cf.order_by_normal(pairs, n) for n in range(1, n_items + 1))]
    assert all(later >= sooner - 1e-9 for sooner, later in pairwise(means))


@given(tables, st.integers(2, 40), st.data())
def test_neither_the_order_of_models_nor_which_answer_is_right_matters(
    rng: np.random.Generator, n_items: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, n_items))
    scores = rng.integers(0, 2, (6, n_items)).astype(np.uint8)
    here = cf.expected_counts(pair_moments(scores), size)
    for other in (scores[::-1], 1 - scores):
        for one, two in zip(here, cf.expected_counts(pair_moments(other), size), strict=True):
            assert one == pytest.approx(two, abs=1e-9)


def test_tie_policies_and_thresholds() -> None:
    counts = cf.expected_counts(pair_moments(synthetic(n_models=40, n_items=300).scores), 20)
    wrong, half, drop = (
        np.nansum(a) / np.nansum(n) for a, n in (cf.expected_agreeing(counts, p) for p in ("wrong", "half", "drop"))
    )
    assert wrong < half < drop
    assert cf.expected_mdad(counts, 0.6) <= cf.expected_mdad(counts, 0.8) <= cf.expected_mdad(counts, 0.9)
    with refuses(ConfigError, "closed form", where="tie_policy", got="paper", hint="half"):
        cf.expected_agreeing(counts, "paper")
    with refuses(ConfigError, "agreement", where="threshold", got="1.5"):
        cf.expected_mdad(counts, 1.5)
    with refuses(DataError, "two models", where="pair_moments", got="(1, 4)"):
        pair_moments(np.zeros((1, 4), np.uint8))


def test_the_smallest_size_reaches_the_target_and_one_item_fewer_does_not() -> None:
    pairs = pair_moments(synthetic(n_models=60, n_items=500).scores)
    size = cf.smallest_size(pairs, 0.05)
    assert size is not None
    assert cf.expected_mdad(cf.expected_counts(pairs, size)) <= 0.05
    assert not cf.expected_mdad(cf.expected_counts(pairs, size - 1)) <= 0.05
    with refuses(ConfigError, "difference", where="target_difference", got="0"):
        cf.smallest_size(pairs, 0)
    with refuses(ConfigError, "number of items", where="size", got="501 of 500"):
        cf.expected_counts(pairs, 501)


@pytest.mark.parametrize("size", [1, 7, 40, 150, 290, 300])
def test_pairs_of_equal_moments_have_the_probabilities_of_each_alone(size: int) -> None:
    """They are computed once; the sums over drawn items end where those of the other pairs do, which changes less than 1e-9."""
    pairs = pair_moments(synthetic(n_models=60, n_items=300).scores)
    order = cf.order_probabilities(pairs, size)
    for k in range(0, pairs.n_pairs, 97):
        alone = cf.order_probabilities(pairs.take(np.array([k])), size)
        assert order.right[k] == pytest.approx(alone.right[0], abs=1e-9)
        assert order.tied[k] == pytest.approx(alone.tied[0], abs=1e-9)
