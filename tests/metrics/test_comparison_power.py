"""The power of a comparison before it is made: against comparisons of drawn items and runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.metrics.comparison_power import comparison_power
from microbench_ray.metrics.pair_moments import pair_moments
from microbench_ray.metrics.run_difference import run_difference
from microbench_ray.metrics.run_noise import RunNoise, with_noise
from studies.compare_coverage import independent, read_samples
from studies.compare_power import claimed_and_found, gaps
from studies.noise_gaps import pairs_of_means


@pytest.mark.parametrize(("units", "size"), [(1, 40), (1, 150), (10, 40)])
def test_comparisons_of_random_items_find_as_much_as_said(units: int, size: int) -> None:
    rng = np.random.default_rng(units * size)
    scores = rng.binomial(units, np.clip(rng.random(500) + np.array([[-0.06], [0.06]]), 0, 1))
    pair = pair_moments(scores, None, units)
    worse, better = (scores[[row]].T / units for row in (pair.lower[0], pair.higher[0]))
    found = []
    for _ in range(400):
        items = rng.choice(500, size, replace=False)
        found.append(run_difference(independent(worse[items], better[items])).low > 0)
    assert comparison_power(pair, size)[0] == pytest.approx(np.mean(found), abs=0.07)


def test_comparisons_of_new_runs_find_as_much_as_said() -> None:
    rng = np.random.default_rng(3)
    chances = np.clip(rng.random((1, 300, 1)) + np.linspace(-0.15, 0.15, 12)[:, None, None], 0.05, 0.95)
    scores = (rng.random((12, 300, 10)) < chances).astype(float)
    claimed, found = claimed_and_found(scores, 120, 2, 600, rng)
    assert claimed.mean() == pytest.approx(found.mean(), abs=0.05)
    assert max(abs(own - seen) for own, seen in gaps(claimed, found)) < 0.12


@pytest.mark.slow
def test_real_repeats(test_data: Path) -> None:
    scores = read_samples(test_data / "boards" / "crux_input_samples.parquet")
    claimed, found = claimed_and_found(scores, 100, 1, 1500, np.random.default_rng(0))
    assert claimed.mean() == pytest.approx(found.mean(), abs=0.03)


def test_all_items_leave_the_noise_of_the_repeats() -> None:
    repeats = np.zeros((2, 60, 4))
    repeats[0, :30], repeats[1, :40] = 1, 1
    steady = with_noise(pairs_of_means(repeats), RunNoise.of(repeats))
    assert comparison_power(steady, 60)[0] in (0, 1)
    assert comparison_power(pairs_of_means(repeats), 60)[0] == comparison_power(steady, 60)[0]


def test_the_library_says_it_where_it_is_known() -> None:
    board = mb.synthetic(n_models=10, n_items=400)
    models = list(board.model_ids[:2])
    few, many = (mb.ranking_probability(board, models, size)["power"] for size in (20, 300))
    assert 0 <= few < many <= 1
    assert mb.ranking_probability(board.with_truth("macro"), models, 20)["power"] is None
