"""Pair counts, compiled and not, against those of `metrics`, and against counts pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.audit import pair_sums
from microbench_ray.audit.pair_sums import NO_PAIR, DriftTies, division_sums, pair_matrices
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.metrics import N_BINS, compare, true_pairs
from microbench_ray.metrics.ties import doubled
from tests.helpers import small


def leaderboard(n_models: int = 18, seed: int = 3) -> Profile:
    return profile(small.board(small.responses(n_models, seed)), small.lists())


@pytest.mark.parametrize("ties", ["wrong", "half", "drop"])
@pytest.mark.parametrize("column", [0, 2])
def test_each_model_once_counts_as_compare_does(ties: DriftTies, column: int) -> None:
    found = leaderboard()
    truth = true_pairs(found.sums[:, column], found.answered[:, column])
    agree, pairs = doubled(compare(truth, found.estimates["even"][:, column]).counts, ties)
    sums = division_sums(pair_matrices(found, "even", column, ties), np.zeros((1, 0), np.intp), 0)
    assert (sums.base_agree[0] == agree).all()
    assert (sums.base_pairs[0] == pairs).all()
    assert (sums.all_agree == sums.base_agree).all()
    assert not sums.late.any()


@pytest.mark.parametrize("few_pairs", [-1, pair_sums.FEW_PAIRS], ids=["compiled", "not-compiled"])
@given(seed=st.integers(0, 10_000), n_added=st.integers(0, 9), data=st.data())
def test_divisions_count_as_pair_by_pair(few_pairs: int, seed: int, n_added: int, data: st.DataObject) -> None:
    found = leaderboard(9, seed=seed)
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(9), (3, 1)), axis=1)
    n_late = data.draw(st.integers(0, n_added))
    pairs = pair_matrices(found, "weighted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_sums, "FEW_PAIRS", few_pairs)
        sums = division_sums(pairs, order[:, 9 - n_added :], n_late)
    for row, models in enumerate(order):
        all_counts, base_counts = np.zeros((2, N_BINS), int), np.zeros((2, N_BINS), int)
        late = np.zeros(2, int)
        for i in range(9):
            for j in range(i):
                a, b = models[i], models[j]
                if pairs.bins[a, b] == NO_PAIR:
                    continue
                counts = np.array([int(pairs.agree[a, b]), 2])
                all_counts[:, pairs.bins[a, b]] += counts
                if i < 9 - n_added:
                    base_counts[:, pairs.bins[a, b]] += counts
                if i >= 9 - n_late:
                    late += counts
        assert (np.stack([sums.all_agree[0], sums.all_pairs[0]]) == all_counts).all()
        assert (np.stack([sums.base_agree[row], sums.base_pairs[row]]) == base_counts).all()
        assert (sums.late[row] == late).all()


def test_a_model_without_an_estimate_forms_no_pair() -> None:
    found = leaderboard()
    found.estimates["even"][4] = np.nan  # type: ignore[index]
    pairs = pair_matrices(found, "even")
    assert (pairs.bins[4] == NO_PAIR).all()
    assert (pairs.bins[:, 4] == NO_PAIR).all()
