"""Rank intervals of the models of a benchmark, whose items are a sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.data import Benchmark
from microbench_ray.metrics.run_difference import REFERENCES, Reference
from microbench_ray.micro.ranks import DRAWS, ranks_of, spread_of

if TYPE_CHECKING:
    from microbench_ray.api.answers import RankIntervals


def rank_intervals(
    benchmark: Benchmark,
    *,
    level: float = 0.95,
    simultaneous: bool = False,
    cluster: Mapping[str, str] | Literal["subtask"] | None = None,
    reference: Reference = "population",
    n_draws: int = DRAWS,
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
    spread, kind = spread_of(benchmark, reference, cluster)
    rows = ranks_of(
        benchmark,
        spread,
        level=level,
        simultaneous=simultaneous,
        n_draws=whole_number("n_draws", n_draws, 100),
        seed=whole_number("seed", seed, 0),
    )
    together = "all together" if simultaneous else "each by itself"
    about = f"Ranks of {benchmark.n_models:,} models with {level:.0%} intervals, {together}, over {kind}"
    result: RankIntervals = RankIntervals.of(pd.DataFrame(rows), about)
    return result
