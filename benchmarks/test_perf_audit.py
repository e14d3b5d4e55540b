"""CPU seconds of a night's audit: 405 models, 12,000 items, 14 subtasks, three lists."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.audit.changes import compare_snapshots, take_snapshot
from microbench_ray.audit.drift import detect_drift
from microbench_ray.audit.items import item_statistics
from microbench_ray.audit.profile import profile, profiles
from microbench_ray.audit.ranks import leaderboard
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods.selectors.fixed import Fixed

ROUNDS = int(os.environ.get("MICROBENCH_PERF_ROUNDS", "5"))
Nights = tuple[Benchmark, Benchmark, dict[str, Fixed]]

cpu_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=True)


@pytest.fixture(scope="module")
def nights() -> Nights:
    tonight = synthetic(n_models=405, n_items=12_000, n_subtasks=14)
    items, models = tonight.item_ids.tolist(), tonight.model_ids.tolist()
    subtasks = [tonight.subtask_names[code] for code in tonight.subtask_codes]
    before, now = (Benchmark.from_arrays("b", tonight.scores[:n], items, models[:n], subtasks=subtasks) for n in (400, 405))
    rng = np.random.default_rng(0)
    return before, now, {f"l{n}": Fixed(items=tuple(rng.choice(now.item_ids, n, replace=False))) for n in (100, 250, 1000)}


@cpu_time
def test_drift_of_a_night(benchmark: Any, nights: Nights) -> None:
    before, now, lists = nights
    benchmark.extra_info["budget_seconds"] = 5

    def audit() -> pa.Table:
        return detect_drift(*profiles(before, now, lists), list(now.model_ids[400:]), night="n")

    rows = benchmark.pedantic(audit, rounds=min(3, ROUNDS), iterations=1, warmup_rounds=1)
    assert rows.num_rows > 150
    assert benchmark.stats.stats.median < 5


@cpu_time
def test_ranks_items_and_changes_of_a_night(benchmark: Any, nights: Nights) -> None:
    before, now, lists = nights
    benchmark.extra_info["budget_seconds"] = 5

    def audit() -> tuple[pa.Table, pa.Table]:
        tonight = profile(now, lists)
        for label in lists:
            leaderboard(tonight, label, 0.05, top_k=10, rng=np.random.default_rng(0))
        return item_statistics(now), compare_snapshots(take_snapshot(before), take_snapshot(now), (before, now))

    statistics, changed = benchmark.pedantic(audit, rounds=min(3, ROUNDS), iterations=1, warmup_rounds=1)
    assert statistics.num_rows == 12_000
    assert changed.num_rows == 5
    assert benchmark.stats.stats.median < 5
