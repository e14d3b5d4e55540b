"""Repeats beside a number that ranks the board, clusters, and grades: plans for single runs against drawn ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import expected_counts, order_probabilities
from microbench_ray.metrics.variance_components import variance_components
from microbench_ray.micro.sample_size import pairs_of

N_MODELS, N_ITEMS, N_RUNS = 16, 240, 6
SUBTASKS = ["a"] * 200 + ["b"] * 40
MACRO = np.where(np.array(SUBTASKS) == "a", 0.6, 3.0)
KINDS = ("macro", "weights", "grades", "cluster")


class World:
    """A board of `N_RUNS` runs whose expectations are known, and further runs of it."""

    def __init__(self, kind: str, seed: int) -> None:
        self.rng, self.kind = np.random.default_rng([seed, KINDS.index(kind)]), kind
        self.weights = {"macro": MACRO, "weights": np.linspace(0.2, 1.8, N_ITEMS)}.get(kind, np.ones(N_ITEMS))
        level = self.rng.uniform(0.05, 0.25, (N_MODELS, 1)) if kind == "grades" else self.rng.uniform(0.3, 0.7, (N_MODELS, 1))
        self.chances = np.clip(level * self.rng.uniform(0.3, 1.6, (N_MODELS, N_ITEMS)), 0.02, 0.98)
        options = {
            "macro": {"truth": "macro"},
            "weights": {"weights": self.weights},
            "cluster": {"cluster": [str(k // 4) for k in range(N_ITEMS)]},
        }.get(kind, {})
        runs = self.runs(np.arange(N_ITEMS), N_RUNS)
        if kind == "grades":
            runs[0, :, 1:] = np.nan  # answered once
        self.board = mb.benchmark(runs, name=f"{kind}{seed}", subtask=SUBTASKS, **options)  # type: ignore[arg-type]

    def runs(self, items: np.ndarray, number: int) -> np.ndarray:
        """(n_models, n_items, number) answers: right or wrong, or grades that are mostly near 0 and sometimes near 1."""
        shape = (N_MODELS, items.size, number)
        right = self.rng.random(shape) < self.chances[:, items, None]
        if self.kind != "grades":
            return right.astype(float)
        return np.where(right, self.rng.integers(16, 21, shape), self.rng.integers(0, 2, shape)) / 20

    def agreement(self, size: int, n_repeats: int, draws: int = 150) -> float:
        """Share of pairs that new micro-scores order as the expectations do; ties are wrong."""
        truth = self.chances @ self.weights
        first, second = np.triu_indices(N_MODELS, 1)
        right = 0.0
        for _ in range(draws):
            items = self.rng.permutation(N_ITEMS)[:size]
            micro = (self.runs(items, n_repeats).mean(axis=2) * self.weights[items]).sum(axis=1)
            seen = np.round(micro[first] - micro[second], 10)
            right += np.mean(np.sign(seen) == np.sign(truth[first] - truth[second]))
        return right / draws


def said(board: Benchmark, size: int, n_repeats: int) -> float:
    counts = expected_counts(pairs_of(board, n_repeats), size)
    return float(counts.n_agree.sum() / counts.n_pairs.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_new_runs_are_ordered_as_often_as_said(kind: str) -> None:
    """Also for few items, where the normal approximation alone is off."""
    worlds = [World(kind, seed) for seed in range(3)]
    for size, n_repeats in ((6, 1), (30, 2)):
        gaps = [said(world.board, size, n_repeats) - world.agreement(size, n_repeats) for world in worlds]
        assert abs(np.mean(gaps)) < 0.015, (size, n_repeats, gaps)


@pytest.mark.parametrize("kind", ["macro", "grades"])
def test_a_pair_is_ordered_as_among_all(kind: str) -> None:
    board = World(kind, 0).board
    pairs = pairs_of(board)
    far = int(np.argmax(pairs.difference))
    models = [str(board.model_ids[side[far]]) for side in (pairs.higher, pairs.lower)]
    alone = mb.ranking_probability(board, models, 6)
    assert alone["right"] == pytest.approx(order_probabilities(pairs, 6).right[far], abs=0.02)


def test_components_of_weighted_scores_by_hand() -> None:
    scores = np.array([[[1, 0], [1, 1], [0, 0], [0, 1]]], float)
    found = variance_components(scores, np.array([2.0, 1.0, 0.5, 0.5]))
    # Weighted means 1, 1, 0, 1/4 of the items; variances of repeats 1/2, 0, 0, 1/2 times the squared weights 4, 1, 1/4, 1/4.
    assert found.accuracy == pytest.approx(2.25 / 4)
    assert found.within + found.runs_used == pytest.approx((4 * 0.5 + 0.25 * 0.5) / 4)
    assert found.answered == 1
    missing = scores.copy()
    missing[0, 1] = np.nan
    partly = variance_components(missing, np.array([2.0, 1.0, 0.5, 0.5]))
    assert partly.answered == pytest.approx(0.75)
    assert partly.accuracy == pytest.approx((2 * 0.5 + 0.5 * 0.5) / 3)


def test_the_floor_is_that_of_the_mean_over_subtasks() -> None:
    world = World("macro", 0)
    within = world.chances * (1 - world.chances) * MACRO**2
    deviation = np.sqrt(2 * within.sum(axis=1).mean()) / N_ITEMS
    found = mb.noise(world.board)
    assert found.floor_without_effect == pytest.approx(0.8416 * deviation, rel=0.06)
    assert found.floor > 1.2 * mb.noise(world.board.with_truth("micro")).floor


def test_clusters_change_what_is_said_of_the_population_alone() -> None:
    board = World("cluster", 0).board
    alone = mb.benchmark(board.repeats, name=board.name, subtask=SUBTASKS)
    for n_repeats in (1, 3):
        assert said(board, 30, n_repeats) == said(alone, 30, n_repeats)
    models = list(board.model_ids[:2])
    beyond = [mb.ranking_probability(each, models, 30)["right_beyond"] for each in (board, alone)]
    assert beyond[0] != beyond[1]


def test_ranks_over_further_repeats_of_weighted_items() -> None:
    world = World("macro", 1)
    repeats, items = (mb.rank_intervals(world.board, reference=each) for each in ("benchmark", "population"))
    width = [(each["rank_high"] - each["rank_low"]).mean() for each in (repeats, items)]
    assert width[0] < width[1]
    assert repeats["rank"].tolist() == items["rank"].tolist()


def test_plan_answers_for_single_runs_of_any_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    World("macro", 0).board.save(tmp_path / "board")
    arguments = ["plan", "benchmark=scores", f"benchmark.path={tmp_path / 'board'}", "size=50", "budget=[200]"]
    assert main([*arguments, "format=json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers["truth"] == "macro"
    assert answers["noise"]["answers_for"] == 1
    assert answers["drawn_samples"] > 1000
    assert answers["budget"][0]["budget"] == 200
