"""A night's audit, measured: 405 models, 12,000 items, 14 subtasks, three lists; CPU seconds of one core."""

from __future__ import annotations

import time

import numpy as np
import pytest

from microbench_ray.audit.changes import changes, snapshot
from microbench_ray.audit.drift import drift
from microbench_ray.audit.items import item_statistics
from microbench_ray.audit.profile import profile, profiles
from microbench_ray.audit.ranks import leaderboard
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods.selectors.fixed import Fixed

cpu_time = pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=True)


@pytest.fixture(scope="module")
def nights() -> tuple[Benchmark, Benchmark, dict[str, Fixed]]:
    tonight = synthetic(n_models=405, n_items=12_000, n_subtasks=14)
    right, names = tonight.scores, tonight.model_ids
    subtasks = [tonight.subtask_names[code] for code in tonight.subtask_codes]
    before, now = (Benchmark.from_arrays("b", right[:n], tonight.item_ids, names[:n], subtasks=subtasks) for n in (400, 405))
    rng = np.random.default_rng(0)
    return before, now, {f"l{n}": Fixed(items=tuple(rng.choice(now.item_ids, n, replace=False))) for n in (100, 250, 1000)}


@cpu_time
def test_a_night_of_drift_rules(benchmark, nights):
    before, now, lists = nights
    benchmark.extra_info["budget_seconds"] = 5

    def audit():
        return drift(*profiles(before, now, lists), list(now.model_ids[400:]), night="n")

    rows = benchmark.pedantic(audit, rounds=3, iterations=1, warmup_rounds=1)
    assert rows.num_rows > 150
    assert benchmark.stats.stats.median < 5


@cpu_time
def test_everything_else_of_a_night(benchmark, nights):
    before, now, lists = nights
    benchmark.extra_info["budget_seconds"] = 5

    def audit():
        tonight = profile(now, lists)
        for label in lists:
            leaderboard(tonight, label, 0.05, top_k=10, rng=np.random.default_rng(0))
        return item_statistics(now), changes(snapshot(before), snapshot(now), (before, now))

    statistics, changed = benchmark.pedantic(audit, rounds=3, iterations=1, warmup_rounds=1)
    assert statistics.num_rows == 12_000
    assert changed.num_rows == 5
    assert benchmark.stats.stats.median < 5
