"""Budgets of reading a folder of responses as a benchmark: CPU seconds of one core."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmarks import board
from microbench_ray.data import item_versions, read_ingested

SLACK = float(os.environ.get("MICROBENCH_PERF_SLACK", "1"))
ROUNDS = int(os.environ.get("MICROBENCH_PERF_ROUNDS", "5"))
MODELS, ITEMS = 100 if ROUNDS == 1 else 400, 12_000
SHARE = MODELS / 400
"""With one round, as in .ci/run, a quarter of the models and of the budgets."""
BUDGET = {"same-items": 3.0 * SHARE, "different-items": 10.0 * SHARE}


@pytest.fixture(scope="module", params=sorted(BUDGET))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    board.write_board(place, MODELS, ITEMS, apart=request.param == "different-items")
    return place


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
def test_reading_ingested_responses(benchmark, folder, request):
    budget = BUDGET[request.node.callspec.params["folder"]]
    benchmark.extra_info["budget_seconds"] = budget
    board_read = benchmark.pedantic(read_ingested, (folder,), rounds=min(2, ROUNDS))
    assert (board_read.n_models, board_read.n_items, board_read.confidence is not None) == (MODELS, ITEMS, True)
    assert benchmark.stats.stats.median <= budget * SLACK


@pytest.mark.benchmark(timer=time.process_time, min_rounds=1, warmup=False)
def test_listing_the_versions_of_items(benchmark, folder):
    benchmark.extra_info["budget_seconds"] = 5 * SHARE
    assert len(benchmark.pedantic(item_versions, (folder,), rounds=1)) == ITEMS
    assert benchmark.stats.stats.median <= 5 * SHARE * SLACK
