"""The studies of single runs and of rank intervals print their tables, and a gap is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies import noise_gaps, rank_interval_coverage


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    shape = (40, 60, 4)
    scores = (rng.random(shape) < rng.uniform(0.1, 0.9, shape[:2])[:, :, None]).astype(int)
    model, item, sample = np.indices(shape)
    names = {"model": [f"m{k}" for k in model.ravel()], "item_id": [f"q{k}" for k in item.ravel()], "sample": sample.ravel()}
    pd.DataFrame(names | {"score": scores.ravel()}).to_parquet(tmp_path / "samples.parquet")
    return tmp_path / "samples.parquet"


def test_the_table_of_single_runs(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise_gaps.main([str(samples), "--draws", "30", "--sizes", "20", "--repeats", "1"])
    cells = capsys.readouterr().out.splitlines()[-1].split("|")
    drawn, closed, means = float(cells[3]), float(cells[4]), float(cells[8])
    assert drawn == pytest.approx(closed, abs=0.05)
    assert means > drawn + 0.05


def test_a_wrong_closed_form_has_a_gap(samples: Path) -> None:
    repeats = noise_gaps.read_samples(samples)
    own, means = noise_gaps.gaps(repeats, 20, 1, draws=30)
    assert own.largest < means.largest
    assert means.largest > noise_gaps.MAX_GAP


def test_the_table_of_rank_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    assert rank_interval_coverage.main(["--boards", "1"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 3 * 3 + 3 * 6
