"""The error of as many random items in closed form: by enumeration, by hand, and what `export` says about it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.micro.artifact import load
from microbench_ray.micro.build import build
from microbench_ray.micro.content import content_of
from microbench_ray.micro.export_job import random_items_line
from microbench_ray.micro.random_items import (
    Comparison,
    compare_with_random,
    dispersion,
    own_dispersion,
    sampling_variance,
)
from tests.micro.conftest import method


@pytest.mark.parametrize("scores", [[1.0, 0, 0, 1, 1, 0, 1], [0.2, 0.9, 0.4, 0.4, 1.0, 0.0, 0.3]])
def test_the_variance_is_that_over_all_samples(scores: list[float]) -> None:
    values = np.array(scores)
    for n in range(1, 8):
        means = [np.mean(sample) for sample in combinations(values, n)]
        expected = np.mean(np.square(np.array(means) - values.mean()))
        assert sampling_variance(np.array([values.var()]), n, 7)[0] == pytest.approx(expected, abs=1e-15)


def test_dispersion_by_hand() -> None:
    # Right and wrong answers: 1. Scores of a half: 0. Means .5 with a variance of .05: a fifth of .25.
    assert dispersion(np.array([0.5, 0.2, 1.0]), np.array([0.25, 0.16, 0.0])) == pytest.approx(1)
    assert dispersion(np.array([0.5, 0.5]), np.array([0.05, 0.0])) == pytest.approx(0.1)
    assert dispersion(np.array([1.0, np.nan]), np.array([0.0, np.nan])) == 1
    assert own_dispersion(np.array([1.0, 0, 0, 1])) == 1
    assert own_dispersion(np.array([0.25, 0.75])) == pytest.approx(0.25)
    assert own_dispersion(np.ones(3)) == 0


def test_a_verdict_by_hand() -> None:
    errors, groups = np.array([0.1, -0.1, 0.1, -0.1, np.nan]), np.arange(5)
    small, large = np.array([0.004, 0.005, 0.004, 0.005, 0.1]), np.array([0.04, 0.05, 0.04, 0.05, 0.1])
    compared = compare_with_random(errors, small, groups)
    assert compared is not None
    assert compared.root_mean_square == pytest.approx(0.1)
    assert compared.random == pytest.approx(np.sqrt(0.0045))
    assert compared.verdict == "random"
    assert compare_with_random(errors, large, groups).verdict == "this"  # type: ignore[union-attr]
    wide = np.array([0.001, 0.03, 0.002, 0.02, 0.1])
    assert compare_with_random(errors, wide, groups).verdict == "either"  # type: ignore[union-attr]
    assert compare_with_random(errors, small, np.zeros(5, int)).verdict == "either"  # type: ignore[union-attr]  # one group
    assert compare_with_random(np.full(5, np.nan), small, groups) is None


def test_the_closed_form_is_the_error_of_random_items() -> None:
    world = synthetic(n_models=60, n_items=300)
    micro = build(world, method("greedy", "ridge"), 30)
    assert micro.random_items is not None
    rng, shares = np.random.default_rng(0), world.scores / world.units
    squares = [np.square(shares[:, rng.choice(300, 30, replace=False)].mean(axis=1) - micro.accuracy).mean() for _ in range(2000)]
    assert micro.random_items.random == pytest.approx(np.sqrt(np.mean(squares)), rel=0.02)
    assert content_of(micro)["random_items"] == micro.random_items._asdict()
    assert build(world, method("random", "mean"), 30).random_items is None


@pytest.mark.parametrize(("verdict", "word"), [("random", "method=random"), ("this", "closer"), ("either", "chance")])
def test_the_line_says_which_to_take(verdict: str, word: str) -> None:
    line = random_items_line(25, Comparison(root_mean_square=0.051, random=0.047, verdict=verdict))
    assert word in line
    assert {"5.1", "25"} <= set(line.split())
    assert "4.7" in line


def test_export_prints_it_and_few_models_are_told_to_take_random_items(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve known models whose responses have nothing in common: a regression on them only adds errors."""
    rng = np.random.default_rng(0)
    scores = (rng.random((12, 200)) < 0.5).astype(int)
    rows = "\n".join(",".join([f"q{k}", *map(str, column)]) for k, column in enumerate(scores.T))
    (tmp_path / "board.csv").write_text("item_id," + ",".join(f"m{k}" for k in range(12)) + "\n" + rows + "\n")
    out = tmp_path / "micro"
    words = ["benchmark=scores", f"benchmark.path={tmp_path / 'board.csv'}", "method=greedy", "size=20", f"out={out}"]
    assert main(["export", *words]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "random items read by their mean" in line]
    compared = load(out).random_items
    assert compared is not None
    assert f"{compared.random * 100:.1f}" in line
    assert f"{compared.root_mean_square * 100:.1f}" in line


def test_graded_scores_have_smaller_errors_and_narrower_intervals() -> None:
    rng = np.random.default_rng(2)
    graded = np.round(np.clip(rng.normal(0.5, 0.1, (20, 100)) + rng.normal(0, 0.1, (20, 1)), 0, 1), 2)
    board = Benchmark.from_arrays("graded", graded, [f"i{k}" for k in range(100)], [f"m{k}" for k in range(20)])
    micro = build(board, method("random", "mean"), 20)
    expected = np.mean(graded.var(axis=1) / (graded.mean(axis=1) * (1 - graded.mean(axis=1))))
    assert micro.dispersion == pytest.approx(expected, rel=1e-3)
    assert micro.dispersion < 0.2
