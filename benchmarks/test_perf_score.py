"""Wall time of `microbench score` for one new model, in a new process and with its start-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from microbench_ray.data import synthetic
from microbench_ray.methods import build_method
from microbench_ray.micro.build import build

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))
ROUNDS = int(os.environ.get("MICROBENCH_PERF_ROUNDS", "5"))
PROGRAM = "from microbench_ray.cli.main import entry_point; entry_point('score')"


@pytest.mark.parametrize("size", [100, 1000])
def test_one_model(benchmark: BenchmarkFixture, tmp_path: Path, size: int) -> None:
    micro = build(synthetic(n_models=400), build_method("random", {"name": "random"}, {"name": "ridge"}), size)
    micro.save(tmp_path / "micro")
    (tmp_path / "new.csv").write_text("item_id,new\n" + "".join(f"{item},{k % 2}\n" for k, item in enumerate(micro.all_item_ids)))
    # Compiled once, as in an installation, although this process may not write bytecode.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    arguments = [f"micro={tmp_path / 'micro'}", f"responses={tmp_path / 'new.csv'}", "source=scores", "format=json"]

    def run() -> str:
        command = [sys.executable, "-c", PROGRAM, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout

    printed = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["budget_seconds"] = 1
    assert json.loads(printed)["models"][0]["answered"] == size
    assert benchmark.stats is not None
    assert benchmark.stats.stats.median <= SLACK
