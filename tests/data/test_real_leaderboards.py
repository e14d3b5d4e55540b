"""Real leaderboards, and drawn ones of real size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.data import read_release, read_scores


def test_gpqa(test_data: Path) -> None:
    benchmark = read_scores(test_data / "gpqa.parquet")
    assert (benchmark.n_models, benchmark.n_items, benchmark.units) == (420, 448, 1)
    assert benchmark.scores.dtype == np.uint8
    assert benchmark.subtask_names == ["gpqa_main"]
    assert not benchmark.has_missing
    assert benchmark.notes == ()
    accuracy = benchmark.scores.mean(axis=1)
    assert (round(float(accuracy.min()), 2), round(float(accuracy.max()), 2)) == (0.21, 0.45)


def test_alpaca_eval(test_data: Path) -> None:
    benchmark = read_scores(test_data / "alpaca_eval1.parquet")
    assert (benchmark.n_models, benchmark.n_items, benchmark.units) == (52, 805, 2)
    assert benchmark.has_missing
    assert int((benchmark.scores == benchmark.missing).sum()) == 51
    assert set(np.unique(benchmark.scores)) == {0, 1, 2, 255}
    assert len(benchmark.subtask_names) == 5
    frame = pq.read_table(test_data / "alpaca_eval1.parquet").to_pandas()
    expected = frame[list(benchmark.model_ids)].to_numpy().T
    actual = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores / 2)
    assert np.array_equal(actual, expected, equal_nan=True)


@pytest.mark.parametrize("name", [pytest.param("mmlu_pro", marks=pytest.mark.slow), "bbh"])
def test_both_layouts_of_a_drawn_leaderboard_give_the_same_benchmark(test_data: Path, tmp_path: Path, name: str) -> None:
    for layout in ("wide", "npy"):
        command = [sys.executable, str(test_data / "make_leaderboard.py"), name, str(tmp_path / layout)]
        subprocess.run([*command, "--models", "30", "--layout", layout], check=True, timeout=120)
    wide, release = read_scores(tmp_path / "wide" / f"{name}.parquet"), read_release(tmp_path / "npy")
    assert wide.n_items == {"mmlu_pro": 12_032, "bbh": 5_761}[name]
    assert len(wide.subtask_names) == {"mmlu_pro": 14, "bbh": 24}[name]
    assert release.name == wide.name == name
    assert np.array_equal(wide.scores, release.scores)
    assert wide.confidence is not None
    assert release.confidence is not None
    assert np.array_equal(wide.confidence, release.confidence)
    assert np.array_equal(wide.subtask_codes, release.subtask_codes)
    assert release.answers is not None
    assert release.answers.shape == (30, wide.n_items, 2)
    assert release.labels is not None
    assert (release.labels == 1).all()
