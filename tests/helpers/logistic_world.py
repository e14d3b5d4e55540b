"""Responses of models of normal ability to items of normal difficulty."""

from __future__ import annotations

import numpy as np

from microbench_ray.methods.base import SeenItems


def world(n_models: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ability = rng.normal(0, 1, (n_models, 1))
    return (rng.random((n_models, n_items)) < 1 / (1 + np.exp(rng.normal(0, 1, n_items) - ability))).astype(np.float32)


def seen_items(responses: np.ndarray) -> SeenItems:
    n_items = responses.shape[1]
    return SeenItems(np.array([f"q{k}" for k in range(n_items)], object), np.zeros(n_items, np.int32), responses)
