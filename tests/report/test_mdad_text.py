"""The MDADs in other formats than the terminal's table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import BAD_INPUT, DONE, main
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.report.mdad_text import mdad_text
from tests.helpers.small_sweep import command, write_board

Captured = pytest.CaptureFixture[str]


def test_a_sweep_prints_its_mdads_and_nothing_else(tmp_path: Path, capsys: Captured) -> None:
    board, out = write_board(tmp_path / "board.parquet"), tmp_path / "out"
    sweep = command(board, out, "grid.n_source=[10]", "grid.sizes=[5,20]", runs=3)
    assert main([*sweep, "format=json"]) == DONE
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    mdad = pq.read_table(out / "mdad.parquet").to_pylist()
    assert rows == mdad
    assert len(rows) == 8  # 2 methods, 2 sizes, 2 halves
    assert "mdad.parquet" in printed.err

    reduce = ["reduce", f"out={out}", "n_resamples=100", "figures=false", "report=false"]
    assert main([*reduce, "format=csv"]) == DONE
    read = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["method"], int(row["size"]), row["split"]) for row in read] == [
        (row["method"], row["size"], row["split"]) for row in mdad
    ]
    assert [float(row["mdad_monotone"]) if row["mdad_monotone"] else None for row in read] == [row["mdad_monotone"] for row in mdad]

    assert main([*reduce, "format=markdown", "-q"]) == DONE
    shown = capsys.readouterr().out
    assert shown.count("| items | 5 | 20 |") == 2
    assert shown.count("| stratified_confidence | ") == 2
    assert main([*reduce, "format=html"]) == BAD_INPUT
    assert "valid: csv, json, markdown, table" in capsys.readouterr().err


def test_cells_of_markdown() -> None:
    key = {"benchmark": "b|1", "method": "random", "targets": "random", "unseen": "half", "tie_policy": "wrong", "ci": "runs"}
    row = key | {"n_source": 10, "n_target": 5, "split": "seen", "threshold": 0.8, "n_runs": 3, "reached_share": 1.0}
    rows = [
        row | {"size": 5, "mdad_monotone": 0.105, "mdad_monotone_ci_lo": 0.05, "mdad_monotone_ci_hi": None},
        row | {"size": 10, "mdad_monotone": None},
    ]
    names = SCHEMAS["mdad"].names
    table = SCHEMAS["mdad"].empty_table().from_pylist([{name: each.get(name) for name in names} for each in rows])
    shown = mdad_text(table, "markdown")
    assert shown.startswith("b\\|1: 5 target models (random), 10 source models. MDAD at agreement 0.8, seen half")
    assert "| random | 10.5 (5.0–∞) | not reached |" in shown
