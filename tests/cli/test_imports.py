"""Commands with an immediate answer, and sweeps in a notebook, do not import libraries that are slow to import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.data import synthetic
from microbench_ray.methods import build_method
from microbench_ray.micro.build import build

ROOT = Path(__file__).parents[2]
HEAVY = {"ray", "pandas", "scipy", "sklearn", "numba", "matplotlib", "rich", "vl_convert"}

COMMANDS = """
import contextlib, io, json, os, sys
from microbench_ray.cli.main import main
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        code = main(command)
    print(json.dumps([code, stdout.getvalue(), sorted(sys.modules)]))
"""

NOTEBOOK = """
import sys
from pathlib import Path
from tests.helpers.small_sweep import columns
import numpy as np
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.driver import SweepJob, run_sweep
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.methods import build_method
from microbench_ray.sweeps.engine.ray_engine import ClusterRayEngine
from microbench_ray.sweeps.engine.resources import Request
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
scores = columns()
ids, subtasks = scores.pop("item_id"), scores.pop("subtask")
benchmark = Benchmark.from_arrays("b", np.stack(list(scores.values())), ids, list(scores), subtasks=subtasks)
random = build_method("random", {"name": "random"}, {"name": "mean"})
grid = Grid(sizes=(5,), n_source=(10,), n_target=10, runs=2)
job = SweepJob((benchmark,), (random,), grid, Targets(), Rules(), SerialEngine(), Path(sys.argv[1]))
outcome = run_sweep(job, job.plan())
assert len(outcome.tables["mdad"]) == 2
assert not {"ray", "hydra", "omegaconf"} & set(sys.modules)
"""

WORKER = """
import sys
import numpy as np
from microbench_ray.data import Benchmark
from microbench_ray.methods import build_method
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep
scores = np.random.default_rng(0).random((30, 40)).round()
benchmark = Benchmark.from_arrays("b", scores, [f"q{k}" for k in range(40)], [f"m{k}" for k in range(30)])
random = build_method("random", {"name": "random"}, {"name": "mean"})
(shard,) = plan_sweep([benchmark], [random], Grid(sizes=(5,), n_source=(10,), n_target=10, runs=2), Targets()).shards
assert len(evaluate_shard(shard, benchmark)["cells"]) == 4
assert not {"pandas", "scipy", "sklearn", "numba", "matplotlib", "rich", "ray", "hydra"} & set(sys.modules)
"""


def run_program(program: str, argument: str, cwd: Path) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        [sys.executable, "-c", program, argument],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env=environment,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


def test_jobs_import_only_what_they_need(board: Path, tmp_path: Path) -> None:
    """In one interpreter: no command may import what it does not need, nor what an earlier one already imported."""
    (tmp_path / "b.csv").write_text("item_id,a,b\nq1,1,0\nq2,0,1\n")
    plan = ["plan", "benchmark=scores", f"benchmark.path={board}", "format=json"]
    page = "microbench_ray.report.page"
    commands: list[tuple[list[str], set[str]]] = [
        (["--help"], HEAVY | {"numpy", "pyarrow", "hydra", "omegaconf"}),
        (["--version"], HEAVY | {"numpy", "pyarrow", "hydra", "omegaconf"}),
        ([*plan, "differences=[.1]"], HEAVY),
        ([*plan, "size=20", "scores=[.7,.5]", "drop=.05", "models=[m00,m01]"], HEAVY),
        (["accept", "out=x", "--cfg"], {"ray", "numba", "pandas", page}),
        (["sweep", "plan_only=true"], {"ray", "numba", "microbench_ray.audit", "microbench_ray.ingest", page}),
        (["ingest", "source=scores", "path=b.csv", "out=b"], {"ray", "numba", "microbench_ray.audit", page}),
    ]
    lines = run_program(COMMANDS, json.dumps([command for command, _ in commands]), tmp_path).splitlines()
    for line, (command, unwanted) in zip(lines, commands, strict=True):
        code, stdout, modules = json.loads(line)
        assert code == 0, command
        assert not unwanted & set(modules), command
        if command[0] == "plan":
            assert json.loads(stdout)["n_models"] == 40


SHORT_COMMANDS: tuple[tuple[list[str], set[str]], ...] = (
    (
        ["score", "micro=micro", "responses=new.csv", "source=scores"],
        {"pandas", "pyarrow.compute", "pyarrow.parquet", "numpy.ma", "importlib.metadata._adapters"},
    ),
    (["ingest", "source=scores", "path=new.csv", "out=board"], set()),
    (
        ["plan", "benchmark=scores", "benchmark.path=board.parquet", "size=10", "differences=[.2]"],
        {"pandas", "pyarrow.compute", "importlib.metadata._adapters"},
    ),
)


@pytest.mark.parametrize(("command", "unwanted"), SHORT_COMMANDS)
def test_short_commands_do_without_hydra(tmp_path: Path, command: list[str], unwanted: set[str]) -> None:
    """The imports of Hydra take longer than either command."""
    micro = build(synthetic(n_models=30, n_items=60), build_method("random", {"name": "random"}, {"name": "mean"}), 10)
    micro.save(tmp_path / "micro")
    board = {"item_id": [f"q{k}" for k in range(30)], "a": [k % 2 for k in range(30)], "b": [k % 3 % 2 for k in range(30)]}
    pq.write_table(pa.table(board), tmp_path / "board.parquet")
    (tmp_path / "new.csv").write_text("item_id,a\n" + "".join(f"{item},1\n" for item in micro.all_item_ids))
    code, stdout, modules = json.loads(run_program(COMMANDS, json.dumps([command]), tmp_path))
    assert (code, bool(stdout)) == (0, True)
    assert not {"hydra", "omegaconf", "ray", "scipy", "numba", "microbench_ray.sweeps", *unwanted} & set(modules)


@pytest.mark.slow
def test_a_sweep_in_a_notebook_needs_neither_hydra_nor_ray(tmp_path: Path) -> None:
    run_program(NOTEBOOK, str(tmp_path / "out"), tmp_path)


def test_public_names_are_imported_on_first_use() -> None:
    import microbench_ray

    assert set(microbench_ray.__all__) <= set(dir(microbench_ray))
    assert all(getattr(microbench_ray, name).__name__ == name for name in microbench_ray.__all__)
    with pytest.raises(AttributeError, match="mdat"):
        _ = microbench_ray.mdat


def test_a_worker_imports_only_what_its_methods_need(tmp_path: Path) -> None:
    run_program(WORKER, "", tmp_path)
