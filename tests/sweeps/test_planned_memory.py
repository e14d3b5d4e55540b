"""No method uses more memory than planned, with many source models, many items, or many selected items."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from microbench_ray.cli.compose import Composer
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep
from tests.helpers.rotation import share

METHODS = (
    "stratified_confidence",
    "diversity",
    "anchor_points",
    "anchor_points_predictor",
    "tinybenchmarks",
    "tinybenchmarks_gp_irt",
    "disco",
    "fisher_information",
    "embedding_kmeans",
    "greedy",
    "mdad_guided",
    "auto",
    "random_aipw",
    "random_irt_ability",
    "random_ridge_remainder",
)
QUICK = ("stratified_confidence", "anchor_points", "greedy")
SHAPES = ((700, 1000, 10), (50, 2500, 10), (50, 2500, 600))
"""Source models, items, and selected items."""
N_TARGET = 10
SLACK = 3 * 2**20
"""Bytes for the cells' rows, the draws, and other memory that does not grow."""


def board(n_models: int, n_items: int) -> Benchmark:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n_models, 3)) @ rng.normal(size=(3, n_items)) + rng.logistic(size=(n_models, n_items))
    names = [f"i{k}" for k in range(n_items)], [f"m{k}" for k in range(n_models)]
    return Benchmark.from_arrays("board", logits > 0, *names, confidence=1 / (1 + np.exp(-logits)))


def cases() -> Iterator[Any]:
    """Every method with every shape; today, every method with one of them."""
    for place, name in enumerate(METHODS):
        today = share(SHAPES, 3, place)
        for shape in SHAPES:
            when = () if name in QUICK and shape in today else pytest.mark.slow if shape in today else pytest.mark.nightly
            yield pytest.param(name, *shape, marks=when)


@pytest.mark.parametrize(("name", "n_source", "n_items", "size"), list(cases()))
def test_a_shard_uses_no_more_memory_than_planned(name: str, n_source: int, n_items: int, size: int) -> None:
    benchmark, method = board(n_source + N_TARGET, n_items), Composer("sweep", []).method(name)
    grid = Grid(sizes=(size,), n_source=(n_source,), n_target=N_TARGET, runs=1, unseen="none")
    plan = plan_sweep([benchmark], [method], grid, Targets())
    small = board(30, 60)
    with threadpool_limits(1):
        first = plan_sweep([small], [method], Grid(sizes=(5,), n_source=(20,), n_target=N_TARGET, runs=1), Targets())
        evaluate_shard(first.shards[0], small)  # import and compile
        tracemalloc.start()
        try:
            evaluate_shard(plan.shards[0], benchmark)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert plan.worker_bytes / 4 < peak < plan.worker_bytes + SLACK
