"""Start-up time of commands: wall seconds of a new process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))
ROUNDS = int(os.environ.get("MICROBENCH_PERF_ROUNDS", "5"))
PROGRAM = "from microbench_ray.cli.main import entry_point; entry_point()"


@pytest.mark.parametrize(
    ("arguments", "budget"),
    [(["--help"], 0.3), (["sweep", "--cfg"], 2.5), (["sweep", "plan_only=true"], 4.0)],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_start_of_a_command(benchmark, tmp_path, arguments, budget):
    benchmark.extra_info["budget_seconds"] = budget

    def run():
        return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, cwd=tmp_path, check=True)

    assert benchmark.pedantic(run, rounds=ROUNDS, iterations=1, warmup_rounds=1).stdout
    assert benchmark.stats.stats.median <= budget * SLACK
