"""Repeats beside a number that ranks the board: plans are for the means of the repeats, and say so."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, DataWarning
from microbench_ray.data import Benchmark
from microbench_ray.micro.sample_size import pairs_of
from tests.helpers.errors import refuses

SUBTASKS = ["a"] * 200 + ["b"] * 40


def board(**ranked: object) -> Benchmark:
    """Of ten models with three repeats of each item."""
    rng = np.random.default_rng(0)
    chances = np.linspace(0.3, 0.7, 10)[:, None, None] * rng.uniform(0.5, 1.4, (10, 240, 1))
    scores = (rng.random((10, 240, 3)) < chances).astype(float)
    return mb.benchmark(scores, name="runs", subtask=SUBTASKS, **ranked)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["truth", "weights", "cluster"])
def given(request: pytest.FixtureRequest) -> Benchmark:
    value = {"truth": "macro", "weights": np.arange(1.0, 241), "cluster": [str(k // 4) for k in range(240)]}[request.param]
    return board(**{request.param: value})


def test_answers_are_those_for_the_means_with_a_warning(given: Benchmark) -> None:
    assert given.repeats is not None
    with pytest.warns(DataWarning, match="means of all repeats"):
        answer = mb.detectable_difference(given, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answer == mb.detectable_difference(given.without_repeats(), 50)


def test_what_needs_the_noise_is_refused(given: Benchmark) -> None:
    with refuses(ConfigError, "not available", where="n_repeats", got="2"):
        pairs_of(given, 2)
    with refuses(DataError, "not available", where="benchmark", got="repeats beside"):
        mb.noise(given)


def test_a_board_of_plain_means_is_planned_for_single_runs() -> None:
    assert pairs_of(board()).noise is not None


def test_plan_notes_that_its_answers_are_for_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board(truth="macro").save(tmp_path / "board")
    assert main(["plan", "benchmark=scores", f"benchmark.path={tmp_path / 'board'}", "size=50", "format=json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    (note,) = answers["notes"]
    assert "means of all repeats" in note
    assert "truth=macro" in note
    assert "noise" not in answers
    assert answers["truth"] == "macro"
