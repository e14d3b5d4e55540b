"""`plan` where items are few or all in the sample: answers refer to the population of items, with an interval, and say so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark
from microbench_ray.micro.reference import SMALL_TABLE
from microbench_ray.micro.sample_size import ranking_probability


def board_of(scores: np.ndarray, name: str = "board") -> Benchmark:
    items, models = ([f"{letter}{k}" for k in range(n)] for letter, n in (("i", scores.shape[1]), ("m", len(scores))))
    return Benchmark.from_arrays(name, scores, items, models)


def two_models(only_first: int, only_second: int, n_items: int) -> Benchmark:
    """A model that alone answered the first items correctly, and another that alone answered the next ones."""
    scores = np.zeros((2, n_items), np.uint8)
    scores[0, :only_first], scores[1, only_first : only_first + only_second] = 1, 1
    return board_of(scores)


def test_all_items_of_the_benchmark_do_not_make_an_order_certain() -> None:
    """60 items for one model, 40 against it, of 200.

    20 / sqrt(101) = 1.9900 deviations. With one more item either way, the mean of squares is 101/201 = .50249, the standard error
    sqrt((.50249 - .00990) / 200) = .04963: the interval is .1 ± 1.96 × .04963.
    """
    answer = ranking_probability(two_models(60, 40, 200), ["m0", "m1"], 200)
    assert answer.right_beyond == pytest.approx(0.97670, abs=1e-4)
    assert (answer.right, answer.tied, answer.reference) == (answer.right_beyond, 0, "population")
    assert (answer.difference_low, answer.difference_high) == pytest.approx((0.00273, 0.19727), abs=1e-4)


def test_a_sample_of_a_few_items_is_right_where_it_agrees_with_a_benchmark_that_is_or_with_neither() -> None:
    """On 100 items, right = P(sample as table) × P(table as population) + P(sample against table) × P(table wrong)."""
    few, many = two_models(30, 20, 100), two_models(300, 200, 1000)
    answer, other = ranking_probability(few, ["m0", "m1"], 20), ranking_probability(many, ["m0", "m1"], 20)
    assert (answer.reference, other.reference) == ("population", "benchmark")
    rng = np.random.default_rng(5)
    drawn = np.array([few.scores[:, rng.permutation(100)[:20]].sum(axis=1, dtype=int) for _ in range(20_000)])
    above, below = (drawn[:, 0] > drawn[:, 1]).mean(), (drawn[:, 0] < drawn[:, 1]).mean()
    beyond = answer.right_beyond
    assert beyond is not None
    assert answer.right == pytest.approx(above * beyond + below * (1 - beyond), abs=0.01)
    assert other.right is not None
    assert answer.right < above < other.right + 0.1


@pytest.mark.parametrize(("only_first", "n_items", "most"), [(1, 100, 0.77), (2, 5, 0.88), (5, 5, 0.985), (1, 1, 0.77)])
def test_a_lead_of_few_items_without_any_against_it_is_not_certain(only_first: int, n_items: int, most: float) -> None:
    """One model leads by k items, and none speaks against it: with a flat prior it is better with probability 1 - 1/2^(k + 1)."""
    answer = ranking_probability(two_models(only_first, 0, n_items), ["m0", "m1"], n_items)
    assert answer.right is not None
    assert answer.right < most
    assert answer.right == pytest.approx(1 - 0.5 ** (only_first + 1), abs=0.012)


def pairs_of_tables(n_pairs: int, n_items: int, n_all: int) -> tuple[float, float]:
    """For tables of two models: the mean stated probability, and the share in the right order on the whole benchmark."""
    rng = np.random.default_rng(7)
    said, right = [], []
    for _ in range(n_pairs):
        truth = rng.uniform(0.35, 0.8) + np.array([0.0, rng.uniform(-0.15, 0.15)])
        difficulty = rng.normal(size=n_all)
        everything = rng.random((2, n_all)) < 1 / (1 + np.exp(-np.log(truth / (1 - truth))[:, None] - 0.8 * difficulty))
        board = board_of(everything[:, :n_items].astype(np.uint8))
        answer = ranking_probability(board, ["m0", "m1"], n_items)
        means = everything.mean(axis=1)
        if answer.right is None or means[0] == means[1]:
            continue
        said.append(answer.right)
        right.append(str(answer.better) == f"m{int(means[1] > means[0])}")
    return float(np.mean(said)), float(np.mean(right))


def test_the_order_of_tables_of_100_items_is_right_as_often_as_said() -> None:
    said, right = pairs_of_tables(500, 100, 2000)
    assert 0.7 < right < 0.9  # an order that was said to have a probability of 1.000
    assert said == pytest.approx(right, abs=0.045)  # two and a half standard errors of 500 tables


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A table of two models and 100 items."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"item_id": [f"i{k}" for k in range(100)]})
    for name, accuracy in (("a", 0.62), ("b", 0.55)):
        table[name] = (rng.random(100) < accuracy).astype(int)
    table.to_csv(tmp_path / "two.csv", index=False)
    return tmp_path / "two.csv"


def test_command_json_and_library_say_the_same_and_name_the_population(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = ["plan", "benchmark=scores", f"benchmark.path={small}", "size=100", "models=[a,b]"]
    assert main([*question, "format=json"]) == 0
    answer = json.loads(capsys.readouterr().out)["order_of_models"]
    board = mb.read_scores(small)
    assert answer == mb.ranking_probability(board, ["a", "b"], 100)
    assert answer["reference"] == "population"
    assert 0.5 < answer["right"] < 0.999
    assert answer["right"] == pytest.approx(answer["right_beyond"], abs=1e-9)
    assert answer["difference_low"] < answer["difference"] < answer["difference_high"]
    assert main(question) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "population of items" in text
    assert f"{answer['right']:.3f}" in text
    assert f"{100 * answer['difference_low']:.2f} to {100 * answer['difference_high']:.2f} points" in text
    assert "probability 1.000" not in text


def test_no_answer_about_all_items_is_certain() -> None:
    """A board of 20 models near each other: all 300 items neither detect every difference nor order every pair."""
    rng = np.random.default_rng(8)
    ability, difficulty = rng.normal(0, 0.3, 20), rng.normal(size=300)
    board = board_of((rng.random((20, 300)) < 1 / (1 + np.exp(difficulty - ability[:, None]))).astype(np.uint8))
    whole, most = mb.detectable_difference(board, 300), mb.detectable_difference(board, 299)
    assert (whole["reference"], most["reference"]) == ("population", "benchmark")
    assert whole["mdad"] > 0.02
    assert 0.6 < whole["mean_agreement"] < 0.95 < most["mean_agreement"]
    scores = mb.posterior_ranking_probability(board, [0.55, 0.52], 300)
    assert scores["reference"] == "population"
    assert 0.5 < scores["right"] < 0.95
    gate = mb.regression_gate(board, 0.02, 300)
    assert set(gate["reference"]) == {"population"}
    assert gate.loc[gate["recommended"], ["false_alarm", "miss"]].to_numpy().max() > 0.1


def test_few_items_are_said_to_detect_a_difference_only_as_far_as_the_population_confirms() -> None:
    rng = np.random.default_rng(9)
    ability = rng.normal(0, 0.8, 30)
    scores = (rng.random((30, SMALL_TABLE)) < 1 / (1 + np.exp(rng.normal(size=SMALL_TABLE) - ability[:, None]))).astype(np.uint8)
    large, small = board_of(scores), board_of(scores[:, : SMALL_TABLE - 1])
    needed = [mb.items_needed(each, [0.03]).iloc[0] for each in (large, small)]
    assert [each["reference"] for each in needed] == ["benchmark", "population"]
    assert needed[0]["size"] < 150
    assert pd.isna(needed[1]["size"])  # differences of 3 points on so few items are often in the other direction on others
    detected = [mb.detectable_difference(each, 50)["mean_agreement"] for each in (large, small)]
    assert detected[1] < detected[0]


def test_the_interval_of_a_difference_holds_the_one_of_all_items() -> None:
    rng = np.random.default_rng(11)
    held = []
    for _ in range(300):
        everything = (rng.random((2, 3000)) < rng.uniform(0.2, 0.9, 2)[:, None]).astype(np.uint8)
        answer = ranking_probability(board_of(everything[:, :100]), ["m0", "m1"], 100)
        if answer.better is not None:
            truth = everything.mean(axis=1) @ ([1, -1] if answer.better == "m0" else [-1, 1])
            held.append(answer.difference_low <= truth <= answer.difference_high)
    assert 0.91 < np.mean(held) <= 1
    assert math.isfinite(answer.difference_low)
