"""The ranks that a leaderboard's own items leave open: they are a sample of all such items."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from microbench_ray.data import Benchmark
from microbench_ray.data.truth import item_shares
from microbench_ray.metrics.rank_sets import item_spread, rank_sets
from microbench_ray.sweeps.tables import rows_table

MAX_MODELS = 1000
"""Models up to which ranks are computed: the work goes with their square."""
DRAWS, LEVEL = 1000, 0.95


def board_ranks(benchmark: Benchmark, rng: np.random.Generator) -> pa.Table:
    """Intervals of the models' ranks on all items like the benchmark's, as `mb.rank_intervals` gives them, each by itself.

    Models are ranked by the number of the benchmark (`truth`), and its clusters of items are taken as drawn.

    Parameters
    ----------
    benchmark
        The leaderboard.
    rng
        Draws the largest difference (`seeding.rank_stream`).

    Returns
    -------
    pyarrow.Table
        Schema `board_ranks`, sorted by rank and then by name, without models that answered nothing; empty above `MAX_MODELS`,
        and where all items are in one cluster.
    """
    accuracy = benchmark.accuracies()
    (known,) = np.nonzero(~np.isnan(accuracy))
    clusters = benchmark.cluster_codes
    one_cluster = clusters is not None and int(clusters.max()) == 0  # which says nothing about others
    if one_cluster or not 2 <= known.size <= MAX_MODELS:
        return rows_table("board_ranks", [])
    scores = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores / benchmark.units)[known]
    accuracy, shares = accuracy[known], item_shares(benchmark, np.arange(benchmark.n_items))
    stratum = benchmark.subtask_codes if benchmark.truth == "macro" else None
    spread = item_spread(scores, clusters, np.zeros(known.size), shares=shares, stratum=stratum)
    found = rank_sets(accuracy, spread, level=LEVEL, simultaneous=False, n_draws=DRAWS, rng=rng)
    models = [str(name) for name in benchmark.model_ids[known]]
    order = sorted(range(known.size), key=lambda k: (found.rank[k], models[k]))
    rows = [
        {
            "model": models[k],
            "accuracy": float(accuracy[k]),
            "rank": int(found.rank[k]),
            "rank_lo": int(found.low[k]),
            "rank_hi": int(found.high[k]),
            "tie_group": int(found.tie_group[k]),
        }
        for k in order
    ]
    return rows_table("board_ranks", rows)
