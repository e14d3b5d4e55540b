"""Benchmarks, their readers, and groups of their models."""

from collections.abc import Callable

from microbench_ray.data.benchmark import Benchmark
from microbench_ray.data.ingested import read_ingested
from microbench_ray.data.ingested_items import item_positions, item_versions
from microbench_ray.data.model_groups import best_models, match_models
from microbench_ray.data.release import read_release
from microbench_ray.data.score_grid import missing_value
from microbench_ray.data.scores import read_scores
from microbench_ray.data.suite import suite
from microbench_ray.data.synthetic import synthetic

READERS: dict[str, Callable[..., Benchmark]] = {
    "scores": read_scores,
    "ingested": read_ingested,
    "release": read_release,
    "synthetic": synthetic,
    "suite": suite,
}
"""Readers by their name in configurations."""

__all__ = [
    "READERS",
    "Benchmark",
    "best_models",
    "item_positions",
    "item_versions",
    "match_models",
    "missing_value",
    "read_ingested",
    "read_release",
    "read_scores",
    "suite",
    "synthetic",
]
