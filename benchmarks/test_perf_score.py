"""How long `microbench score` takes for a new model, its start-up included: wall seconds of a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from microbench_ray.data import synthetic
from microbench_ray.methods import build_method
from microbench_ray.micro.build import build

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))
PROGRAM = "from microbench_ray.cli.main import entry_point; entry_point('score')"


@pytest.mark.parametrize("size", [100, 1000])
def test_one_model(benchmark, tmp_path, size):
    made = build(synthetic(n_models=400), build_method("random", {"name": "random"}, {"name": "ridge"}), size)
    made.save(tmp_path / "micro")
    (tmp_path / "new.csv").write_text("item_id,new\n" + "".join(f"{item},{k % 2}\n" for k, item in enumerate(made.asked)))
    # Compiled once, as an installation is: this process may have been told to write none of that.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    given = [f"micro={tmp_path / 'micro'}", f"responses={tmp_path / 'new.csv'}", "source=scores", "format=json"]

    def run():
        command = [sys.executable, "-c", PROGRAM, *given]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout

    said = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    benchmark.extra_info["budget_seconds"] = 1
    assert json.loads(said)["models"][0]["answered"] == size
    assert benchmark.stats.stats.median <= SLACK
