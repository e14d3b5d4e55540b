"""Budgets of reading logs: MB per CPU second of one core, and memory that does not grow with the number of logs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import ingest

LINES, MB_PER_SECOND, MEMORY_MB, GROWTH_MB = 12_000, 20, 1000, 10
SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
@pytest.mark.parametrize("hashed", [True, False], ids=["hashes", "older-without-hashes"])
def test_reading_a_log(benchmark, tmp_path, hashed):
    size = ingest.write_log(tmp_path, "org/m", LINES, hashed=hashed).stat().st_size
    budget = size / 1e6 / MB_PER_SECOND
    benchmark.extra_info["budget_seconds"] = round(budget, 2)
    assert benchmark(ingest.read_log, tmp_path) == LINES
    assert benchmark.stats.stats.median <= budget * SLACK


@pytest.mark.parametrize("more", [[], ["--driver"]], ids=["reader", "whole-ingest"])
def test_memory_is_flat_from_the_fifth_log_on(benchmark, more):
    def run() -> list[float]:
        command = [sys.executable, Path(ingest.__file__), "--logs", "10", "--lines", "3000", *more]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [float(row.split()[5]) for row in printed.splitlines()[1:]]

    uss = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info |= {"uss_mb": uss[-1], "budget_mb": MEMORY_MB}
    assert len(uss) == 10
    assert max(uss) < MEMORY_MB
    assert uss[-1] - uss[4] < GROWTH_MB
