"""Small leaderboards, and the shards and rows of sweeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.core.schemas import GROUP_KEY, SCHEMAS
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, build_method
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import Shard, plan_sweep

GRID = Grid(sizes=(3, 8), n_source=(12,), n_target=7, runs=3)


def method(name: str, estimator: str = "mean", label: str | None = None, signal: str = "correctness", **parameters: Any) -> Method:
    return build_method(label or name, {"name": name, **parameters}, {"name": estimator, "signal": signal})


def leaderboard(
    name: str = "b", *, n_models: int = 30, n_items: int = 40, confidence: bool = True, gaps: bool = False, units: int = 1
) -> Benchmark:
    rng = np.random.default_rng(len(name))
    latent = rng.normal(size=(n_models, 1)) + rng.normal(size=(n_models, n_items))
    scores = np.clip(np.rint((latent / 2 + 0.5) * units), 0, units) / units
    if gaps:
        scores[rng.random(scores.shape) < 0.08] = np.nan
    return Benchmark.from_arrays(
        name,
        scores,
        [f"q{k}" for k in range(n_items)],
        [f"m{k:02d}" for k in range(n_models)],
        subtasks=[f"s{min(k // 9, 3)}" for k in range(n_items)],
        confidence=1 / (1 + np.exp(-latent)) if confidence else None,
        max_missing=0.5,
    )


def shards_of(methods: Iterable[str | Method], benchmarks: Iterable[Benchmark], grid: Grid = GRID, **options: Any) -> list[Shard]:
    built = [each if isinstance(each, Method) else method(each) for each in methods]
    return list(plan_sweep(list(benchmarks), built, grid, options.pop("targets", Targets()), **options).shards)


def tables_of(
    methods: Iterable[str | Method], benchmarks: Sequence[Benchmark], grid: Grid = GRID, name: str = "cells", **options: Any
) -> pa.Table:
    """The rows of a sweep's table, sorted by key."""
    by_name = {benchmark.name: benchmark for benchmark in benchmarks}
    tables = [evaluate_shard(shard, by_name[shard.benchmark])[name] for shard in shards_of(methods, benchmarks, grid, **options)]
    order = [column for column in SCHEMAS[name].names if column in {*GROUP_KEY, "run", "split", "resample"}]
    return pa.concat_tables(tables).combine_chunks().sort_by([(column, "ascending") for column in order])
