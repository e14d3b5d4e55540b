"""The counts of a shard against their definition: a double loop over exact fractions."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data import Benchmark, read_scores
from microbench_ray.metrics import PairCounts
from microbench_ray.sweeps import evaluate
from microbench_ray.sweeps.evaluate import draw_run, evaluate_shard
from microbench_ray.sweeps.grid import Grid
from microbench_ray.sweeps.shards import Shard
from microbench_ray.sweeps.tables import counts_of
from tests.helpers.shards import GRID, leaderboard, shards_of

FITLESS = ["random", "random_subtask_equal", "random_subtask_proportional", "random_subtask_inverse"]


def double_loop(scores: list[list[Fraction | None]], items: np.ndarray, estimates: list[Any]) -> PairCounts:
    """Pair counts of targets (rows), computed from the definition."""
    counts = PairCounts.zeros()
    truth: list[Fraction | None] = []
    for row in scores:
        answered = [score for item in items if (score := row[item]) is not None]
        truth.append(sum(answered, Fraction(0)) / len(answered) if answered else None)
    for j in range(len(truth)):
        for i in range(j):
            first, second = truth[i], truth[j]
            if first is None or second is None:
                continue
            true, estimated = first - second, estimates[i] - estimates[j]
            if true == 0:
                counts.n_true_tied[...] += 1
                counts.n_true_tied_up[...] += estimated > 0
                continue
            bin_, tied = math.floor(abs(true) * 200), not abs(estimated) > 1e-12
            in_order = estimated * (1 if true > 0 else -1) > 0  # False for an undefined estimate
            counts.n_pairs[bin_] += 1
            counts.n_tied[bin_] += tied
            counts.n_agree[bin_] += in_order and not tied
            counts.n_tied_agree[bin_] += in_order and tied
    return counts


def assert_cells_equal_the_double_loop(
    shard: Shard, benchmark: Benchmark, responses: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Compare every cell of a shard of `mean` methods; `responses` is (n_models, n_items) with NaN. Returns the number of cells."""
    selections: list[np.ndarray] = []
    monkeypatch.setattr(evaluate, "check_selection", lambda method, selection, size, n_items: selections.append(selection.items))
    cells = evaluate_shard(shard, benchmark)["cells"]
    counts, keys = counts_of(cells), cells.select(["method", "size", "run", "split", "mean_abs_error"]).to_pylist()
    exact = [[None if np.isnan(value) else Fraction(float(value)) for value in row] for row in responses]
    row = 0
    for run in shard.runs:
        draw = draw_run(shard, benchmark, run)
        targets = [exact[target] for target in draw.targets]
        for method_ in shard.methods:
            for size, _ in shard.sizes:
                items = draw.seen[selections.pop(0)]
                estimates: list[Any] = []
                for scores in targets:
                    answered = [score for item in items if (score := scores[item]) is not None]
                    estimates.append(sum(answered, Fraction(0)) / len(answered) if answered else math.nan)
                assert draw.unseen is not None
                for split, half in (("seen", draw.seen), ("unseen", draw.unseen)):
                    assert [keys[row][name] for name in ("method", "size", "run", "split")] == [method_.label, size, run, split]
                    expected = double_loop(targets, half, estimates)
                    assert counts[row].padded().equals(expected), keys[row]
                    truth = np.nanmean(responses[draw.targets][:, half], axis=1)
                    error = np.nanmean(np.abs(truth - np.array([float(each) for each in estimates])))
                    assert keys[row]["mean_abs_error"] == pytest.approx(error, abs=1e-12)
                    row += 1
    assert row == len(cells)
    assert not selections
    return row


@pytest.mark.parametrize("units", [1, 2, 4])
def test_counts_equal_the_double_loop_with_missing_cells(units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = leaderboard(gaps=True, units=units, n_models=20)
    assert benchmark.has_missing
    assert benchmark.units == units
    responses = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores / units)
    shard = shards_of(FITLESS, [benchmark], replace(GRID, sizes=(1, 4, 9), n_source=(3,), n_target=15))[0]
    assert assert_cells_equal_the_double_loop(shard, benchmark, responses, monkeypatch) == 4 * 3 * 3 * 2


@pytest.mark.slow
def test_counts_of_graded_scores_with_missing_cells_equal_the_double_loop(test_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = read_scores(test_data / "alpaca_eval1.parquet")
    table = pd.read_parquet(test_data / "alpaca_eval1.parquet")
    responses = table[list(benchmark.model_ids)].to_numpy(dtype=float).T
    assert int(np.isnan(responses).sum()) == 51
    assert set(np.unique(responses[~np.isnan(responses)])) == {0, 0.5, 1}
    # 40 of 52 models are targets: 780 pairs per run and half.
    grid = Grid(sizes=(10, 50, 400), n_source=(8,), n_target=40, runs=2)
    shard = shards_of(["random", "random_subtask_equal"], [benchmark], grid)[0]
    assert len({int(n) for n in (~np.isnan(responses)).sum(axis=1)}) > 1
    assert assert_cells_equal_the_double_loop(shard, benchmark, responses, monkeypatch) == 2 * 3 * 2 * 2
