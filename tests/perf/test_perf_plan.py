"""How long `microbench plan` thinks at MMLU-Pro's size, from a table of scores on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from microbench_ray.answers import Rule
from microbench_ray.benchmark_settings import ScoresConf
from microbench_ray.planning import Question, answers

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
def test_all_answers_from_a_table_of_scores(benchmark, test_data, tmp_path):
    subprocess.run([sys.executable, test_data / "make_leaderboard.py", "mmlu_pro", tmp_path], check=True)
    table = ScoresConf(path=str(tmp_path / "mmlu_pro.parquet"), confidence=None)
    question = Question(table, (0.01, 0.02, 0.05), None, 100, (), (0.62, 0.58), 0.02, Rule(), True)
    made = benchmark.pedantic(answers, args=(question,), rounds=3)
    benchmark.extra_info["budget_seconds"] = 2
    assert (made["n_models"], made["n_items"]) == (447, 12032)
    assert benchmark.stats.stats.median <= SLACK * 2
