"""What the script says of models better than the known ones: by hand where that can be, and on an invented leaderboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microbench_ray.data import synthetic
from studies.fallback import Row, lost, main, measured


def row(told: float, random: float) -> Row:
    return Row(0.5, told, random, 0.6, 1.0, 1.0, 1.0, 1.0, 0.5)


def test_a_paired_interval_by_hand():
    # Differences .1, .2, .3: mean .2, standard error .1 / sqrt(3), and t is 4.303 with two degrees of freedom.
    assert lost([row(0.5, 0.6), row(0.5, 0.7), row(0.4, 0.7)]) == pytest.approx((0.2, -0.0484, 0.4484), abs=1e-4)
    assert lost([row(0.5, 0.7)]) == pytest.approx((0.2, -np.inf, np.inf))


def test_on_an_invented_leaderboard_score_knows_whom_it_cannot_read():
    rows = measured(synthetic(n_models=200, n_items=600, seed=3), 100, 2)
    assert len(rows) == 2
    for each in rows:
        assert each.unlike > 0.5
        assert each.error_told < each.error_alone
        assert min(each.told, each.random) > 0.5
    assert rows[0] != rows[1]


def test_the_script_prints_a_line_per_size_and_names_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world = synthetic(n_models=60, n_items=80)
    table = pd.DataFrame(world.scores.T, columns=world.model_ids).assign(item_id=world.item_ids, subtask="all")
    table.to_parquet(tmp_path / "small.parquet")
    code = main([str(tmp_path / "small.parquet"), "--seeds", "2", "--sizes", "10", "40", "100"])
    lines = capsys.readouterr().out.splitlines()
    assert code == any(line.endswith("worse") for line in lines)
    assert [line.split()[:2] for line in lines[2:]] == [["small", "10"], ["small", "40"]]
    assert main([str(tmp_path / "absent.parquet")]) == 2
    assert "absent.parquet" in capsys.readouterr().err
