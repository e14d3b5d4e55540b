"""What a budget buys: random items in a plan, and the first items of a method in an export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from tests.helpers.errors import refuses

N_ITEMS = 40
COSTS = np.array([10.0, 20.0, 30.0, 40.0] * 10)


def scores() -> np.ndarray:
    rng = np.random.default_rng(0)
    chance = 1 / (1 + np.exp(rng.normal(0, 1, N_ITEMS) - rng.normal(0, 1, (20, 1))))
    return (rng.random((20, N_ITEMS)) < chance).astype(float)


@pytest.fixture(scope="module")
def board() -> Benchmark:
    return mb.benchmark(scores(), name="costly", cost=COSTS)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("costs") / "costly.csv"
    about = {"item_id": [f"item_{k}" for k in range(N_ITEMS)], "tokens": COSTS}
    pd.DataFrame(about | {f"model_{k}": row for k, row in enumerate(scores())}).to_csv(path, index=False)
    return path


def test_random_items_by_hand(board: Benchmark) -> None:
    answer = mb.affordable_items(board, 270)
    # The mean cost is 25. Of 40 items, 10 at each of 10, 20, 30, 40: variance 125 × 40/39, and 10 drawn without replacement.
    assert (answer["size"], answer["mean_cost"], answer["total_cost"]) == (10, 25, 1000)
    assert answer["high"] == pytest.approx(250 + 1.644854 * np.sqrt(125 * 40 / 39 * 10 * (1 - 10 / 40)))
    assert "10 random items" in repr(answer)
    assert [mb.affordable_items(board, cost)["size"] for cost in (25, 49.9, 50, 1000, 5000)] == [1, 1, 2, 40, 40]
    assert mb.affordable_items(board, 5000)["high"] == pytest.approx(1000)


def test_repeats_cost_as_much_each(board: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, once = mb.affordable_items(board, 810, n_repeats=3), mb.affordable_items(board, 270)
    assert answer == {"cost": 810, "size": 10} | {name: 3 * once[name] for name in ("mean_cost", "total_cost", "high")}
    rng, path = np.random.default_rng(0), tmp_path / "repeated.csv"
    rows = [(f"m{m}", f"q{k}", r, float(rng.random() < 0.5), COSTS[k]) for m in range(6) for k in range(N_ITEMS) for r in (0, 1)]
    pd.DataFrame(rows, columns=["model", "item_id", "repeat", "score", "tokens"]).to_csv(path, index=False)
    source = ["plan", "benchmark=scores", f"benchmark.path={path}", "benchmark.columns={cost: tokens}", "differences=[.1]"]
    for words, size in (([], 32), (["n_repeats=3"], 10)):
        assert main([*source, *words, "cost=810", "format=json"]) == 0
        assert json.loads(capsys.readouterr().out)["affordable"]["size"] == size
    with refuses(ConfigError, "repeats", where="n_repeats"):
        mb.affordable_items(board, 810, n_repeats=0)


def test_nineteen_of_twenty_draws_cost_at_most_as_much(board: Benchmark) -> None:
    answer, rng = mb.affordable_items(board, 500), np.random.default_rng(0)
    totals = np.array([COSTS[rng.choice(N_ITEMS, answer["size"], replace=False)].sum() for _ in range(2000)])
    assert totals.mean() == pytest.approx(500, abs=3)
    assert (totals <= answer["high"]).mean() == pytest.approx(0.95, abs=0.02)


def test_a_plan_for_a_budget_is_one_for_its_size(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ["plan", "benchmark=scores", f"benchmark.path={table}", "benchmark.columns={cost: tokens}", "differences=[.1]"]
    assert main([*source, "cost=270", "format=json"]) == 0
    budget = json.loads(capsys.readouterr().out)
    assert main([*source, "size=10", "format=json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert budget.pop("affordable")["size"] == 10
    assert budget == size
    assert main([*source, "cost=270", "models=[model_0,model_1]"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "270 buys 10 random items" in shown
    assert "10 random items rank them" in shown


def test_an_export_spends_its_budget(board: Benchmark) -> None:
    by_cost: dict[str, Any] = {"selector": {"by_cost": True}}
    cost_of = dict(zip(map(str, board.item_ids), COSTS, strict=True))
    sizes = []
    for method in (mb.method("greedy"), mb.method("greedy", **by_cost)):
        micro = mb.export(board, method=method, cost=200, folds=2)
        spent = sum(cost_of[name] for name in micro.item_ids)
        assert (micro.benchmark["selected_cost"], micro.benchmark["cost"]) == (spent, COSTS.sum())
        assert 160 < spent <= 200
        assert micro.benchmark["budget"] == 200
        assert micro.n_random == int(spent / 25 + 1e-9)  # random items that cost as much
        assert mb.export(board, micro.size, method, folds=2).n_random == micro.size
        assert mb.export(board, micro.size + 1, method, folds=2).item_ids[: micro.size] == micro.item_ids
        assert spent + cost_of[mb.export(board, micro.size + 1, method, folds=2).item_ids[-1]] > 200
        sizes.append(micro.size)
    assert sizes[1] > sizes[0]


def test_the_command_spends_the_same(board: Benchmark, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "export",
        "benchmark=scores",
        f"benchmark.path={table}",
        "benchmark.columns={cost: tokens}",
        "method=greedy",
        "folds=2",
    ]
    assert main([*command, "cost=200", f"out={tmp_path / 'micro'}"]) == 0
    assert "190 together, of 1,000" in " ".join(capsys.readouterr().out.split())
    assert mb.load_micro(tmp_path / "micro").benchmark["selected_cost"] == 190
    assert mb.load_micro(tmp_path / "micro").item_ids == mb.export(board, method="greedy", cost=200, folds=2).item_ids
    assert main([*command, "cost=0", f"out={tmp_path / 'none'}"]) == 1
    assert "where: cost" in capsys.readouterr().err


def test_what_no_budget_can_be_spent_on_is_refused(board: Benchmark, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = mb.benchmark(scores(), name="plain")
    for cost in (0, -1, np.nan, np.inf, True, "many"):
        with refuses(ConfigError, "positive", where="cost"):
            mb.affordable_items(board, cost)  # type: ignore[arg-type]
    with refuses(ConfigError, "below", where="cost", got="25"):
        mb.affordable_items(board, 24)
    with refuses(ConfigError, "below", where="cost"):
        mb.export(board, method="greedy", cost=5)
    for unknown in (lambda: mb.affordable_items(plain, 100), lambda: mb.export(plain, method="greedy", cost=100)):
        with refuses(ConfigError, "costs", got="plain", hint="columns"):
            unknown()
    with refuses(ConfigError, "nest", where="random", got="random", hint="25"):
        mb.export(board, method="random", cost=100)
    with refuses(ConfigError, "budget", where="cost", got="size=5"):
        mb.export(board, 5, "greedy", cost=100)
    assert main(["plan", "benchmark=scores", f"benchmark.path={table}", "size=5", "cost=100"]) == 1
    assert "where: cost" in capsys.readouterr().err
