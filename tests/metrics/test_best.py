"""Methods that are not worse than the best by more than chance: p-values by hand, and how often equal methods are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from microbench_ray.metrics import best_p_values, holm
from microbench_ray.metrics.paired import MIN_RUNS


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .03 .5: times 4, 3, 2, 1 are .04 .06 .06 .5; each is at least the one before.
    assert holm(np.array([0.5, 0.01, 0.03, 0.02])).tolist() == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.5))
def test_holm_rejects_as_its_definition_says(p_values: list[float], level: float) -> None:
    ordered, rejected = sorted(p_values), 0
    while rejected < len(ordered) and ordered[rejected] * (len(ordered) - rejected) <= level:
        rejected += 1
    assert sum(holm(np.array(p_values)) <= level) == rejected


def test_two_methods_are_students_paired_test() -> None:
    rng = np.random.default_rng(0)
    pairs = np.full((2, 12), 100)
    agree = 70 + rng.integers(-5, 6, (2, 12)) + np.array([[3], [0]])
    p_values = [stats.ttest_rel(agree[0], agree[1], alternative=other_is_better).pvalue for other_is_better in ("less", "greater")]
    assert min(p_values) < 0.25
    # With two methods, the other one is the only rival; Holm doubles the smaller one, and the larger one is at least that.
    expected = [max(min(1.0, 2 * min(p_values)), p) for p in p_values]
    assert best_p_values(agree, pairs).tolist() == pytest.approx(expected)


def test_a_worse_method_is_told_from_its_better_ones_however_many_there_are() -> None:
    rng = np.random.default_rng(1)
    agree = rng.binomial(1000, np.array([0.9] * 5 + [0.8])[:, None], (6, 10))
    p_values = best_p_values(agree, np.full((6, 10), 1000))
    assert p_values[-1] < 1e-4
    assert min(p_values[:-1]) > 0.05


@pytest.mark.parametrize("n_runs", [1, 2, 3, MIN_RUNS - 1])
def test_nothing_is_said_below_ten_runs(n_runs: int) -> None:
    agree = np.array([[9], [1]]) * np.ones((1, n_runs), int)
    assert np.isnan(best_p_values(agree, np.full((2, n_runs), 10))).all()


def test_methods_without_pairs_or_rivals_have_no_p_value() -> None:
    agree, pairs = np.array([[5] * 10, [0] * 10]), np.array([[10] * 10, [0] * 10])
    assert np.isnan(best_p_values(agree, pairs)).all()
    assert np.isnan(best_p_values(agree[:1], pairs[:1])).all()
    three = best_p_values(np.array([[5] * 10, [0] * 10, [6] * 10]), np.array([[10] * 10, [0] * 10, [10] * 10]))
    assert three[0] == 0.0  # behind by the same amount in each of ten runs
    assert np.isnan(three[1])
    assert three[2] == 1.0


def test_equal_values_in_all_runs_are_no_difference() -> None:
    assert best_p_values(np.full((4, 10), 7), np.full((4, 10), 10)).tolist() == [1.0] * 4


def drawn(rng: np.random.Generator, chances: np.ndarray, n_runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of methods that share what is hard about a run."""
    pairs = rng.integers(150, 250, (1, n_runs)) * np.ones((len(chances), 1), int)
    of_run = rng.normal(0, 0.03, n_runs)
    of_method = rng.normal(0, 0.02, (len(chances), n_runs))
    return rng.binomial(pairs, np.clip(chances[:, None] + of_run + of_method, 0, 1)), pairs


@pytest.mark.parametrize("n_runs", [MIN_RUNS, 20])
def test_equal_methods_are_seldom_told_apart(n_runs: int) -> None:
    rng = np.random.default_rng(n_runs)
    found = [bool((best_p_values(*drawn(rng, np.full(8, 0.8), n_runs)) <= 0.05).any()) for _ in range(1000)]
    assert np.mean(found) <= 0.065  # 5 %, and two standard errors of 1,000 sweeps


def test_the_truly_best_method_is_kept_in_at_least_95_percent_of_sweeps() -> None:
    rng = np.random.default_rng(3)
    chances = 0.8 - np.array([0, 0.002, 0.005, 0.01, 0.01, 0.03, 0.1])
    p_values = np.array([best_p_values(*drawn(rng, chances, 12)) for _ in range(1000)])
    assert np.mean(p_values[:, 0] <= 0.05) <= 0.05
    assert np.mean(p_values[:, -1] <= 0.05) > 0.95
