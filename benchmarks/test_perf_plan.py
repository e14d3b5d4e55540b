"""How long `microbench plan` thinks at MMLU-Pro's size, from a table of scores on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from microbench_ray.cli.settings.benchmark import ScoresConf
from microbench_ray.micro.plan_job import PlanJob, answers
from microbench_ray.micro.sample_size import Rule

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))


@pytest.fixture(scope="module")
def mmlu_pro(test_data, tmp_path_factory):
    """A drawn table of 447 models and 12,032 items."""
    folder = tmp_path_factory.mktemp("drawn")
    subprocess.run([sys.executable, test_data / "make_leaderboard.py", "mmlu_pro", folder], check=True)
    return folder / "mmlu_pro.parquet"


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
def test_all_answers_from_a_table_of_scores(benchmark, mmlu_pro):
    table = ScoresConf(path=str(mmlu_pro), confidence=None)
    question = PlanJob(table, (0.01, 0.02, 0.05), None, 100, (), (0.62, 0.58), 0.02, Rule(), True)
    made = benchmark.pedantic(answers, args=(question,), rounds=3)
    benchmark.extra_info["budget_seconds"] = 2
    assert (made["n_models"], made["n_items"]) == (447, 12032)
    assert benchmark.stats.stats.median <= SLACK * 2


def test_the_whole_command(benchmark, mmlu_pro):
    program = "from microbench_ray.cli.main import entry_point; entry_point('plan')"
    command = [sys.executable, "-c", program, "benchmark=scores", f"benchmark.path={mmlu_pro}", "differences=[.02]", "format=json"]

    def run():
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    said = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    benchmark.extra_info["budget_seconds"] = 2
    assert json.loads(said)["items"][0]["size"] > 100
    assert benchmark.stats.stats.median <= SLACK * 2
