"""Scores and confidences read together: the responses that methods are given, with and without confidences in the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, build_method
from microbench_ray.sweeps.evaluate import evaluate_shard, responses_to
from microbench_ray.sweeps.fits import signal_used
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep


def board(*, confidence: bool, n_models: int = 60, n_items: int = 80) -> Benchmark:
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(n_models, 1)) + rng.normal(size=(1, n_items)) + rng.logistic(size=(n_models, n_items))
    names = [f"i{k}" for k in range(n_items)], [f"m{k}" for k in range(n_models)]
    chances = 1 / (1 + np.exp(-latent))
    return Benchmark.from_arrays("board", latent > 0, *names, confidence=chances if confidence else None)


def guided(signal: str) -> Method:
    return build_method(f"by {signal}", {"name": "mdad_guided", "signal": signal}, {"name": "ridge_remainder", "signal": signal})


def test_responses_of_both_signals_are_stacked_along_the_last_axis() -> None:
    benchmark = board(confidence=True)
    models, items = np.array([5, 2]), np.array([7, 0, 3])
    both = responses_to(benchmark, models, items, "both")
    assert both.shape == (2, 3, 2)
    assert both[..., 0].tolist() == responses_to(benchmark, models, items, "correctness").tolist()
    assert both[..., 1].tolist() == responses_to(benchmark, models, items, "confidence").tolist()
    assert both[..., 0].tolist() == benchmark.scores[models][:, items].tolist()


@pytest.mark.parametrize(("confidence", "used"), [(True, "both"), (False, "correctness")])
def test_without_confidences_scores_are_read_alone(confidence: bool, used: str) -> None:
    benchmark = board(confidence=confidence)
    assert signal_used(benchmark, "both") == used
    grid = Grid(sizes=(5, 20), n_source=(30,), n_target=20, runs=2)
    shards = plan_sweep([benchmark], [guided("both")], grid, Targets()).shards
    rows = [row for shard in shards for row in evaluate_shard(shard, benchmark)["cells"].to_pylist()]
    assert {row["signal"] for row in rows} == {f"{used}/{used}"}


def test_without_confidences_the_signal_both_gives_the_numbers_of_correctness() -> None:
    benchmark = board(confidence=False)
    grid = Grid(sizes=(5, 20), n_source=(30,), n_target=20, runs=2)
    both, alone = (
        [
            row["mean_abs_error"]
            for shard in plan_sweep([benchmark], [guided(signal)], grid, Targets()).shards
            for row in evaluate_shard(shard, benchmark)["cells"].to_pylist()
        ]
        for signal in ("both", "correctness")
    )
    assert both == alone


def test_informative_confidences_improve_estimates() -> None:
    benchmark = board(confidence=True, n_models=150, n_items=400)
    grid = Grid(sizes=(5,), n_source=(100,), n_target=50, runs=5)
    errors = {}
    for signal in ("both", "correctness"):
        shards = plan_sweep([benchmark], [guided(signal)], grid, Targets()).shards
        rows = [row for shard in shards for row in evaluate_shard(shard, benchmark)["cells"].to_pylist()]
        errors[signal] = np.mean([row["mean_abs_error"] for row in rows if row["split"] == "seen"])
    assert errors["both"] < 0.97 * errors["correctness"]
