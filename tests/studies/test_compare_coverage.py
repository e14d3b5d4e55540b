"""The study of the intervals of `compare`, on drawn answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.compare_coverage import main, measure, read_samples


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Six models on 40 items with four repeats; a seventh model lacks one."""
    rng = np.random.default_rng(0)
    chance = rng.beta(0.5, 0.5, (7, 40))
    rows = [
        {"model": f"m{m}", "item_id": f"q{i:02d}", "sample": s, "score": float(rng.random() < chance[m, i])}
        for m in range(7)
        for i in range(40)
        for s in range(4)
        if (m, i, s) != (6, 3, 3)
    ]
    path = tmp_path / "samples.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def test_complete_models_are_read_and_keep_their_scores(samples: Path) -> None:
    scores = read_samples(samples)
    assert scores.shape == (6, 40, 4)
    table = pd.read_parquet(samples)
    assert scores.mean(axis=(1, 2)) == pytest.approx(table[table["model"] != "m6"].groupby("model")["score"].mean().to_numpy())


def test_dependent_answers_taken_as_independent_are_shown_to_fail(samples: Path) -> None:
    found = measure(read_samples(samples), 2, 30, 60, 0.05, np.random.default_rng(0))
    alarms = {name: np.mean(each.significant) for name, each in found.items()}
    assert alarms["A/A: the same items three times, as independent"] > alarms["A/A: the same items three times, as clusters"] + 0.1
    assert alarms["A/A: runs with shifts, as samples"] > alarms["A/A: runs with shifts, as runs"] + 0.1


def test_the_table(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(samples), "--draws", "3", "--items", "20", "--repeats", "1", "2"]) == 0
    printed = capsys.readouterr().out
    assert "6 models × 40 items × 4 repeats" in printed
    assert printed.count("| A/A: population, 20 items |") == 2


def test_the_table_of_false_alarms(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(samples), "--draws", "40", "--alarms", "20", "30", "--repeats", "1", "2"]) == 0
    rows = capsys.readouterr().out.splitlines()[-4:]
    assert all(0 <= float(row.split("|")[3]) < 0.2 for row in rows)
    assert [bool(row.split("|")[4].strip()) for row in rows] == [True, False, True, False]
