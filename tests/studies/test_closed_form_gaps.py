"""The closed form of uniform random sampling against simulation: real, drawn and graded scores; and what its script prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data import Benchmark, read_scores, synthetic
from studies.closed_form_gaps import largest_gaps, main


def test_on_a_real_leaderboard(test_data):
    gaps = largest_gaps(read_scores(test_data / "gpqa.parquet", confidence=None), (10, 25, 50, 100, 200))
    assert max(gaps.values()) <= 0.01, gaps


def test_on_a_drawn_board():
    gaps = largest_gaps(synthetic(n_models=447, n_items=3000))
    assert max(gaps.values()) <= 0.01, gaps


def test_on_graded_scores():
    world = synthetic(n_models=300, n_items=600, seed=1)
    other = synthetic(n_models=300, n_items=600, seed=2).scores
    drawn = Benchmark.from_arrays("graded", (world.scores + other) / 2, world.item_ids, world.model_ids)
    assert drawn.units == 2
    gaps = largest_gaps(drawn, (10, 50, 200))
    assert max(gaps.values()) <= 0.01, gaps


def test_few_runs_are_too_noisy_and_the_script_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world = synthetic(n_models=300, n_items=60)
    table = pd.DataFrame(world.scores.T, columns=world.model_ids).assign(item_id=world.item_ids, subtask="all")
    table.to_parquet(tmp_path / "small.parquet")
    assert main([str(tmp_path / "small.parquet"), "--runs", "3"]) == 1
    said = capsys.readouterr().out
    assert "small: 10 items 0." in said
    assert "100 items" not in said
    assert np.all([0 <= float(part.split()[-1]) <= 1 for part in said.split(",")])
    assert main([str(tmp_path / "absent.parquet")]) == 2
