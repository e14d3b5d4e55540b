"""The closed form of single runs: by hand, against drawn runs whose expectations are known, and on real repeats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.metrics.closed_form import expected_counts, normal_moments, order_probabilities
from microbench_ray.metrics.run_noise import RunNoise, above, grid_of, noise_floor, with_noise
from microbench_ray.metrics.variance_components import VarianceComponents
from studies.compare_coverage import read_samples
from studies.noise_gaps import gaps, pairs_of_means

N_MODELS, N_ITEMS, N_RUNS = 30, 300, 10


class World:
    """A board of `N_RUNS` runs, and further runs of it."""

    def __init__(self, effect: float, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        level = np.sort(self.rng.uniform(-0.15, 0.15, (N_MODELS, 1, 1)), axis=0)
        self.chances = np.clip(level + self.rng.beta(1.2, 1.2, (N_MODELS, N_ITEMS, 1)), 0.06, 0.94)
        self.effect = effect
        self.board = self.runs(N_RUNS)

    def runs(self, number: int) -> np.ndarray:
        """(n_models, n_items, number) answers, with an effect of every run on all items."""
        moved = self.chances + self.rng.normal(0, self.effect, (N_MODELS, 1, number))
        return (self.rng.random((N_MODELS, N_ITEMS, number)) < moved).astype(float)

    def agreement(self, size: int, n_repeats: int, draws: int) -> float:
        """Share of pairs that new micro-scores order as the expectations do; ties are wrong."""
        truth = self.chances.mean(axis=(1, 2))
        right = 0.0
        for _ in range(draws):
            items = self.rng.permutation(N_ITEMS)[:size]
            micro = self.runs(n_repeats)[:, items].sum(axis=(1, 2))
            right += np.triu(np.sign(micro[:, None] - micro) == np.sign(truth[:, None] - truth), 1).sum()
        return right / draws / (N_MODELS * (N_MODELS - 1) / 2)


@pytest.mark.parametrize("effect", [0.0, 0.03])
def test_new_runs_are_ordered_as_often_as_said(effect: float) -> None:
    """On average over boards: on a single one, the effects of its runs are known from ten runs only."""
    gaps_by_size: dict[tuple[int, int], list[float]] = {}
    for seed in (7, 8, 9):
        world = World(effect, seed)
        pairs = pairs_of_means(world.board)
        for size, n_repeats in ((20, 1), (80, 1), (80, 3), (300, 1)):
            counts = expected_counts(with_noise(pairs, RunNoise.of(world.board, n_repeats)), size)
            said = counts.n_agree.sum() / counts.n_pairs.sum()
            gaps_by_size.setdefault((size, n_repeats), []).append(said - world.agreement(size, n_repeats, draws=60))
    assert all(abs(np.mean(each)) < 0.012 for each in gaps_by_size.values()), gaps_by_size


def test_a_measured_difference_is_larger_than_the_true_one() -> None:
    """Models that differ by nothing but noise are ordered by chance, however far apart they were measured."""
    rng = np.random.default_rng(2)
    repeats = (rng.random((30, 40, 3)) < rng.uniform(0.2, 0.8, (1, 40, 1))).astype(float)
    noise, pairs = RunNoise.of(repeats), pairs_of_means(repeats)
    known = order_probabilities(with_noise(pairs, noise), 40)
    flat = order_probabilities(with_noise(pairs, replace(noise, spread=np.inf)), 40)
    differ = pairs.difference > 0
    assert (known.right + known.tied / 2)[differ].mean() < (flat.right + flat.tied / 2)[differ].mean() - 0.05


def by_hand(n_repeats: int = 2) -> tuple[RunNoise, np.ndarray]:
    """Two models, 4 items, answered twice."""
    scores = np.array([[[1, 1], [1, 0], [0, 0], [1, 1]], [[0, 0], [1, 1], [0, 1], [0, 0]]], float)
    two = np.ones(2)
    parts = VarianceComponents(
        accuracy=scores.mean(axis=(1, 2)),
        items=0 * two,
        within=np.array([0.125, 0.125]),
        runs=0.01 * two,
        runs_used=0.01 * two,
        p_runs=two,
        answered=two,
        per_item=0.5 * two,
        n_runs=np.array([2, 2]),
        is_grouped=np.zeros(2, bool),
    )
    return RunNoise(parts, n_repeats, 1), scores


def test_the_variance_by_hand() -> None:
    noise, scores = by_hand()
    pairs = with_noise(pairs_of_means(scores), noise)
    # Differences of means 1, -1/2, -1/2, 1: mean 1/4, variance 3/4 with n - 1; less (1/8 + 1/8)/2 of repeats: 5/8.
    assert pairs.mean[0] / pairs.units == 0.25
    items, within, runs = 5 / 8, 1 / 4, 0.02
    for size in (1, 3, 4):
        expected = items * (1 / size - 1 / 4) + within / (2 * size) + runs / 2
        assert noise.variance(pairs, size)[0] == pytest.approx(expected)
        mean, deviation = normal_moments(pairs, size)
        assert mean[0] == pytest.approx(size * 2 * 0.25)  # in halves, the grid of means of two answers
        assert deviation[0] == pytest.approx(size * 2 * np.sqrt(expected))
    assert noise.variance(pairs, 4, population=True)[0] == pytest.approx(items / 4 + within / 8 + runs / 2)
    assert noise.truth_variance(pairs)[0] == pytest.approx(within / 2 / 4 + runs / 2)
    assert replace(noise, with_runs=False).variance(pairs, 4)[0] == pytest.approx(within / 8)
    # Single answers differ by what means differ, and by their noise: mean square of means 5/8, and 1/8 of repeats.
    assert noise.single_square(pairs)[0] == pytest.approx(5 / 8 + 1 / 8)


def test_models_are_taken_with_their_noise() -> None:
    noise, _ = by_hand()
    assert noise.take(np.array([1])).components.accuracy == pytest.approx([0.375])


def test_without_noise_between_repeats_it_is_the_plain_closed_form() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((8, 400)) < np.linspace(0.3, 0.7, 8)[:, None]).astype(float)
    repeats = np.repeat(scores[:, :, None], 3, axis=2)
    pairs = pairs_of_means(repeats)
    noisy = with_noise(pairs, RunNoise.of(repeats))
    assert noisy.units == 1
    for size in (50, 200):
        plain, found = order_probabilities(pairs_of_means(scores[:, :, None]), size), order_probabilities(noisy, size)
        assert np.abs(plain.right - found.right).max() < 0.01
        assert np.abs(plain.tied - found.tied).max() < 0.01


def test_one_answer_is_a_coin_of_its_own() -> None:
    """One item: right where the better model is right and the other is not, exactly."""
    rng = np.random.default_rng(1)
    repeats = (rng.random((2, 500, 40)) < np.array([0.6, 0.4])[:, None, None]).astype(float)
    order = order_probabilities(with_noise(pairs_of_means(repeats), RunNoise.of(repeats)), 1)
    assert order.right[0] == pytest.approx(0.6 * 0.6, abs=0.01)
    assert order.tied[0] == pytest.approx(2 * 0.6 * 0.4, abs=0.01)


def test_the_floor_is_where_an_order_is_right_in_four_of_five_cases() -> None:
    assert noise_floor(np.full(5, 0.02)) == pytest.approx(0.02 * 0.8416212, abs=1e-6)
    mixed = np.array([0.01, 0.04])
    floor = noise_floor(mixed)
    assert above(np.full(2, floor), np.zeros(2), mixed**2).mean() == pytest.approx(0.8, abs=1e-5)
    assert noise_floor(np.zeros(3)) == 0.0


def test_grids() -> None:
    assert grid_of(np.array([0, 1, np.nan])) == 1
    assert grid_of(np.array([0, 0.5, 1])) == 2
    assert grid_of(np.array([0.1, 0.3], np.float32)) == 10
    assert grid_of(np.random.default_rng(0).random(50)) == 1000


@pytest.mark.slow
@pytest.mark.parametrize(("size", "n_repeats"), [(50, 1), (200, 1), (50, 3)])
def test_real_repeats(test_data: Path, size: int, n_repeats: int) -> None:
    repeats = read_samples(test_data / "boards/crux_input_samples.parquet")[::3]
    own, means = gaps(repeats, size, n_repeats, draws=250)
    assert abs(own.drawn - own.expected) < 0.01
    assert abs(own.drawn_mdad - own.expected_mdad) <= 0.01
    assert means.expected - means.drawn > (0.015 if n_repeats == 1 else 0.008)  # what means of ten promise for fewer
