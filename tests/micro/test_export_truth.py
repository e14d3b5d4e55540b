"""Exported micro-benchmarks of leaderboards whose items count differently: what they estimate, keep and leave out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.micro.artifact import MicroBenchmark, from_content, load
from microbench_ray.micro.content import content_of
from microbench_ray.micro.json_values import checksum
from microbench_ray.micro.score import score
from tests.helpers.errors import refuses

SIZES = (150, 40, 10)


def scores_of(n_models: int, seed: int) -> np.ndarray:
    """Scores of models whose abilities in the subtasks have little in common, so that both truths order them differently."""
    rng, items = np.random.default_rng(seed), np.random.default_rng(7)
    subtask = np.repeat(np.arange(len(SIZES)), SIZES)
    ability = 0.6 * rng.normal(size=(n_models, 1)) + 0.8 * rng.normal(size=(n_models, len(SIZES)))
    right: np.ndarray = (
        ability[:, subtask] - items.normal(size=subtask.size) + rng.logistic(size=(n_models, subtask.size)) > 0
    ) + 0
    return right


def board(n_models: int = 60, seed: int = 0, truth: str = "macro") -> Benchmark:
    return mb.benchmark(scores_of(n_models, seed), subtask=[f"s{k}" for k in np.repeat(np.arange(3), SIZES)], truth=truth)


@pytest.fixture(scope="module")
def macro() -> Benchmark:
    return board()


@pytest.fixture(scope="module")
def by_auto(macro: Benchmark) -> MicroBenchmark:
    return mb.export(macro, 40, folds=3)


@pytest.mark.parametrize("method", ["random", "random_ridge_remainder", "auto"])
def test_it_estimates_the_truth_of_the_board(method: str, macro: Benchmark, by_auto: MicroBenchmark) -> None:
    micro = by_auto if method == "auto" else mb.export(macro, 40, method, folds=3)
    assert micro.accuracy == pytest.approx(macro.accuracies())
    new = board(n_models=150, seed=1)
    scored = score(micro, new.scores.astype(float), list(new.item_ids), [str(name) for name in new.model_ids])
    errors = {
        truth: np.mean([each.estimate - value for each, value in zip(scored, new.with_truth(truth).accuracies(), strict=True)])
        for truth in ("micro", "macro")
    }
    deviations = [
        np.sqrt(
            np.mean([(each.estimate - value) ** 2 for each, value in zip(scored, new.with_truth(truth).accuracies(), strict=True)])
        )
        for truth in ("macro", "micro")
    ]
    assert abs(errors["macro"]) < 0.05
    assert deviations[0] < deviations[1]
    held = [
        each.interval.low <= value <= each.interval.high
        for each, value in zip(scored, new.accuracies(), strict=True)
        if each.interval is not None
    ]
    assert len(held) >= 75
    assert np.mean(held) >= 0.88
    assert {each.interval_kind for each in scored} <= {
        "split_conformal",
        "split_conformal_absolute",
        "student",
        "extrapolated",
        None,
    }


def test_with_all_items_a_random_mean_is_the_truth(macro: Benchmark) -> None:
    micro = mb.export(macro, macro.n_items, "random", folds=2)
    assert micro.readout.estimate(micro.responses) == pytest.approx(macro.accuracies())
    assert sum(item.weight for item in micro.items) == pytest.approx(1)
    assert {item.subtask: item.weight * 3 for item in micro.items} == pytest.approx({"s0": 1 / 150, "s1": 1 / 40, "s2": 1 / 10})
    assert not micro.is_random_mean
    assert micro.reserve == ()
    assert micro.random_items is None
    assert content_of(micro)["version"] == 4


def test_a_folder_keeps_the_truth(by_auto: MicroBenchmark, tmp_path: Path) -> None:
    by_auto.save(tmp_path / "micro")
    content = json.loads((tmp_path / "micro" / "microbench.json").read_text())
    assert (content["version"], content["benchmark"]["truth"]) == (6, "macro")
    assert sum(content["readout"]["irt"]["shares"]) == pytest.approx(1)
    assert "mean over subtasks" in (tmp_path / "micro" / "README.md").read_text()
    read = load(tmp_path / "micro")
    assert read.truth == "macro"
    again = scores_of(5, seed=3).astype(float)[:, [int(name.split("_")[1]) for name in by_auto.item_ids]]
    assert np.array_equal(read.readout.estimate(again), by_auto.readout.estimate(again))
    for wrong in ({"truth": "mean"}, {"truth": 3}):
        edited = content_of(read) | {"benchmark": content["benchmark"] | wrong}
        with refuses(DataError, "malformed"):
            from_content(edited | {"checksum": checksum(edited)}, "here")
    short = content_of(read)
    short["readout"]["irt"]["shares"] = [1.0]
    with refuses(DataError, "malformed"):
        from_content(short | {"checksum": checksum(short)}, "here")


def test_where_items_count_the_same_the_folder_is_what_it_was() -> None:
    micro = mb.export(board(n_models=20, truth="micro"), 10, "random_ridge", folds=2)
    content = content_of(micro)
    assert content["version"] == 3
    assert "truth" not in content["benchmark"]
    assert content["reserve"] == []  # its items are random
    assert micro.has_random_items


def test_weights_of_items_are_exported_too(tmp_path: Path) -> None:
    weights = np.repeat([1.0, 4.0, 20.0], SIZES)
    weighted = mb.benchmark(scores_of(30, 0), weights=weights)
    micro = mb.export(weighted, 25, "random", folds=2)
    assert micro.truth == "weights"
    position = [int(name.split("_")[1]) for name in micro.item_ids]
    expected = (weighted.scores[:, position] * weights[position]).sum(axis=1) / weights[position].sum()
    assert micro.readout.estimate(micro.responses) == pytest.approx(expected)
    responses = pd.DataFrame({"item_id": micro.item_ids, "new": weighted.scores[0, position]})
    assert mb.score(micro, responses)["estimate"].item() == pytest.approx(expected[0])
