"""Rank intervals of the models of a benchmark, whose items are a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.core.seeding import plan_stream
from microbench_ray.data import Benchmark
from microbench_ray.data.names import first_few
from microbench_ray.data.truth import item_shares, mean_one_weights
from microbench_ray.metrics.rank_sets import Spread, effective_items, item_spread, rank_sets, repeat_spread
from microbench_ray.metrics.run_difference import REFERENCES, Reference
from microbench_ray.metrics.variance_components import variance_components

if TYPE_CHECKING:
    from microbench_ray.api.answers import RankIntervals


def rank_intervals(
    benchmark: Benchmark,
    *,
    level: float = 0.95,
    simultaneous: bool = False,
    cluster: Mapping[str, str] | Literal["subtask"] | None = None,
    reference: Reference = "population",
    n_draws: int = 1000,
    seed: int = 0,
) -> RankIntervals:
    """Intervals of the models' ranks: the items of a benchmark are a sample, and so are repeats of their answers.

    Models are ranked by the number of the benchmark (`Benchmark.truth`). Where it is the mean over subtasks, the items of each
    subtask are a sample; where items have weights, these are drawn with them.

    Parameters
    ----------
    benchmark
        The benchmark.
    level
        Probability, in (0, 1), with which an interval holds.
    simultaneous
        Whether the intervals of all models hold together with this probability, not each by itself.
    cluster
        By item id, items that are not independent of one another (of one passage, repository, template); or `subtask`. By default
        those of the benchmark.
    reference
        `population`: ranks on all items like these; `benchmark`: on these items, over further repeats, which must have been
        kept.
    n_draws, seed
        Draws of the largest difference, and their seed.

    Returns
    -------
    pandas.DataFrame
        One row per model, the best first: `model`, `accuracy` (a fraction), `rank`, `rank_low`, `rank_high`, and `tie_group`,
        from 1: a group is its best model and all below it that are not worse beyond chance.

    Raises
    ------
    ConfigError
        A level outside (0, 1), an unknown reference, or draws below 100.
    DataError
        Items without a cluster, a single cluster, or for the reference `benchmark` no repeats.

    Notes
    -----
    Mogstad, Romano, Shaikh and Wilhelm (2024), "Inference for ranks with applications to mobility across neighbourhoods and
    academic achievement across countries", Review of Economic Studies 91, with Gaussian multipliers of items or clusters. Effects
    of runs on all items are added where they are found in the repeats. The shares of bootstrap ranks are narrower, and hold too
    rarely where models are close (`studies.rank_interval_coverage`).

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=20, n_items=400)
    >>> ranks = mb.rank_intervals(board)
    >>> bool((ranks["rank_low"] <= ranks["rank"]).all() and (ranks["rank"] <= ranks["rank_high"]).all())
    True
    """
    import pandas as pd

    from microbench_ray.api.answers import RankIntervals

    check_benchmark(benchmark)
    if not 0 < level < 1:
        hint = fraction_hint("level", level, "0.95")
        raise ConfigError("The level must be between 0 and 1.", where="level", got=repr(level), hint=hint)
    if reference not in REFERENCES:
        raise ConfigError("The reference is unknown.", where="reference", got=repr(reference), hint=" or ".join(REFERENCES))
    n_draws = whole_number("n_draws", n_draws, 100)
    spread, kind = _spread(benchmark, cluster, reference)
    accuracy = benchmark.accuracies()
    rng = plan_stream(whole_number("seed", seed, 0), benchmark.name, "ranks")
    found = rank_sets(accuracy, spread, level=level, simultaneous=simultaneous, n_draws=n_draws, rng=rng)
    frame = pd.DataFrame(
        {
            "model": benchmark.model_ids,
            "accuracy": accuracy,
            "rank": found.rank,
            "rank_low": found.low,
            "rank_high": found.high,
            "tie_group": found.tie_group,
        }
    ).sort_values(["rank", "model"], ignore_index=True)
    together = "all together" if simultaneous else "each by itself"
    about = f"Ranks of {benchmark.n_models:,} models with {level:.0%} intervals, {together}, over {kind}"
    result: RankIntervals = RankIntervals.of(frame, about)
    return result


def _spread(
    benchmark: Benchmark, cluster: Mapping[str, str] | Literal["subtask"] | None, reference: Reference
) -> tuple[Spread, str]:
    """How the accuracies vary, and over what."""
    parts = None if benchmark.repeats is None else variance_components(benchmark.repeats, mean_one_weights(benchmark))
    runs = np.zeros(benchmark.n_models) if parts is None else parts.runs_used / np.maximum(parts.n_runs, 1)
    shares = item_shares(benchmark, np.arange(benchmark.n_items))
    if reference == "benchmark":
        if parts is None:
            raise DataError(
                "Ranks on these items alone need repeats.",
                where="benchmark",
                got=benchmark.name,
                hint="reference='population', or a benchmark with repeats",
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
