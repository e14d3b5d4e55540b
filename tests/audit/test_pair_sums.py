"""The compiled pair counts against those of `metrics`, and against leaderboards expanded model by model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.audit.pair_sums import NO_PAIR, DriftTies, pair_matrices, weighted_sums
from microbench_ray.audit.profile import Profile, profile
from microbench_ray.metrics import N_BINS, bootstrap_models, compare, true_pairs
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
    sums = weighted_sums(pair_matrices(found, "even", column, ties), np.ones((1, 18), np.int64), np.zeros((1, 0), np.int64), 0)
    assert (sums.base_agree[0] == agree).all()
    assert (sums.base_pairs[0] == pairs).all()
    assert (sums.all_agree == sums.base_agree).all()
    assert not sums.late.any()


@given(seed=st.integers(0, 10_000), n_added=st.integers(0, 6), data=st.data())
def test_weights_and_additions_count_as_in_the_expanded_leaderboard(seed: int, n_added: int, data: st.DataObject) -> None:
    found = leaderboard(9, seed=seed)
    rng = np.random.default_rng(seed)
    base, added = rng.integers(0, 3, (2, 9)), rng.integers(0, 9, (2, n_added))
    n_late = data.draw(st.integers(0, n_added))
    pairs = pair_matrices(found, "weighted")
    sums = weighted_sums(pairs, base, added, n_late)
    for row in range(2):
        models = np.concatenate([np.repeat(np.arange(9), base[row]), added[row]])
        n_base = len(models) - n_added
        all_counts, base_counts = np.zeros((2, N_BINS), int), np.zeros((2, N_BINS), int)
        late = np.zeros(2, int)
        for i in range(len(models)):
            for j in range(i):
                a, b = models[i], models[j]
                if a == b or pairs.bins[a, b] == NO_PAIR:
                    continue
                counts = np.array([int(pairs.agree[a, b]), 2])
                all_counts[:, pairs.bins[a, b]] += counts
                if i < n_base:
                    base_counts[:, pairs.bins[a, b]] += counts
                if i >= len(models) - n_late:
                    late += counts
        assert (np.stack([sums.all_agree[row], sums.all_pairs[row]]) == all_counts).all()
        assert (np.stack([sums.base_agree[row], sums.base_pairs[row]]) == base_counts).all()
        assert (sums.late[row] == late).all()


def test_counts_are_those_of_the_bootstrap_over_models() -> None:
    found = leaderboard()
    values = found.estimates["even"][:, 0]
    counts = bootstrap_models(found.sums[:, 0], found.answered[:, 0], 1, values, 5, np.random.default_rng(7))
    drawn = np.random.default_rng(7).integers(0, 18, (5, 18))
    base = np.stack([np.bincount(row, minlength=18) for row in drawn])
    sums = weighted_sums(pair_matrices(found, "even"), base, np.zeros((5, 0), np.int64), 0)
    agree, pairs = doubled(counts, "wrong")
    assert (sums.base_agree == agree).all()
    assert (sums.base_pairs == pairs).all()


def test_a_model_without_an_estimate_forms_no_pair() -> None:
    found = leaderboard()
    found.estimates["even"][4] = np.nan  # type: ignore[index]
    pairs = pair_matrices(found, "even")
    assert (pairs.bins[4] == NO_PAIR).all()
    assert (pairs.bins[:, 4] == NO_PAIR).all()
