"""A micro-benchmark of one's own, and new models scored by it: `microbench export` and `microbench score` on data in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from microbench_ray.data import Benchmark
from microbench_ray.data.memory import responses as responses_in
from microbench_ray.micro import score as scoring
from microbench_ray.micro.artifact import MicroBenchmark, load

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from microbench_ray.api.methods import MethodLike

GUIDED: dict[str, Any] = {"method": "mdad_guided", "estimator": {"signal": "correctness"}}
"""What `microbench export` builds, unless told otherwise."""


def export(
    benchmark: Benchmark,
    size: int | None = None,
    method: MethodLike | None = None,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    folds: int = 10,
    overwrite: bool = False,
) -> MicroBenchmark:
    """Build a micro-benchmark on all models and items, and measure on held-out models how far off it is.

    Parameters
    ----------
    benchmark
        Of at least four models.
    size
        Items; None for all of a given list (the selector `fixed`).
    method
        By default `mdad_guided` on correctness; its estimator must be linear.
    out
        A folder to write it to; None for none. `overwrite` replaces another micro-benchmark there, and nothing else.
    seed, folds
        Of what the method draws, and into which models are held out.

    Returns
    -------
    Exported
        `item_ids` are the items; `score` takes it, and `save` writes it.

    Raises
    ------
    ConfigError, GridError, DataError, StoreError
        As for `microbench_ray.micro.build.build`; a folder that cannot be written, or holds something else.
    """
    from microbench_ray.api.methods import methods_of
    from microbench_ray.micro.build import build

    made = build(benchmark, methods_of(GUIDED if method is None else method)[0], size, seed, folds=folds)
    if out is not None:
        made.save(out, overwrite=overwrite)
    return made


def load_micro(path: str | Path) -> MicroBenchmark:
    """A micro-benchmark from its folder; errors as for `microbench_ray.micro.artifact.load`."""
    return load(path)


def score(
    micro: MicroBenchmark | str | Path,
    responses: ArrayLike | pd.DataFrame | pa.Table,
    item_ids: Sequence[str] | None = None,
    model_ids: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Estimate new models' accuracies on the whole benchmark from their responses to a micro-benchmark.

    Parameters
    ----------
    micro
        What `export` returned, or its folder.
    responses
        (n_models, n_items) in [0, 1], NaN where missing, with `item_ids`; or a table with a row per item and a column per model, as
        for `mb.benchmark`. Items of no interest may be among them.
    item_ids, model_ids
        Of an array.

    Returns
    -------
    pandas.DataFrame
        By model: `estimate`, its 95 % interval `low` to `high` and that of its rank, `rank_low` to `rank_high`; `beyond_low` and
        `beyond_high`, the wider interval of a model unlike the known ones; `answered` and `missing` items; the `neighbours` that it
        cannot be told from, `warnings`, and why it is `refused`. Accuracies are fractions.

    Raises
    ------
    DataError
        No micro-benchmark in the folder, or responses that do not fit: see `microbench_ray.micro.score.score`.
    """
    import pandas as pd

    given = responses_in(responses, item_ids, model_ids)
    found = scoring.score(
        micro if isinstance(micro, MicroBenchmark) else load(micro), given.values, given.item_ids, given.model_ids
    )
    rows = []
    for each in found:
        inside, beyond = each.interval, each.beyond
        rows.append(
            {
                "model": each.model,
                "estimate": each.estimate,
                "low": None if inside is None else inside.low,
                "high": None if inside is None else inside.high,
                "rank_low": None if inside is None else inside.rank_low,
                "rank_high": None if inside is None else inside.rank_high,
                "beyond_low": None if beyond is None else beyond.low,
                "beyond_high": None if beyond is None else beyond.high,
                "answered": each.answered,
                "missing": each.missing,
                "neighbours": list(each.neighbours),
                "warnings": list(each.warnings),
                "refused": each.refused,
            }
        )
    fractions = dict.fromkeys(("estimate", "low", "high", "beyond_low", "beyond_high"), "float64")
    return pd.DataFrame(rows).astype({**fractions, "rank_low": "Int64", "rank_high": "Int64"}).set_index("model")
