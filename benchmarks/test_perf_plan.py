"""Time of `microbench plan` at MMLU-Pro's size, from a table of scores on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from microbench_ray.cli.settings.benchmark import ScoresConf
from microbench_ray.micro.plan_job import PlanJob, run_plan
from microbench_ray.micro.sample_size import Criterion

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))
ROUNDS = int(os.environ.get("MICROBENCH_PERF_ROUNDS", "5"))


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
def test_all_answers_from_a_table_of_scores(benchmark: BenchmarkFixture, drawn: Path) -> None:
    table = ScoresConf(path=str(drawn), confidence=None)
    job = PlanJob(
        benchmark=table,
        differences=(0.01, 0.02, 0.05),
        results=None,
        size=100,
        models=(),
        scores=(0.62, 0.58),
        drop=0.02,
        criterion=Criterion(),
        format="json",
    )
    answers = benchmark.pedantic(run_plan, args=(job,), rounds=min(3, ROUNDS))
    benchmark.extra_info["budget_seconds"] = 2
    assert (answers["n_models"], answers["n_items"]) == (447, 12032)
    assert benchmark.stats is not None
    assert benchmark.stats.stats.median <= SLACK * 2


def test_the_whole_command(benchmark: BenchmarkFixture, drawn: Path) -> None:
    program = "from microbench_ray.cli.main import entry_point; entry_point('plan')"
    command = [sys.executable, "-c", program, "benchmark=scores", f"benchmark.path={drawn}", "differences=[.02]", "format=json"]

    def run() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    printed = benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["budget_seconds"] = 2
    assert json.loads(printed)["items"][0]["size"] > 100
    assert benchmark.stats is not None
    assert benchmark.stats.stats.median <= SLACK * 2
