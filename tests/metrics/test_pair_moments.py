"""Moments of pairs of models against a loop over pairs, with and without missing responses; the order is the leaderboard's."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import DataError
from microbench_ray.metrics.pair_moments import pair_moments
from microbench_ray.metrics.pairs import true_pairs
from tests.helpers.errors import refuses

MISSING = 255
tables = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(tables, st.integers(2, 60), st.integers(1, 3), st.booleans())
def test_moments_are_those_of_a_loop(rng: np.random.Generator, n_items: int, units: int, some_missing: bool) -> None:
    scores = rng.integers(0, units + 1, (5, n_items)).astype(np.uint8)
    if some_missing:
        scores[rng.random(scores.shape) < 0.2] = MISSING
    scores[:, 0] = rng.integers(0, units + 1, 5)
    pairs = pair_moments(scores, MISSING if some_missing else None, units)
    assert pairs.n_pairs == 10
    present = scores != MISSING
    for k, (i, j) in enumerate(zip(pairs.higher, pairs.lower, strict=True)):
        means = [Fraction(int(scores[m][present[m]].sum()), units * int(present[m].sum())) for m in (i, j)]
        assert means[0] >= means[1]
        assert pairs.difference[k] == pytest.approx(float(means[0] - means[1]))
        assert pairs.bins[k] == int((means[0] - means[1]) * 200)
        assert (pairs.only_higher[k], pairs.only_lower[k]) == ((present[i] & ~present[j]).sum(), (present[j] & ~present[i]).sum())
        centre = float(means[0] + means[1]) / 2 * units
        shares = present[[i, j]].mean(axis=1)
        one, other = (np.where(present[m], scores[m] - centre, 0) / share for m, share in zip((i, j), shares, strict=True))
        terms = (one - other) * shares.mean()
        assert pairs.mean[k] == pytest.approx(terms.mean(), abs=1e-9)
        assert pairs.square[k] == pytest.approx((terms**2).mean(), abs=1e-9)
        if (present[i] == present[j]).all():
            difference = np.where(present[i], scores[i].astype(float) - scores[j], 0)
            assert (pairs.mean[k], pairs.square[k]) == pytest.approx((difference.mean(), (difference**2).mean()), abs=1e-12)
        assert pairs.accuracy[i] == pytest.approx(float(means[0]))


@given(tables, st.integers(5, 40))
def test_pairs_are_ordered_and_binned_as_by_a_sweep(rng: np.random.Generator, n_items: int) -> None:
    scores = rng.integers(0, 2, (9, n_items)).astype(np.uint8)
    scores[rng.random(scores.shape) < 0.15] = MISSING
    scores[:, 0] = 1
    present = scores != MISSING
    pairs = pair_moments(scores, MISSING)
    truth = true_pairs(np.where(present, scores, 0).sum(axis=1), present.sum(axis=1))
    differ = pairs.difference > 0
    (block,) = truth.blocks()
    ours = sorted(zip(pairs.higher[differ], pairs.lower[differ], pairs.bins[differ], strict=True))
    assert ours == sorted(zip(block.higher, block.lower, np.repeat(block.bins, block.sizes), strict=True))


def test_models_without_responses_form_no_pairs() -> None:
    scores = np.array([[1, 0], [MISSING, MISSING], [0, 0]], np.uint8)
    pairs = pair_moments(scores, MISSING)
    assert (pairs.higher.tolist(), pairs.lower.tolist()) == ([0], [2])
    assert np.isnan(pairs.accuracy[1])
    with refuses(DataError, "responses", where="pair_moments", got="2 models"):
        pair_moments(scores[:2], MISSING)


@given(tables, st.integers(1, 12), st.integers(2, 30), st.integers(1, 2), st.booleans())
def test_pairs_of_equal_moments_are_found_once(
    rng: np.random.Generator, n_items: int, n_models: int, units: int, some_missing: bool
) -> None:
    scores = rng.integers(0, units + 1, (n_models, n_items)).astype(np.uint8)
    if some_missing:
        scores[0, 0] = MISSING
        scores[0, 1:] = 0
    pairs = pair_moments(scores, MISSING if some_missing and n_items > 1 else None, units)
    if units > 1 or not pairs.same_items.all():
        assert pairs.distinct is None
        return
    distinct, place = pairs.distinct or (pairs, None)
    moments = list(zip(pairs.mean.tolist(), pairs.square.tolist(), strict=True))
    assert distinct.n_pairs == len(set(moments))
    assert np.array_equal(distinct.mean[place], pairs.mean)
    assert np.array_equal(distinct.square[place], pairs.square)
