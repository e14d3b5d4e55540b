"""A drawn benchmark of 300 models, and micro-benchmarks built on the first 200 of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import Method, build_method
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.build import build
from microbench_ray.micro.score import ScoreInterval

N_KNOWN, N_ITEMS, SIZE = 200, 400, 40
Micros = dict[str, MicroBenchmark]
NEW = slice(N_KNOWN, None)


def new_models(whole: Benchmark) -> list[str]:
    return [str(name) for name in whole.model_ids[NEW]]


def ends(interval: ScoreInterval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def width(interval: ScoreInterval | None) -> float:
    low, high = ends(interval)
    return high - low


def method(selector: str = "random", estimator: str = "mean", **parameters: object) -> Method:
    return build_method(f"{selector}+{estimator}", {"name": selector, **parameters}, {"name": estimator})


def first_models(benchmark: Benchmark, n: int) -> Benchmark:
    return Benchmark(benchmark.name, benchmark.models.take(pa.array(range(n))), benchmark.items, benchmark.units)


def accuracies(benchmark: Benchmark) -> np.ndarray:
    return np.asarray((benchmark.scores / benchmark.units).mean(axis=1))


def responses_to(item_ids: list[str], benchmark: Benchmark, models: slice | list[int]) -> np.ndarray:
    """(n_models, n_items) responses of some models to these items."""
    column_of = {str(name): column for column, name in enumerate(benchmark.item_ids)}
    return np.asarray((benchmark.scores[models] / benchmark.units)[:, [column_of[name] for name in item_ids]])


@pytest.fixture(scope="session")
def whole() -> Benchmark:
    return synthetic(n_models=300, n_items=N_ITEMS)


@pytest.fixture(scope="session")
def known(whole: Benchmark) -> Benchmark:
    return first_models(whole, N_KNOWN)


@pytest.fixture(scope="session")
def micros(known: Benchmark) -> dict[str, MicroBenchmark]:
    """Random items read by their mean (`mean`) or by ridge regression (`ridge`), and chosen items read by ridge (`greedy`)."""
    kinds = {"mean": ("random", "mean"), "ridge": ("random", "ridge"), "greedy": ("greedy", "ridge")}
    return {name: build(known, method(selector, estimator), SIZE) for name, (selector, estimator) in kinds.items()}
