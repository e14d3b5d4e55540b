"""The order of two micro-scores: among the pairs of models at their level, of which the answer says how many they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark, read_scores, synthetic
from microbench_ray.micro.plan_report import FEW_PAIRS
from microbench_ray.micro.posterior import LEVEL_WIDTH, MIN_LEVEL_MODELS, pairs_at_level, posterior_ranking_probability
from microbench_ray.micro.sample_size import pairs_of
from studies import order_calibration
from tests.helpers.errors import refuses


@pytest.fixture(scope="module")
def world() -> Benchmark:
    return synthetic(n_models=80, n_items=600)


def accuracies(board: Benchmark) -> np.ndarray:
    return np.asarray(board.scores.mean(axis=1))


def top_heavy(n_items: int = 1000) -> Benchmark:
    """A benchmark whose four best models lie within 1.6 points, and whose other models are spread far below."""
    rng = np.random.default_rng(3)
    ability = np.concatenate([[0.869, 0.861, 0.855, 0.853], np.linspace(0.2, 0.8, 40)])
    shared = rng.random(n_items)
    scores = np.stack([np.argsort(np.argsort(0.5 * shared + rng.random(n_items))) < round(a * n_items) for a in ability])
    return Benchmark.from_arrays(
        "top", scores.astype(np.uint8), [f"i{k}" for k in range(n_items)], [f"m{k:02d}" for k in range(len(ability))]
    )


def test_a_posterior_is_the_share_of_pairs_at_the_level_and_draws_with_this_difference(world: Benchmark) -> None:
    size, scores = 50, [0.5, 0.6]
    answer = posterior_ranking_probability(pairs_of(world), scores, size)
    right = accuracies(world)
    near = np.flatnonzero((right >= answer.accuracy_low) & (right <= answer.accuracy_high))
    rng = np.random.default_rng(2)
    n_right = n_shown = 0
    difference = 0.0
    for _ in range(1500):
        drawn = world.scores[near][:, rng.permutation(world.n_items)[:size]].sum(axis=1, dtype=int)
        higher, lower = np.nonzero(drawn[:, None] - drawn == 5)
        n_right, n_shown = n_right + int(np.sum(right[near][higher] > right[near][lower])), n_shown + higher.size
        difference += float(np.sum(right[near][higher] - right[near][lower]))
    assert answer.n_pairs == near.size * (near.size - 1) // 2
    assert answer.right == pytest.approx(n_right / n_shown, abs=0.02)
    assert answer.expected_difference == pytest.approx(difference / n_shown, abs=0.01)
    equal = posterior_ranking_probability(pairs_of(world), [0.5, 0.5], size)
    assert (equal.right, equal.expected_difference) == (None, 0.0)


def test_the_pairs_are_those_of_models_near_the_scores_or_between_them(world: Benchmark) -> None:
    """At .5 and .6 on 50 items: .55 ± 1.5 × sqrt(.55 × .45 / 50) = .4445 to .6555, which holds both scores."""
    pairs, right = pairs_of(world), accuracies(world)
    _, low, high = pairs_at_level(pairs, [0.5, 0.6], 50, LEVEL_WIDTH)
    inside = right[(right >= 0.4445) & (right <= 0.6555)]
    assert inside.size > MIN_LEVEL_MODELS
    assert (low, high) == pytest.approx((inside.min(), inside.max()))
    _, low, high = pairs_at_level(pairs, [0.3, 0.9], 500, LEVEL_WIDTH)
    inside = right[(right >= 0.3) & (right <= 0.9)]
    assert (low, high) == pytest.approx((inside.min(), inside.max()))
    near, low, high = pairs_at_level(pairs, [0.999, 0.998], 600, LEVEL_WIDTH)
    assert near.n_pairs == MIN_LEVEL_MODELS * (MIN_LEVEL_MODELS - 1) // 2
    assert high == right.max()
    assert pairs_at_level(pairs, [0.5, 0.6], 50, math.inf)[0].n_pairs == pairs.n_pairs


def test_the_best_models_that_lie_together_are_not_said_to_be_in_order() -> None:
    """Scores 4 points apart at the top of a board: all its pairs say more than .8, where half of these orders are right."""
    board = top_heavy()
    pairs, top = pairs_of(board), board.scores[:4]
    rng = np.random.default_rng(1)
    said, by_all, right = [], [], []
    for _ in range(600):
        one, other = rng.choice(4, 2, replace=False)
        sums = top[[one, other]][:, rng.permutation(board.n_items)[:100]].sum(axis=1, dtype=int)
        if abs(sums[0] - sums[1]) >= 4:
            scores = (sums / 100).tolist()
            said.append(posterior_ranking_probability(pairs, scores, 100).right or 0.0)
            by_all.append(posterior_ranking_probability(pairs, scores, 100, level_width=math.inf).right or 0.0)
            right.append((sums[0] > sums[1]) == (accuracies(board)[one] > accuracies(board)[other]))
    assert len(right) > 100
    assert np.mean(by_all) > 0.8
    assert np.mean(right) < 0.7
    assert np.mean(said) < np.mean(by_all) - 0.1


def test_the_answer_says_of_which_pairs_it_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    board = top_heavy(400)
    columns = {str(name): row for name, row in zip(board.model_ids, board.scores, strict=True)}
    pq.write_table(pa.table({"item_id": [str(name) for name in board.item_ids]} | columns), tmp_path / "top.parquet")
    question = ["plan", "benchmark=scores", f"benchmark.path={tmp_path / 'top.parquet'}", "size=100", "scores=[.88,.84]"]
    assert main([*question, "format=json"]) == 0
    answer = json.loads(capsys.readouterr().out)["order_of_scores"]
    assert 3 <= answer["n_pairs"] < 100
    assert 0.75 < answer["accuracy_low"] < answer["accuracy_high"] < 0.9
    assert main(question) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"{answer['n_pairs']} pairs" in text
    assert ("few pairs" in text) == (answer["n_pairs"] < FEW_PAIRS)
    assert f"accuracies of {100 * answer['accuracy_low']:.1f} to {100 * answer['accuracy_high']:.1f} %" in text


def test_scores_that_no_pair_shows_and_bad_sizes_are_refused(world: Benchmark) -> None:
    pairs = pairs_of(world)
    with refuses(DataError, "No pair", where="scores", got="1 apart on 500 items"):
        posterior_ranking_probability(pairs, [0.0, 1.0], 500)
    with refuses(ConfigError, "size", where="size", got="0 of 600"):
        posterior_ranking_probability(pairs, [0.5, 0.6], 0)
    with refuses(ConfigError, "fractions", where="scores", got="62"):
        posterior_ranking_probability(pairs, [62, 58], 100)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpqa", "boards/helm_gsm", "boards/helm_med_qa", "boards/agents_swebench_verified"])
def test_orders_are_right_as_often_as_said_on_real_boards(test_data: Path, name: str) -> None:
    """Half of the models known, the others asked about: among the best, and elsewhere, by repeated splits."""
    rows = order_calibration.calibrations(read_scores(test_data / f"{name}.parquet", confidence=None), sizes=(50, 100, 200))
    for row in rows:
        print(row)
    best = [row for row in rows if row.group != "all"]
    assert abs(np.mean([row.said - row.right for row in best])) < 0.08
    assert np.mean([row.said - row.right for row in best]) < 0.05  # not surer than right
    assert all(row.said < row.right + 0.06 for row in rows if row.group == "all")


def test_the_study_prints_what_is_said_and_what_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    board = synthetic(n_models=60, n_items=300)
    table = pd.DataFrame(board.scores.T, columns=board.model_ids).assign(item_id=board.item_ids)
    table.to_parquet(tmp_path / "small.parquet")
    assert order_calibration.main([str(tmp_path / "small.parquet"), "--pairs", "50"]) == 0
    lines = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert {line[1].strip() for line in lines} == {"best tenth", "best fifth", "all"}
    assert {int(line[2]) for line in lines} == {25, 50, 100, 200}
    assert all(0.4 < float(line[4]) <= 1 and 0.3 < float(line[6]) <= 1 for line in lines)
    assert order_calibration.main([str(tmp_path / "absent.parquet")]) == 2
