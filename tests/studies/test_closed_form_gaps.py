"""The closed form of uniform random sampling against simulation: real, drawn and graded scores; and its script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data import Benchmark, read_scores, synthetic
from studies import closed_form_gaps
from studies.closed_form_gaps import MAX_GAP, SIZES, largest_gaps, main
from tests.helpers.rotation import rotating, share, share_or_all


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(3))
def test_a_real_leaderboard(test_data: Path, one_in: int) -> None:
    sizes = share((10, 25, 50, 100, 200), one_in)
    gaps = largest_gaps(read_scores(test_data / "gpqa.parquet", confidence=None), sizes)
    assert gaps.keys() == set(sizes)
    assert max(gaps.values()) <= MAX_GAP, gaps


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(5))
def test_a_drawn_leaderboard(one_in: int) -> None:
    gaps = largest_gaps(synthetic(n_models=447, n_items=3000), share(SIZES, one_in))
    assert max(gaps.values()) <= MAX_GAP, gaps


@pytest.mark.slow
@pytest.mark.parametrize("size", rotating((10, 50, 200), 3))
def test_graded_scores(size: int) -> None:
    gaps = largest_gaps(graded(), (size,))
    assert max(gaps.values()) <= MAX_GAP, gaps


@pytest.mark.slow
def test_heavy_tailed_grades() -> None:
    """Win probabilities like those of AlpacaEval 2: most near 0, some near 1."""
    rng = np.random.default_rng(0)
    levels, difficulty = rng.normal(0, 0.5, 320), rng.normal(0, 1.2, 805)
    logits = levels[:, None] - 1.3 + difficulty + rng.normal(0, 1.5, (320, 805))
    scores = np.round(1 / (1 + np.exp(-3 * logits)), 6)
    board = Benchmark.from_arrays("heavy", scores, [f"q{k}" for k in range(805)], [f"m{k}" for k in range(320)])
    assert np.median(scores) < 0.05
    gaps = largest_gaps(board, (10,), runs=1000)
    assert gaps[10] <= MAX_GAP, gaps


def graded() -> Benchmark:
    world = synthetic(n_models=300, n_items=600, seed=1)
    other = synthetic(n_models=300, n_items=600, seed=2).scores
    board = Benchmark.from_arrays("graded", (world.scores + other) / 2, list(world.item_ids), list(world.model_ids))
    assert board.units == 2
    return board


def test_few_runs_on_graded_scores_come_close() -> None:
    """The quick one of these: 200 runs have a noise of about 0.025."""
    gaps = largest_gaps(graded(), (50,), runs=200)
    assert 0 < gaps[50] < 0.05


def test_all_items_leave_no_gap() -> None:
    """With all items drawn every pair is in its true order, in simulation and in closed form."""
    assert largest_gaps(synthetic(n_models=200, n_items=40), (40,), runs=20) == {40: 0.0}


def test_a_gap_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form for four times as many items differs from the simulation."""
    expected_counts = closed_form_gaps.cf.expected_counts
    monkeypatch.setattr(closed_form_gaps.cf, "expected_counts", lambda pairs, size: expected_counts(pairs, 4 * size))
    assert largest_gaps(synthetic(n_models=300, n_items=400), (25,), runs=20)[25] > 0.1


def test_the_script_prints_gaps_and_reports_large_ones_by_its_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = synthetic(n_models=300, n_items=60)
    table = pd.DataFrame(world.scores.T, columns=world.model_ids).assign(item_id=world.item_ids, subtask="all")
    table.to_parquet(tmp_path / "small.parquet")
    assert main([str(tmp_path / "small.parquet"), "--runs", "3"]) == 1  # three runs are too noisy
    name, _, gaps = capsys.readouterr().out.partition(": ")
    assert name == "small"
    assert [part.split()[0] for part in gaps.split(",")] == ["10", "25", "50"]
    assert max(float(part.split()[-1]) for part in gaps.split(",")) > MAX_GAP
    assert np.all([0 <= float(part.split()[-1]) <= 1 for part in gaps.split(",")])
    assert main([str(tmp_path / "absent.parquet")]) == 2
    assert "absent.parquet" in capsys.readouterr().err
