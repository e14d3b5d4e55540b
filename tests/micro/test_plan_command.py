"""`microbench plan`: answers that agree with simulation and with the sweep, in the terminal and as JSON, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.metrics.closed_form import normal_moments
from microbench_ray.micro.sample_size import (
    Criterion,
    GateRates,
    detectable_difference,
    items_needed,
    pairs_of,
    posterior_ranking_probability,
    ranking_probability,
    regression_gate,
)


@pytest.fixture(scope="module")
def world() -> Benchmark:
    return synthetic(n_models=80, n_items=600)


def plan(board: Path, *more: str) -> list[str]:
    return ["plan", "benchmark=scores", f"benchmark.path={board}", *more]


def micro_scores(world: Benchmark, size: int, draws: int, seed: int) -> np.ndarray:
    """(draws, n_models) right answers on random items."""
    rng = np.random.default_rng(seed)
    return np.stack([world.scores[:, rng.permutation(world.n_items)[:size]].sum(axis=1, dtype=int) for _ in range(draws)])


def test_what_items_are_needed_for_is_what_they_tell_apart(world):
    pairs = pairs_of(world)
    for row in items_needed(pairs, [0.03, 0.1], Criterion()):
        assert detectable_difference(pairs, row["size"], Criterion())["mdad"] <= row["difference"]


def test_an_order_of_models_is_that_of_draws(world):
    names = [str(name) for name in world.model_ids[[3, 50]]]
    got = ranking_probability(world, names, 40)
    drawn = micro_scores(world, 40, 4000, 1)
    better, worse = (list(world.model_ids).index(got[key]) for key in ("better", "worse"))
    assert got["right"] == pytest.approx(np.mean(drawn[:, better] > drawn[:, worse]), abs=0.03)
    assert got["difference"] == pytest.approx(world.scores[better].mean() - world.scores[worse].mean())


def test_an_order_of_scores_is_bayes_over_pairs_and_draws(world):
    got = posterior_ranking_probability(pairs_of(world), [0.5, 0.6], 50)
    drawn, whole = micro_scores(world, 50, 1500, 2), world.scores.sum(axis=1, dtype=int)
    right = shown = 0
    for each in drawn:
        one, other = np.nonzero(each[:, None] - each == 5)
        right, shown = right + int(np.sum(whole[one] > whole[other])), shown + one.size
    assert got["right"] == pytest.approx(right / shown, abs=0.02)
    assert posterior_ranking_probability(pairs_of(world), [0.5, 0.5], 50)["right"] is None


def test_rates_of_a_gate_are_those_of_draws(world):
    pairs = pairs_of(world)
    rows = regression_gate(world, pairs, 0.05, 100)
    earlier, later = micro_scores(world, 100, 800, 3), micro_scores(world, 100, 800, 4)
    near, fallen = pairs.take(pairs.bins == 0), pairs.take(pairs.bins == 10)
    for row in rows[::2]:
        most = row["tolerance"] * 100 + 1e-9
        for now, fresh in ((earlier, ""), (later, "_fresh")):
            up = (earlier[:, near.higher] - now[:, near.lower] > most).mean()
            down = (earlier[:, near.lower] - now[:, near.higher] > most).mean()
            assert row[f"false_alarm{fresh}"] == pytest.approx((up + down) / 2, abs=0.03)
            miss = (earlier[:, fallen.higher] - now[:, fallen.lower] <= most).mean()
            assert row[f"miss{fresh}"] == pytest.approx(miss, abs=0.03)


@pytest.mark.parametrize(("size", "drop"), [(1, 0.05), (37, 0.05), (100, 0.02), (400, 0.1)])
def test_no_tolerance_keeps_both_rates_lower_than_the_recommended_one(world, size, drop):
    def larger(row):
        return max(row["false_alarm"], row["miss"])

    pairs = pairs_of(world)
    rows = regression_gate(world, pairs, drop, size)
    (best,) = (row for row in rows if row["recommended"])
    assert all(larger(best) <= larger(row) for row in rows)
    falls = GateRates(*(normal_moments(pairs.take(pairs.bins == k), size) for k in (0, round(drop * 200))), size)
    every = [max(falls.rates((k + 0.5) / size)) for k in range(size + 1)]
    assert larger(best) == pytest.approx(min(every), abs=1e-12)


def test_the_command_answers_as_json(board, reference, capsys):
    more = ["size=20", "models=[m00,m01]", "scores=[.7,.5]", "drop=0.05", "differences=[.1]", f"results={reference}"]
    assert main(plan(board, *more, "format=json")) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["n_models"], made["n_items"]) == (40, 120)
    methods = [row["method"].split(" ")[0] for row in made["items"]]
    assert methods[0] == "random"
    assert set(methods[1:]) == {"random", "stratified_confidence"}
    assert 0.5 < made["order_of_scores"]["right"] <= 1
    assert [row["recommended"] for row in made["gate"]["rows"]].count(True) == 1


def test_the_command_answers_in_sentences(board, capsys):
    assert main(plan(board, "size=20", "models=[m00,m01]", "scores=[.7,.5]", "drop=0.05", "differences=[.1]")) == 0
    said = capsys.readouterr().out
    for sentence in (
        "random sampling (closed form)",
        "20 random items tell apart",
        "on all items; 20 random",
        "A gate on 20 items",
        "Let it alarm at a fall above",
        "needs more items",
    ):
        assert sentence in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["drop=0.05"], "size=100"),
        (["size=500"], "500 of 120"),
        (["size=20", "models=[m00,nobody]"], "nobody"),
        (["size=20", "scores=[.7,1.5]"], "fractions"),
        (["size=20", "drop=0.001"], "0.005"),
        (["tie_policy=paper"], "wrong, half or drop"),
        (["format=xml"], "text or json"),
        (["differences=[0]"], "wanted"),
        (["threshold=2"], "threshold"),
    ],
)
def test_what_cannot_be_answered_is_one_message(board, capsys, more, said):
    assert main(plan(board, *more)) == 1
    assert said in capsys.readouterr().err


def test_a_sweep_by_another_rule_is_refused(board, reference, capsys):
    assert main(plan(board, f"results={reference}", "threshold=0.7")) == 1
    assert "microbench reduce" in capsys.readouterr().err


def test_models_that_are_tied_have_no_order():
    scores = np.tile(np.array([1, 0, 1, 0], np.uint8), (3, 1))
    world = Benchmark.from_arrays("tied", scores, list("abcd"), list("xyz"))
    assert ranking_probability(world, ["x", "y"], 2)["better"] is None
    with pytest.raises(DataError):
        detectable_difference(pairs_of(world), 2, Criterion())
    with pytest.raises(ConfigError):
        ranking_probability(world, ["x", "x"], 2)
