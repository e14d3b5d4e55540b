"""The study of budgets: drawn costs, shares by hand, and equal budgets for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data.synthetic import synthetic
from microbench_ray.metrics import PairCounts
from studies.cost_budget import KINDS, budgets_of, crossing, curves, main, share_for_same, ways_of, with_costs


def test_costs_vary_tenfold_and_follow_what_they_are_to() -> None:
    board = synthetic(n_models=60, n_items=400)
    for kind in KINDS:
        costs = with_costs(board, kind, np.random.default_rng(0)).costs
        assert costs is not None
        assert costs.max() / costs.min() == pytest.approx(10, rel=0.02)
        assert costs.mean() == pytest.approx(9 / np.log(10), rel=0.01)  # of a log-uniform number from 1 to 10
        with_difficulty = np.corrcoef(np.log(costs), -board.scores.mean(axis=0))[0, 1]
        assert with_difficulty == pytest.approx({"independent": 0, "difficult": 0.7}.get(kind, with_difficulty), abs=0.12)


def test_shares_by_hand() -> None:
    budgets = np.array([1.0, 2.0, 4.0, 8.0])
    by_count, by_cost = np.array([0.8, 0.6, 0.4, 0.3]), np.array([0.7, 0.5, 0.3, 0.2])
    assert share_for_same(by_count, by_count, budgets, 2) == pytest.approx(1)
    # 0.4 lies halfway from 0.5 at 2 to 0.3 at 4, in logarithms: at the root of 8.
    assert share_for_same(by_count, by_cost, budgets, 2) == pytest.approx(np.sqrt(8) / 4)
    assert share_for_same(by_count, by_cost, budgets, 3) == pytest.approx(4 / 8)
    assert share_for_same(by_count, by_count + 0.2, budgets, 3) == np.inf
    assert share_for_same(by_count, by_cost - 0.3, budgets, 1) == 1 / 2


def test_the_crossing_lies_between_bins() -> None:
    zeros = np.zeros(3, np.int64)
    counts = PairCounts(np.array([10, 10, 10]), np.array([6, 7, 9]), zeros, zeros, zeros[0], zeros[0])
    assert crossing(counts) == pytest.approx(0.0075 + 0.005 / 2)  # 0.8 is halfway from 0.7 to 0.9
    assert crossing(counts, 0.95) == np.inf
    assert crossing(counts, 0.5) == pytest.approx(0.0025)


def test_all_methods_spend_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = with_costs(synthetic(n_models=40, n_items=120), "independent", np.random.default_rng(0))
    by_count, by_cost = curves(board, ways_of("greedy"), n_source=20, runs=2)
    assert len(by_count.mdad) == len(budgets_of(board))
    assert (by_cost.n_items > 1.3 * by_count.n_items).all()
    assert (np.diff(by_cost.n_items) > 0).all()
    assert np.isfinite(by_cost.agreement).all()
    drawn = synthetic(n_models=40, n_items=60)
    table = pd.DataFrame(drawn.scores.T, columns=drawn.model_ids).assign(item_id=drawn.item_ids, tokens=np.arange(60) % 7 + 1)
    table.to_parquet(tmp_path / "own.parquet")
    assert main([str(tmp_path / "own.parquet"), "--column", "tokens", "--method", "greedy", "--runs", "1", "--sources", "20"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "| own |" in line]
    assert [row.split(" | ")[2:4] for row in rows] == [["greedy", "20"]]
    assert main(["missing.parquet"]) == 2
    assert "missing.parquet" in capsys.readouterr().err
