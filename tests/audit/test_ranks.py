from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.audit.profile import profile
from microbench_ray.audit.ranks import leaderboard, rank_intervals, share_of_close_neighbours, tie_groups, true_ranks
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed
from tests.helpers import small
from tests.helpers.errors import refuses

rng = np.random.default_rng


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(9, 12)), min_size=1, max_size=12))
def test_ranks_are_those_of_the_fractions(models: list[tuple[int, int]]) -> None:
    sums, answered = np.array(models, dtype=np.int64).T
    values = [Fraction(int(a), int(b)) for a, b in models]
    assert true_ranks(sums, answered).tolist() == [1 + sum(other > value for other in values) for value in values]


def test_groups_by_hand() -> None:
    accuracy = np.array([0.9, 0.88, 0.86, 0.85, 0.80, 0.80])
    assert tie_groups(accuracy, 0.04).tolist() == [1, 1, 2, 2, 3, 3]
    assert tie_groups(accuracy, 0.05).tolist() == [1, 1, 1, 2, 3, 3]  # 0.90 − 0.85 and 0.85 − 0.80 reach 0.05
    assert tie_groups(accuracy, None).tolist() == tie_groups(accuracy, np.nan).tolist() == [1] * 6
    assert tie_groups(accuracy, 0.0).tolist() == [1, 2, 3, 4, 5, 5]  # equal accuracies stay in one group
    assert share_of_close_neighbours(accuracy, 0.02) == pytest.approx(2 / 5)
    assert share_of_close_neighbours(accuracy, None) == 1
    assert np.isnan(share_of_close_neighbours(accuracy[:1], 0.02))


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30), st.integers(1, 60))
def test_a_group_holds_exactly_the_models_closer_to_its_best_than_the_mdad(half_points: list[int], mdad: int) -> None:
    accuracy = np.sort(np.array(half_points))[::-1] / 200
    groups = tie_groups(accuracy, mdad / 200)
    for group in np.unique(groups):
        members = accuracy[groups == group]
        assert round((members[0] - members[-1]) * 200) < mdad
        below = accuracy[groups == group + 1]
        assert not below.size or round((members[0] - below[0]) * 200) >= mdad


def test_a_table_by_hand() -> None:
    right = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0.0]])
    board = Benchmark.from_arrays("b", right, list("wxyz"), ["b", "c", "a", "d"])
    found = leaderboard(profile(board, {"l": Fixed(items=["w", "z"])}), "l", 0.3, top_k=2, rng=rng(0), new=["a"])
    assert found.schema.equals(SCHEMAS["leaderboard"])
    assert found["model"].to_pylist() == ["a", "b", "c", "d"]
    assert found["rank"].to_pylist() == [1, 1, 3, 4]
    assert found["estimate"].to_pylist() == [0.5, 0.5, 0.5, 0]
    assert found["estimate_rank"].to_pylist() == [1, 1, 1, 4]
    assert found["tie_group"].to_pylist() == [1, 1, 2, 2]
    assert found["is_new"].to_pylist() == [True, False, False, False]
    assert found["n_answered"].to_pylist() == [4] * 4
    assert sum(found["p_top"].to_pylist()) == pytest.approx(2)


def test_perfect_estimates_have_intervals_of_one_rank() -> None:
    accuracy = np.linspace(0.9, 0.1, 20)
    low, high, top = rank_intervals(accuracy, 0.5 * accuracy + 0.2, 5, rng(0))
    assert low.tolist() == high.tolist() == list(range(1, 21))
    assert top.tolist() == [1] * 5 + [0] * 15


def test_constant_or_missing_estimates_have_intervals_of_all_ranks() -> None:
    accuracy = np.linspace(0.9, 0.1, 20)
    low, high, top = rank_intervals(accuracy, np.full(20, 0.5), 5, rng(0), n_draws=4000)
    assert (low == 1).all()
    assert (high == 20).all()
    assert top == pytest.approx(np.full(20, 0.25), abs=0.04)
    estimates = accuracy.copy()
    estimates[3] = np.nan
    low, high, top = rank_intervals(accuracy, estimates, 5, rng(0))
    assert (low[3], high[3]) == (1, 20)
    assert np.isnan(top[3])
    low, high, _ = rank_intervals(accuracy[:2], np.full(2, np.nan), 1, rng(0))
    assert (low.tolist(), high.tolist()) == ([1, 1], [2, 2])


@pytest.mark.parametrize("n_listed", [20, 80])
def test_intervals_of_95_percent_cover_95_percent_of_the_true_ranks(n_listed: int) -> None:
    inside = []
    for seed in range(25):
        right = small.responses(120, seed)
        listed = rng(seed).choice(small.N_ITEMS, n_listed, replace=False)
        accuracy = right.mean(axis=1)
        ranks = true_ranks(right.sum(axis=1, dtype=np.int64), np.full(120, small.N_ITEMS))
        low, high, _ = rank_intervals(accuracy, right[:, listed].mean(axis=1), 10, rng(seed), n_draws=500)
        inside.append(np.mean((low <= ranks) & (ranks <= high)))
    assert 0.93 < np.mean(inside) < 0.975


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"n_draws": 0}, {"level": 1.0}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    found = profile(small.board(small.responses(4)), small.lists())
    ((name, value),) = wrong.items()
    with refuses(ConfigError, name, where="leaderboard", got=f"{name}={value}"):
        leaderboard(found, "even", None, rng=rng(0), **({"top_k": 1} | wrong))
