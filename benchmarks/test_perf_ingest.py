"""Budgets of reading logs: MB per CPU second of one core, and memory that does not grow with the number of logs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import formats, ingest
from microbench_ray.ingest.run import IngestJob, run_ingest

LINES, MB_PER_SECOND, MEMORY_MB, GROWTH_MB = 12_000, 20, 1000, 10
FORMATS = {
    "table (long, csv)": (50, 4_000, 20.0),
    "table (wide, csv)": (100, 10_000, 3.0),
    "table (a file a model)": (10, 10_000, 13.0),
    "evalplus": (4, 5_000, 18.0),
    "livecodebench": (4, 5_000, 16.0),
    "promptfoo": (4, 5_000, 13.0),
    "tau2_bench": (4, 5_000, 13.0),
    "vlmevalkit": (4, 5_000, 9.0),
}
"""Models and items of the shortest records of a format, and the MB per CPU second that a busy machine reaches."""
SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
@pytest.mark.parametrize("hashed", [True, False], ids=["hashes", "older-without-hashes"])
def test_reading_a_log(benchmark, tmp_path, hashed):
    size = ingest.write_log(tmp_path, "org/m", LINES, hashed=hashed).stat().st_size
    budget = size / 1e6 / MB_PER_SECOND
    benchmark.extra_info["budget_seconds"] = round(budget, 2)
    assert benchmark(ingest.read_log, tmp_path) == LINES
    assert benchmark.stats.stats.median <= budget * SLACK


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", FORMATS)
def test_short_records(benchmark, tmp_path, name):
    models, items, speed = FORMATS[name]
    source, size = formats.write_logs(name, tmp_path / "logs", models, items)
    outs = iter(range(9))

    def job() -> tuple[tuple[IngestJob], dict[str, object]]:
        for file in (tmp_path / "logs").rglob("*"):
            os.utime(file)  # as if written now: nothing is remembered of it
        return (IngestJob(source, str(tmp_path / "logs"), tmp_path / f"out{next(outs)}"),), {}

    summary = benchmark.pedantic(run_ingest, setup=job, rounds=3, warmup_rounds=1)
    budget = size / 1e6 / speed
    benchmark.extra_info["budget_seconds"] = round(budget, 2)
    assert len(summary.added) == models
    assert benchmark.stats.stats.min <= budget * SLACK


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
