"""From logs to a table of MDADs by two commands: of every format, multiplied to ten models, and of what real tools write."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.data import read_ingested
from tests.helpers import many_models, real_inspect, real_lm_eval


def two_commands(source: str, logs: Path, folder: Path, *more: str) -> list[dict[str, object]]:
    """The rows of the table of MDADs that comes of it."""
    assert main(["ingest", f"source={source}", f"path={logs}", f"out={folder / 'board'}", *more]) == 0
    sweep = ["sweep", "benchmark=ingested", f"benchmark.path={folder / 'board'}", "methods=[random]", "grid.sizes=[3,5]"]
    small = ["grid.n_source=[2]", "grid.n_target=6", "grid.runs=20", "engine=serial", "figures=false", "report=false"]
    assert main([*sweep, *small, f"out={folder / 'results'}"]) == 0
    rows: list[dict[str, object]] = pq.read_table(folder / "results/mdad.parquet").to_pylist()
    return rows


def is_table(rows: list[dict[str, object]]) -> bool:
    return {(row["size"], row["split"]) for row in rows} == {(size, split) for size in (3, 5) for split in ("seen", "unseen")}


@pytest.mark.parametrize("source", sorted(many_models.MAKERS))
def test_every_format(source: str, tmp_path: Path, test_data: Path) -> None:
    truth = many_models.MAKERS[source](tmp_path / "logs", test_data)
    rows = two_commands(source, tmp_path / "logs", tmp_path)
    assert is_table(rows)
    benchmark = read_ingested(tmp_path / "board")
    accuracy = dict(zip(benchmark.model_ids, (benchmark.scores / benchmark.units).mean(axis=1), strict=True))
    assert accuracy == pytest.approx({model: float(np.mean(values)) for model, values in truth.items()})
    # Ingesting again reads nothing, and changes nothing.
    before = {path: path.read_bytes() for path in (tmp_path / "board").rglob("*.parquet")}
    assert main(["ingest", f"source={source}", f"path={tmp_path / 'logs'}", f"out={tmp_path / 'board'}"]) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "board").rglob("*.parquet")} == before


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed")
def test_what_lm_eval_writes(tmp_path: Path) -> None:
    logs = real_lm_eval.write_logs(tmp_path / "logs", [f"org/m{k}" for k in range(8)])
    assert is_table(two_commands("lm_eval", logs, tmp_path, "tasks=[tiny_add,tiny_order]"))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect-ai is not installed")
def test_what_inspect_writes(tmp_path: Path) -> None:
    assert is_table(two_commands("inspect", real_inspect.write_logs(tmp_path / "logs", 8), tmp_path))
