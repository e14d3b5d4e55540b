"""A small synthetic leaderboard with two audited lists, for tests of the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from microbench_ray.data import Benchmark
from microbench_ray.methods.selectors.fixed import Fixed

SUBTASKS = ("algebra", "biology", "chemistry")
N_ITEMS = 240


def responses(n_models: int, seed: int = 0, n_items: int = N_ITEMS) -> np.ndarray:
    """(n_models, n_items) 0 or 1, of models of different ability on items of different difficulty."""
    rng = np.random.default_rng(seed)
    ability, difficulty = rng.normal(0, 1, (n_models, 1)), np.random.default_rng(99).normal(0, 1, n_items)
    return (ability - difficulty + rng.logistic(size=(n_models, n_items)) > 0).astype(np.uint8)


def items(n_items: int = N_ITEMS) -> list[str]:
    return [f"q{k:04d}" for k in range(n_items)]


def subtasks(n_items: int = N_ITEMS) -> list[str]:
    return [SUBTASKS[k * len(SUBTASKS) // n_items] for k in range(n_items)]


def board(right: np.ndarray, models: Sequence[str] | None = None, name: str = "small", **more: Any) -> Benchmark:
    names = [f"m{k:03d}" for k in range(len(right))] if models is None else models
    n_items = right.shape[1]
    return Benchmark.from_arrays(name, right, items(n_items), list(names), subtasks=subtasks(n_items), **more)


def lists(n_items: int = N_ITEMS) -> dict[str, Fixed]:
    every = items(n_items)
    return {
        "even": Fixed(items=every[::6]),
        "weighted": Fixed(items=every[::10], weights=[1 + k % 3 for k in range(len(every[::10]))]),
    }
