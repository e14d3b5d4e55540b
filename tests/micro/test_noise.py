"""`mb.noise` and `plan` on boards with repeats: the floor, the split of a budget, and answers for single runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark
from microbench_ray.micro.noise import EQUAL
from tests.helpers.errors import refuses

N_MODELS, N_ITEMS, N_RUNS = 24, 400, 8


def board(effect: float, seed: int = 0, name: str = "runs") -> Benchmark:
    """Models whose runs have an effect on all items of this standard deviation."""
    rng = np.random.default_rng(seed)
    chances = np.linspace(-0.15, 0.15, N_MODELS)[:, None, None] + rng.uniform(0.2, 0.8, (N_MODELS, N_ITEMS, 1))
    moved = chances + rng.normal(0, effect, (N_MODELS, 1, N_RUNS))
    return mb.benchmark((rng.random((N_MODELS, N_ITEMS, N_RUNS)) < moved).astype(float), name=name)


@pytest.fixture(scope="module")
def plain() -> Benchmark:
    return board(0.0)


@pytest.fixture(scope="module")
def shifting() -> Benchmark:
    return board(0.04)


def test_the_floor_is_that_of_the_drawn_noise(plain: Benchmark, shifting: Benchmark) -> None:
    within = 0.25 - 0.03 - 0.0075  # of a chance that is uniform, and of models' levels
    independent = 0.8416 * np.sqrt(2 * within / N_ITEMS)
    assert mb.noise(plain).floor == pytest.approx(independent, rel=0.06)
    found = mb.noise(shifting)
    assert found.floor_without_effect == pytest.approx(independent, rel=0.06)
    assert found.floor == pytest.approx(0.8416 * np.sqrt(2 * (within / N_ITEMS + 0.04**2)), rel=0.15)
    assert len(found.found.with_effect) > 10
    assert not mb.noise(plain).found.with_effect


def test_shares_sum_to_one(shifting: Benchmark) -> None:
    table = mb.noise(shifting).table()
    assert np.allclose(table[["share_between_items", "share_within_items", "share_runs"]].sum(axis=1), 1)
    assert (table["run_deviation"] > table["run_deviation_without_effect"]).all()
    assert (table["n_repeats"] == N_RUNS).all()


def test_without_effects_of_runs_more_items_are_better_than_repeats(plain: Benchmark) -> None:
    rows = mb.noise(plain).split([100, 400, 1200])
    assert rows[["size", "n_repeats"]].to_numpy().tolist() == [[100, 1], [400, 1], [400, 3]]
    assert rows["deviation"].is_monotonic_decreasing


def test_with_effects_of_runs_more_runs_are_worth_fewer_items(shifting: Benchmark) -> None:
    found = mb.noise(shifting)
    row = found.split(800).iloc[0]
    assert row["n_repeats"] > 2
    others = [found.found.deviation(800 // r, r) for r in range(2, 200)]
    assert row["deviation"] == min(others)
    for size, n_repeats in row["equal"]:
        assert found.found.deviation(size, n_repeats) <= row["deviation"] * (1 + EQUAL)
    agreement = found.mdads([100, 400], [1, 4]).set_index(["size", "n_repeats"])["mean_agreement"]
    assert agreement[400, 4] > agreement[400, 1] > agreement[100, 1]


def worst(gate: pd.DataFrame, *rates: str) -> float:
    """The larger of two rates at the recommended tolerance."""
    return float(gate[gate["recommended"]][list(rates)].to_numpy().max())


def test_plans_are_for_single_runs(plain: Benchmark) -> None:
    means = plain.without_repeats()
    single, many = (mb.detectable_difference(plain, 300, n_repeats=r) for r in (None, 50))
    assert single["mdad"] > many["mdad"]
    assert single == mb.detectable_difference(plain, 300, n_repeats=1)
    assert many["mean_agreement"] == pytest.approx(mb.detectable_difference(means, 300)["mean_agreement"], abs=0.02)
    needed = [mb.items_needed(plain, 0.06, n_repeats=r)["size"][0] for r in (1, 50)]
    assert needed[0] > needed[1]
    a, b = plain.model_ids[10], plain.model_ids[14]
    right = [mb.ranking_probability(plain, [a, b], 200, n_repeats=r)["right"] for r in (1, 50)]
    assert 0.5 < right[0] < right[1]
    gates = [mb.regression_gate(plain, 0.05, 200, n_repeats=r) for r in (1, 50)]
    rates = [worst(table, "false_alarm", "miss") for table in gates]
    assert rates[0] > rates[1]
    fresh = [worst(table, "false_alarm_fresh", "miss_fresh") for table in gates]
    assert fresh[0] > fresh[1]
    posterior = [mb.posterior_ranking_probability(plain, [0.55, 0.5], 200, n_repeats=r)["right"] for r in (1, 50)]
    assert posterior[0] < posterior[1]


def test_a_pair_of_models_has_the_noise_of_these_two() -> None:
    """Two deterministic models among noisy ones are ordered as by scores without repeats."""
    rng = np.random.default_rng(3)
    repeats = (rng.random((6, 300, 4)) < 0.5).astype(float)
    repeats[4:] = (rng.random((2, 300)) < [[0.6], [0.4]])[:, :, None]
    given = mb.benchmark(repeats, name="two")
    models = list(given.model_ids[4:])
    single = mb.ranking_probability(given, models, 40)["right"]
    assert single == pytest.approx(mb.ranking_probability(given.without_repeats(), models, 40)["right"], abs=0.01)


def test_plan_prints_noise_and_budgets(shifting: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shifting.repeats is not None
    model, item, repeat = np.indices(shifting.repeats.shape)
    table = pd.DataFrame(
        {"model": shifting.model_ids[model.ravel()], "item_id": shifting.item_ids[item.ravel()], "repeat": repeat.ravel()}
    ).assign(score=shifting.repeats.ravel())
    table.to_parquet(tmp_path / "runs.parquet")
    path = ["plan", "benchmark=scores", f"benchmark.path={tmp_path / 'runs.parquet'}"]
    assert main([*path, "size=100", "budget=[100,800]", "format=json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["noise"]["floor"] == pytest.approx(mb.noise(shifting).floor)
    assert found["noise"]["answers_for"] == 1
    assert [row["budget"] for row in found["budget"]] == [100, 800]
    assert main([*path, "n_repeats=4", "size=100", "format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["told_apart"]["mdad"] < found["told_apart"]["mdad"]
    assert main([*path, "threshold=1", "size=100", "format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["noise"]["threshold"] == 0.8
    for shown_as in ("table", "markdown", "csv"):
        assert main([*path, "budget=[800]", f"format={shown_as}"]) == 0
        assert "0" in capsys.readouterr().out


def test_plan_prints_the_ranks_that_a_board_leaves_open(
    shifting: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifting.save(tmp_path / "board")
    command = [
        "plan",
        "benchmark=scores",
        f"benchmark.path={tmp_path / 'board'}",
        f"benchmark.name={shifting.name}",
        "differences=[]",
    ]
    for reference in ("population", "benchmark"):
        assert main([*command, f"ranks={reference}", "format=json"]) == 0
        found = json.loads(capsys.readouterr().out)["ranks"]
        wanted = mb.rank_intervals(shifting, reference=reference)
        assert pd.DataFrame(found["rows"]).equals(pd.DataFrame(wanted))
        assert {"population": "items", "benchmark": "repeats"}[reference] in found["over"]
    for shown_as in ("table", "markdown", "csv"):
        assert main([*command, "ranks=population", f"format={shown_as}"]) == 0
        assert str(shifting.model_ids[0]) in capsys.readouterr().out
    assert main([*command, "ranks=repeats"]) == 1
    assert "benchmark, population" in capsys.readouterr().err


def test_a_plan_says_where_it_draws_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    table = pd.DataFrame(rng.integers(0, 5, (250, 6)) / 4, columns=[f"m{k}" for k in range(6)])
    table.insert(0, "item_id", [f"q{k}" for k in range(250)])
    table.to_csv(tmp_path / "graded.csv", index=False)
    path = ["plan", "benchmark=scores", f"benchmark.path={tmp_path / 'graded.csv'}", "differences=[0.2]"]
    assert main([*path, "format=json"]) == 0
    n_samples = json.loads(capsys.readouterr().out)["drawn_samples"]
    assert main(path) == 0
    assert f"{n_samples:,} drawn samples" in capsys.readouterr().out


def test_what_cannot_be_answered_is_refused(plain: Benchmark) -> None:
    without = plain.without_repeats()
    with refuses(DataError, "no repeats", hint="epochs"):
        mb.noise(without)
    with refuses(ConfigError, "no repeats", where="n_repeats"):
        mb.detectable_difference(without, 100, n_repeats=2)
    with refuses(ConfigError, "n_repeats", where="n_repeats"):
        mb.detectable_difference(plain, 100, n_repeats=0)
    with refuses(ConfigError, "budget", where="budget"):
        mb.noise(plain).found.split(0)
    with refuses(ConfigError, "threshold", where="threshold"):
        mb.noise(plain, threshold=0.4)
    assert mb.detectable_difference(mb.synthetic(n_models=20, n_items=300), 100, n_repeats=1)["mdad"] is not None


def test_the_result_shows_itself(shifting: Benchmark) -> None:
    text = repr(mb.noise(shifting))
    assert "points" in text
    assert "effect on all items" in text
    assert "<table" in mb.noise(shifting)._repr_html_()


def test_models_of_a_benchmark_are_compared_with_their_repeats(plain: Benchmark) -> None:
    a, b = (str(name) for name in plain.model_ids[[2, 3]])
    found = mb.compare(a, b, benchmark=plain, reference="benchmark").table().iloc[0]
    assert found["interval_kind"] == "repeats"
    means = mb.compare(a, b, benchmark=plain.without_repeats()).table().iloc[0]
    assert found["difference"] == pytest.approx(means["difference"], abs=1e-6)
