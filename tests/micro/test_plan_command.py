"""`microbench plan`: answers that agree with simulation and with the sweep, in the terminal and as JSON, and input it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.metrics.closed_form import normal_moments
from microbench_ray.micro.gate import Falls, GateRates, regression_gate
from microbench_ray.micro.sample_size import Criterion, detectable_difference, items_needed, pairs_of, ranking_probability
from tests.helpers.errors import refuses


@pytest.fixture(scope="module")
def world() -> Benchmark:
    return synthetic(n_models=80, n_items=600)


def plan(board: Path, *more: str) -> list[str]:
    return ["plan", "benchmark=scores", f"benchmark.path={board}", *more]


def board_of(scores: np.ndarray) -> Benchmark:
    """A benchmark of these scores, (n_models, n_items)."""
    return Benchmark.from_arrays(
        "board", scores, [f"i{item}" for item in range(scores.shape[1])], [f"m{model}" for model in range(len(scores))]
    )


def micro_scores(world: Benchmark, size: int, draws: int, seed: int) -> np.ndarray:
    """(draws, n_models) right answers on random items."""
    rng = np.random.default_rng(seed)
    return np.stack([world.scores[:, rng.permutation(world.n_items)[:size]].sum(axis=1, dtype=int) for _ in range(draws)])


def test_the_items_needed_for_a_difference_detect_it(world: Benchmark) -> None:
    pairs = pairs_of(world)
    for answer in items_needed(pairs, [0.03, 0.1], Criterion()):
        assert answer.size is not None
        mdad = detectable_difference(pairs, answer.size, Criterion()).mdad
        assert mdad is not None
        assert mdad <= answer.difference


def test_a_ranking_probability_is_the_share_of_draws(world: Benchmark) -> None:
    answer = ranking_probability(world, [str(name) for name in world.model_ids[[3, 50]]], 40)
    drawn = micro_scores(world, 40, 4000, 1)
    better, worse = (list(world.model_ids).index(name) for name in (answer.better, answer.worse))
    assert answer.right == pytest.approx(np.mean(drawn[:, better] > drawn[:, worse]), abs=0.03)
    assert answer.tied == pytest.approx(np.mean(drawn[:, better] == drawn[:, worse]), abs=0.03)
    assert answer.difference == pytest.approx(world.scores[better].mean() - world.scores[worse].mean())


@pytest.mark.slow
def test_the_order_on_other_items_is_as_probable_as_stated() -> None:
    """Boards drawn from populations with a known order: of orders stated with a probability, that share is right."""
    rng = np.random.default_rng(3)
    stated, right = [], []
    for _ in range(600):
        truth = rng.uniform(0.1, 0.9, 2)  # far wider than a standard error, as the flat prior has it
        board = board_of((rng.random((2, 100)) < truth[:, None]).astype(np.uint8))
        answer = ranking_probability(board, [str(name) for name in board.model_ids], 100)
        if answer.right_beyond is not None:
            stated.append(answer.right_beyond)
            right.append(answer.better == board.model_ids[int(np.argmax(truth))])
    assert np.mean(stated) == pytest.approx(np.mean(right), abs=0.04)  # two standard errors of 600 draws


def test_rates_of_a_gate_are_the_shares_of_draws(world: Benchmark) -> None:
    pairs = pairs_of(world)
    earlier, later = micro_scores(world, 100, 800, 3), micro_scores(world, 100, 800, 4)
    near, fallen = pairs.take(pairs.bins == 0), pairs.take(pairs.bins == 10)
    rows = regression_gate(world, pairs, 0.05, 100)
    assert len(rows) >= 9
    for row in rows[::2]:
        allowed = row.tolerance * 100 + 1e-9
        for now, false_alarm, miss in ((earlier, row.false_alarm, row.miss), (later, row.false_alarm_fresh, row.miss_fresh)):
            up = (earlier[:, near.higher] - now[:, near.lower] > allowed).mean()
            down = (earlier[:, near.lower] - now[:, near.higher] > allowed).mean()
            assert false_alarm == pytest.approx((up + down) / 2, abs=0.03)
            assert miss == pytest.approx((earlier[:, fallen.higher] - now[:, fallen.lower] <= allowed).mean(), abs=0.03)


@pytest.mark.parametrize(("size", "drop"), [(1, 0.05), (37, 0.05), (100, 0.02), (400, 0.1)])
def test_no_tolerance_has_a_smaller_maximum_rate_than_the_recommended_one(world: Benchmark, size: int, drop: float) -> None:
    def larger(row: GateRates) -> float:
        return max(row.false_alarm, row.miss)

    pairs = pairs_of(world)
    rows = regression_gate(world, pairs, drop, size)
    (best,) = (row for row in rows if row.recommended)
    assert all(larger(best) <= larger(row) for row in rows)
    equal, fallen = (normal_moments(pairs.take(pairs.bins == k), size) for k in (0, round(drop * 200)))
    falls = Falls(equal=equal, fallen=fallen, max_sum=size)
    assert larger(best) == pytest.approx(min(max(falls.rates((k + 0.5) / size)) for k in range(size + 1)), abs=1e-12)


def test_json_keeps_its_keys(board: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["size=20", "models=[m00,m01]", "scores=[.7,.5]", "drop=0.05", "differences=[.1]", f"results={reference}"]
    assert main(plan(board, *more, "format=json")) == 0
    answers = json.loads(capsys.readouterr().out)
    assert list(answers) == [
        *("benchmark", "n_models", "n_items", "threshold", "tie_policy", "notes", "items"),
        *("told_apart", "order_of_models", "order_of_scores", "gate"),
    ]
    assert (answers["n_models"], answers["n_items"]) == (40, 120)
    keys = ["difference", "method", "size", "low", "high", "extrapolated", "reference"]
    assert all(list(row) == keys for row in answers["items"])
    methods = [row["method"].split(" ")[0] for row in answers["items"]]
    assert methods[0] == "random"
    assert set(methods[1:]) == {"random", "stratified_confidence"}
    assert list(answers["told_apart"]) == [
        *("size", "mdad", "share_of_pairs", "mean_agreement", "mdad_low", "mdad_high", "reference"),
    ]
    assert list(answers["order_of_models"]) == [
        *("size", "better", "worse", "difference", "right", "tied", "right_beyond"),
        *("difference_low", "difference_high", "reference", "n_answered", "power"),
    ]
    assert list(answers["order_of_scores"]) == [
        *("size", "scores", "difference", "right", "expected_difference", "n_pairs", "accuracy_low", "accuracy_high", "reference"),
    ]
    assert 0.5 < answers["order_of_scores"]["right"] <= 1
    rates = ["tolerance", "recommended", "false_alarm", "miss", "false_alarm_fresh", "miss_fresh", "reference"]
    assert all(list(row) == rates for row in answers["gate"]["rows"])
    assert [row["recommended"] for row in answers["gate"]["rows"]].count(True) == 1


def test_sentences_and_tables_hold_the_numbers_of_the_json(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = plan(board, "size=20", "models=[m00,m01]", "scores=[.7,.5]", "drop=0.05", "differences=[.1]")
    assert main([*question, "format=json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert main(question) == 0
    text = " ".join(capsys.readouterr().out.split())
    (recommended,) = (row for row in answers["gate"]["rows"] if row["recommended"])
    for fact in (
        "random sampling (closed form)",
        f"{answers['items'][0]['size']}",
        f"{100 * answers['told_apart']['mdad']:.1f} points",
        f"{100 * answers['told_apart']['share_of_pairs']:.1f} %",
        f"{answers['order_of_models']['right']:.3f}",
        f"{answers['order_of_models']['tied']:.3f}",
        f"{answers['order_of_models']['right_beyond']:.3f}",
        f"{answers['order_of_scores']['right']:.3f}",
        f"{100 * recommended['tolerance']:.2f} points",
        f"{100 * recommended['miss']:.1f} %",
    ):
        assert fact in text
    assert recommended["miss"] > 0.1
    assert "more items" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["drop=0.05"], ["where: drop", "size=100"]),
        (["size=500"], ["where: size", "500 of 120"]),
        (["size=20", "models=[m00,nobody]"], ["where: models", "nobody"]),
        (["size=20", "scores=[.7,1.5]"], ["where: scores", "1.5"]),
        (["size=20", "drop=0.001"], ["where: drop", "0.005"]),
        (["tie_policy=paper"], ["where: tie_policy", "paper", "wrong, half or drop"]),
        (["format=xml"], ["where: format", "xml", "csv, json, markdown, table"]),
        (["differences=[0]"], ["differences", "got:   [0"]),
        (["threshold=2"], ["where: threshold", "2"]),
    ],
)
def test_bad_input_is_one_message(board: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: list[str]) -> None:
    assert main(plan(board, *more)) == 1
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for word in words:
        assert word in message


def test_a_size_beyond_the_sweep_is_marked_in_json_and_text(
    board: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sweep has 5, 10 and 20 items; where none of them detects a difference, the number of items is extrapolated."""
    question = plan(board, "differences=[.03,.3]", f"results={reference}")
    assert main([*question, "format=json"]) == 0
    rows = [row for row in json.loads(capsys.readouterr().out)["items"] if "closed form" not in row["method"]]
    known = [row for row in rows if row["size"] is not None]
    assert all(row["extrapolated"] == (row["size"] > 20) for row in known)
    assert {row["extrapolated"] for row in known} == {True, False}
    assert all((row["low"], row["high"]) == (None, None) for row in rows)
    assert main(question) == 0
    text = capsys.readouterr().out
    for row in known:
        line = next(line for line in text.splitlines() if row["method"] in line and f"{100 * row['difference']:.1f} " in line)
        assert (f"{row['size']}*" in line) == row["extrapolated"]
    assert "Extrapolated beyond the sizes of the sweep" in text
    assert main(plan(board, "differences=[.5]", f"results={reference}")) == 0
    assert "xtrapolated" not in capsys.readouterr().out


def test_the_number_of_items_has_an_interval_over_models(board: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = plan(board, "differences=[.1,.2]", "size=60")
    assert main([*question, "format=json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert main(question) == 0
    text = " ".join(capsys.readouterr().out.split())
    for row in answers["items"]:
        assert row["low"] <= row["size"] <= row["high"]
        assert row["low"] < row["high"]
        assert f"{row['low']} to {row['high']}" in text
    detected = answers["told_apart"]
    assert detected["mdad_low"] <= detected["mdad"] <= detected["mdad_high"]
    assert f"{100 * detected['mdad_low']:.1f} to {100 * detected['mdad_high']:.1f}" in text


def test_a_sweep_with_another_threshold_is_refused(board: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(plan(board, f"results={reference}", "threshold=0.7")) == 1
    message = capsys.readouterr().err
    assert "threshold 0.7" in message
    assert f"microbench reduce out={reference}" in message


def test_models_that_are_tied_have_no_order() -> None:
    scores = np.tile(np.array([1, 0, 1, 0], np.uint8), (3, 1))
    world = Benchmark.from_arrays("tied", scores, list("abcd"), list("xyz"))
    answer = ranking_probability(world, ["x", "y"], 2)
    assert (answer.better, answer.worse, answer.right) == (None, None, None)
    with refuses(DataError, "tied", where="benchmark"):
        detectable_difference(pairs_of(world), 2, Criterion())
    with refuses(ConfigError, "two different models", where="models", got="x, x"):
        ranking_probability(world, ["x", "x"], 2)
