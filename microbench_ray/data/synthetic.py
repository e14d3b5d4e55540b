"""A synthetic leaderboard for demonstrations and tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.data.benchmark import Benchmark

FAMILIES = ("aurora", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")
SIZES = (0.5, 1.0, 1.5, 3.0, 4.0, 7.0, 8.0, 9.0, 12.0, 14.0, 27.0, 32.0, 70.0)
"""Numbers of parameters in 10**9."""
CHANCE = 0.2
"""Probability of a lucky guess, somewhat below that with four choices."""


def synthetic(name: str = "synthetic", n_models: int = 200, n_items: int = 2000, n_subtasks: int = 12, seed: int = 0) -> Benchmark:
    """Draw a leaderboard from a two-parameter logistic model with guessing.

    The leaderboard is for demonstrations and tests; it permits no conclusions about real models or benchmarks.

    A model's ability is the sum of terms for its family, the logarithm of its parameters, instruction tuning and the model itself;
    it deviates slightly on every subtask. For an item with discrimination a (lognormal) and difficulty b (normal, around the mean
    of its subtask), a model of ability t has z = a (t - b) + logistic noise. It answers correctly if z > 0, or else by a lucky
    guess. Its confidence in the correct answer is sigmoid(slope z + offset); slope and offset, and thus calibration, differ
    between models.

    Parameters
    ----------
    name
        Name of the benchmark.
    n_models, n_items, n_subtasks
        Numbers of models, items and subtasks; the largest subtask is about six times as large as the smallest.
    seed
        Seed of the numpy Generator.

    Returns
    -------
    Benchmark
        Scores of 0 and 1 (units 1), with confidences and the metadata family, params, instruct and release_date.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> mb.synthetic(n_models=20, n_items=100)
    Benchmark('synthetic', 20 models x 100 items, units=1)
    """
    rng = np.random.default_rng(seed)
    metadata, ability = _draw_models(rng, n_models)
    n_subtasks = min(n_subtasks, n_items)
    subtask = np.repeat(np.arange(n_subtasks), _subtask_sizes(n_items, n_subtasks))

    deviation = rng.normal(0, 0.35, (n_models, n_subtasks))
    discrimination = rng.lognormal(-0.15, 0.4, n_items).astype(np.float32)
    difficulty = (rng.normal(0.1, 0.5, n_subtasks)[subtask] + rng.normal(0, 1.3, n_items)).astype(np.float32)
    latent = (ability[:, None] + deviation).astype(np.float32)[:, subtask]
    latent -= difficulty
    latent *= discrimination
    uniform = rng.random((n_models, n_items), dtype=np.float32)
    np.clip(uniform, 1e-7, 1 - 1e-7, out=uniform)
    latent += np.log(uniform / (1 - uniform))
    lucky = rng.random((n_models, n_items), dtype=np.float32) < CHANCE
    correct = (latent > 0) | lucky

    latent[lucky & (latent < 0)] *= -0.3  # a lucky guess has a low confidence
    slope = rng.lognormal(-0.7, 0.25, n_models).astype(np.float32)
    offset = rng.normal(0, 0.2, n_models).astype(np.float32)
    confidence = 1 / (1 + np.exp(-(slope[:, None] * latent + offset[:, None])))

    width = len(str(max(n_subtasks - 1, 10)))
    subtasks = [f"subtask_{s:0{width}d}" for s in subtask]
    starts = np.flatnonzero(np.r_[True, subtask[1:] != subtask[:-1]])
    item_ids = [f"{label}/{k - starts[s]:04d}" for k, (label, s) in enumerate(zip(subtasks, subtask, strict=True))]
    model_ids = metadata.column("model_id").to_pylist()
    return Benchmark.from_arrays(name, correct, item_ids, model_ids, subtasks=subtasks, confidence=confidence, metadata=metadata)


def _draw_models(rng: np.random.Generator, n_models: int) -> tuple[pa.Table, NDArray[np.float64]]:
    """Draw metadata of models with unique ids, and their abilities, (n_models,), on the scale of the items' difficulty."""
    family_ability = rng.normal(0, 0.35, len(FAMILIES))
    rows: list[dict[str, Any]] = []
    abilities: list[float] = []
    versions: dict[str, int] = {}
    for _ in range(n_models):
        family, size = int(rng.integers(len(FAMILIES))), float(rng.choice(SIZES))
        instruct = bool(rng.random() < 0.6)
        month = int(rng.integers(36))
        base = f"{FAMILIES[family]}-{size:g}b" + ("-instruct" if instruct else "")
        versions[base] = versions.get(base, 0) + 1
        ability = family_ability[family] + 0.45 * np.log2(size / 7) + 0.25 * instruct + 0.015 * (month - 18)
        rows.append(
            {
                "model_id": base if versions[base] == 1 else f"{base}-v{versions[base]}",
                "family": FAMILIES[family],
                "params": size * 1e9,
                "instruct": instruct,
                "release_date": datetime(2023 + month // 12, month % 12 + 1, 1),
            }
        )
        abilities.append(ability + rng.normal(0, 0.45))
    return pa.Table.from_pylist(rows), np.array(abilities)


def _subtask_sizes(n_items: int, n_subtasks: int) -> NDArray[np.int64]:
    """Sizes in a geometric progression with ratio 6 from first to last, at least 1 each, which sum to n_items."""
    shares = np.geomspace(1, 6, n_subtasks)
    edges = np.rint(np.cumsum(shares) / shares.sum() * (n_items - n_subtasks)).astype(np.int64)
    sizes: NDArray[np.int64] = np.diff(edges, prepend=0) + 1
    return sizes
