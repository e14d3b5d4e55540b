"""From logs to a table of MDADs with two commands: every format, and logs written by the real tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.data import read_ingested
from tests.helpers import many_models

QUICK = ("lm_eval", "scores")
"""Sources tested in the default tier; the others are slow tests."""


def two_commands(source: str, logs: Path, folder: Path, *more: str) -> list[dict[str, object]]:
    """Ingest and sweep; returns the rows of the MDAD table."""
    assert main(["ingest", f"source={source}", f"path={logs}", f"out={folder / 'board'}", *more]) == 0
    sweep = ["sweep", "benchmark=ingested", f"benchmark.path={folder / 'board'}", "methods=[random]", "grid.sizes=[3,5]"]
    small = ["grid.n_source=[2]", "grid.n_target=6", "grid.runs=20", "engine=serial", "figures=false", "report=false"]
    assert main([*sweep, *small, f"out={folder / 'results'}"]) == 0
    rows: list[dict[str, object]] = pq.read_table(folder / "results/mdad.parquet").to_pylist()
    return rows


def assert_all_cells(rows: list[dict[str, object]]) -> None:
    assert {(row["size"], row["split"]) for row in rows} == {(size, split) for size in (3, 5) for split in ("seen", "unseen")}


@pytest.mark.parametrize(
    "source", [pytest.param(source, marks=[] if source in QUICK else pytest.mark.slow) for source in sorted(many_models.WRITERS)]
)
def test_every_format(source: str, tmp_path: Path, test_data: Path) -> None:
    truth = many_models.WRITERS[source](tmp_path / "logs", test_data)
    rows = two_commands(source, tmp_path / "logs", tmp_path)
    assert_all_cells(rows)
    benchmark = read_ingested(tmp_path / "board")
    accuracy = dict(zip(benchmark.model_ids, (benchmark.scores / benchmark.units).mean(axis=1), strict=True))
    assert accuracy == pytest.approx({model: float(np.mean(values)) for model, values in truth.items()})
    # Ingesting again changes nothing.
    before = {path: path.read_bytes() for path in (tmp_path / "board").rglob("*.parquet")}
    assert main(["ingest", f"source={source}", f"path={tmp_path / 'logs'}", f"out={tmp_path / 'board'}"]) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "board").rglob("*.parquet")} == before


@pytest.mark.slow
def test_real_lm_eval_logs(tmp_path: Path, lm_eval_logs: Path) -> None:
    assert_all_cells(two_commands("lm_eval", lm_eval_logs, tmp_path, "tasks=[tiny_add,tiny_order]"))


@pytest.mark.slow
def test_real_inspect_logs(tmp_path: Path, inspect_logs: Path) -> None:
    assert_all_cells(two_commands("inspect", inspect_logs, tmp_path))
