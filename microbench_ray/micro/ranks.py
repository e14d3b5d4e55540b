"""Intervals of the ranks of a benchmark's models, whose items, clusters of items, or repeats are a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.seeding import plan_stream
from microbench_ray.data import Benchmark
from microbench_ray.data.names import first_few
from microbench_ray.data.truth import item_shares, mean_one_weights
from microbench_ray.metrics.rank_sets import Spread, effective_items, item_spread, rank_sets, repeat_spread
from microbench_ray.metrics.run_difference import Reference
from microbench_ray.metrics.variance_components import variance_components

DRAWS = 1000
"""Draws of the largest difference, by default."""


class ModelRank(NamedTuple):
    """The rank of one model; see `metrics.rank_sets.RankSets`. The accuracy is a fraction."""

    model: str
    accuracy: float
    rank: int
    rank_low: int
    rank_high: int
    tie_group: int


def ranks_of(
    benchmark: Benchmark, spread: Spread, *, level: float = 0.95, simultaneous: bool = False, n_draws: int = DRAWS, seed: int = 0
) -> list[ModelRank]:
    """The ranks of models whose accuracies vary so (`spread_of`), the best model first; arguments as for `mb.rank_intervals`."""
    accuracy = benchmark.accuracies()
    rng = plan_stream(seed, benchmark.name, "ranks")
    found = rank_sets(accuracy, spread, level=level, simultaneous=simultaneous, n_draws=n_draws, rng=rng)
    columns = [benchmark.model_ids, accuracy, found.rank, found.low, found.high, found.tie_group]
    rows = [ModelRank(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return sorted(rows, key=lambda row: (row.rank, row.model))


def spread_of(
    benchmark: Benchmark, reference: Reference, cluster: Mapping[str, str] | Literal["subtask"] | None = None
) -> tuple[Spread, str]:
    """How the accuracies vary, and over what; arguments and errors as for `mb.rank_intervals`."""
    parts = None if benchmark.repeats is None else variance_components(benchmark.repeats, mean_one_weights(benchmark))
    runs = np.zeros(benchmark.n_models) if parts is None else parts.runs_used / np.maximum(parts.n_runs, 1)
    shares = item_shares(benchmark, np.arange(benchmark.n_items))
    if reference == "benchmark":
        if parts is None:
            raise DataError(
                "Ranks on these items alone need repeats.",
                where="benchmark",
                got=benchmark.name,
                hint="the reference population, or a benchmark with repeats",
            )
        within = parts.within * parts.per_item / (parts.answered * benchmark.n_items) + runs
        return repeat_spread(within, effective_items(shares, benchmark.n_items)), f"repeats of these {benchmark.n_items:,} items"
    scores = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores / benchmark.units)
    codes = _clusters(benchmark, cluster)
    stratum = benchmark.subtask_codes if benchmark.truth == "macro" else None
    kind = f"{benchmark.n_items:,} items" if codes is None else f"{int(codes.max()) + 1:,} clusters of items"
    return item_spread(scores, codes, runs, shares=shares, stratum=stratum), kind


def _clusters(benchmark: Benchmark, cluster: Mapping[str, str] | str | None) -> NDArray[np.intp] | None:
    """(n_items,) clusters from 0 on; None where items are independent."""
    if cluster is None:
        if benchmark.cluster_codes is None:
            return None
        names: list[Any] = benchmark.cluster_codes.tolist()
    elif isinstance(cluster, str):
        if cluster != "subtask":
            hint = "cluster='subtask', or a mapping from item ids to clusters"
            raise ConfigError("The clusters are unknown.", where="cluster", got=repr(cluster), hint=hint)
        names = benchmark.subtask_codes.tolist()
    else:
        without = [str(item) for item in benchmark.item_ids if item not in cluster]
        if without:
            hint = "give every item a cluster; an item that is independent of the others is a cluster by itself"
            raise DataError("Items have no cluster.", where="cluster", got=f"{len(without)}: {first_few(without)}", hint=hint)
        names = [str(cluster[item]) for item in benchmark.item_ids]
    codes: NDArray[np.intp] = np.unique(np.asarray(names), return_inverse=True)[1]
    if int(codes.max()) == 0 and benchmark.n_items > 1:
        hint = "clusters are smaller groups: passages, repositories, templates"
        raise DataError("All items are in one cluster.", where="cluster", got=str(names[0]), hint=hint)
    return codes
