"""`microbench export` and `microbench score` on data in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from microbench_ray.api.arguments import check_benchmark, whole_number
from microbench_ray.data import Benchmark
from microbench_ray.data.memory import responses as responses_in
from microbench_ray.micro import score as scoring
from microbench_ray.micro.artifact import MicroBenchmark, load

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from microbench_ray.api.answers import ScoreTable
    from microbench_ray.api.methods import MethodLike

DEFAULT_METHOD: dict[str, Any] = {"method": "auto", "estimator": {"signal": "correctness"}}
"""The default method of `microbench export`."""


def export(
    benchmark: Benchmark,
    size: int | None = None,
    method: MethodLike | None = None,
    out: str | Path | None = None,
    *,
    seed: int = 0,
    folds: int = 10,
    overwrite: bool = False,
    cost: float | None = None,
) -> MicroBenchmark:
    """Build a micro-benchmark on all models and items, and measure its errors on held-out models.

    Parameters
    ----------
    benchmark
        A benchmark of at least four models.
    size
        Number of items; None for a given list (the selector `fixed`), which has a size already.
    method
        By default `auto` on correctness; its estimator must have a readout (`methods.readout.WithReadout`).
    out
        The folder to write; None writes nothing.
    seed
        Root seed of the method's draws and of the folds.
    folds
        Number of folds in which models are held out.
    overwrite
        Whether to replace another micro-benchmark in `out`; other content is never replaced.
    cost
        A budget in the place of `size`: the method's first items that cost no more together, for a selector whose choices nest.
        `auto` weighs what items tell against their costs where held-out models are estimated better so.

    Returns
    -------
    MicroBenchmark
        `item_ids` are the items, `table()` has a row for each; `mb.score` takes it, and `save` writes it.

    Raises
    ------
    ConfigError, GridError, DataError
        As for `microbench_ray.micro.build.build`.
    StoreError
        The folder cannot be written, or holds something else.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=60, n_items=200)
    >>> micro = mb.export(board, size=30, method="random_ridge")
    >>> len(micro.table())
    30
    """
    from microbench_ray.api.methods import methods_of
    from microbench_ray.micro.build import build

    micro = build(
        check_benchmark(benchmark),
        methods_of(DEFAULT_METHOD if method is None else method)[0],
        None if size is None else whole_number("size", size, 1),
        whole_number("seed", seed, 0),
        folds=whole_number("folds", folds, 2),
        cost=cost,
    )
    if out is not None:
        micro.save(out, overwrite=overwrite)
    return micro


def load_micro(path: str | Path) -> MicroBenchmark:
    """Load a micro-benchmark from its folder, which `mb.export` or `microbench export` wrote.

    Raises
    ------
    DataError
        The folder is missing, or its microbench.json is truncated, of another kind or version, or was edited.

    Examples
    --------
    >>> import tempfile
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=60, n_items=200)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     micro = mb.export(board, size=30, method="random_ridge", out=f"{folder}/micro")
    ...     mb.load_micro(f"{folder}/micro").item_ids == micro.item_ids
    True
    """
    return load(path)


def score(
    micro: MicroBenchmark | str | Path,
    responses: ArrayLike | pd.DataFrame | pa.Table,
    item_ids: Sequence[str] | None = None,
    model_ids: Sequence[str] | None = None,
) -> ScoreTable:
    """Estimate new models' accuracies on the whole benchmark from their responses to a micro-benchmark.

    Parameters
    ----------
    micro
        What `export` returned, or its folder.
    responses
        (n_models, n_items) in [0, 1], NaN where missing, with `item_ids`; or a table with a row per item and a column per model, as
        for `mb.benchmark`. Items outside the micro-benchmark are ignored.
    item_ids, model_ids
        Ids of the columns and rows of an array.

    Returns
    -------
    pandas.DataFrame
        Indexed by model. `estimate`; its 95 % interval, `low` to `high`, and the rule that made it, `interval_kind`; the interval
        of its rank, `rank_low` to `rank_high`; `beyond_low` and `beyond_high`, the same interval where it is the one of a model
        that may be better than all known ones; the numbers of `answered` and `missing` items; whether the model is `unlike` the
        known ones, and whether the estimate is the mean of the random items of the reserve, `by_reserve`, instead of the
        micro-benchmark's readout; whether there is no interval without the reserve, `needs_reserve`; the `neighbours` that it
        cannot be distinguished from; `warnings`; and why it was `refused`. Accuracies are fractions. `plot()` draws the intervals,
        `to_markdown()` and `to_latex()` write the main columns.

    Raises
    ------
    DataError
        The folder is not a micro-benchmark, or the responses do not fit: see `microbench_ray.micro.score.score`.

    Notes
    -----
    The rules of the intervals, and which of them is used when, are in `microbench_ray.micro.intervals` and `.choice`.

    Examples
    --------
    >>> import microbench_ray as mb
    >>> board = mb.synthetic(n_models=60, n_items=200)
    >>> micro = mb.export(board, size=30, method="random_ridge")
    >>> scored = mb.score(micro, board.scores[:2], board.item_ids, board.model_ids[:2])
    >>> bool((scored["low"] <= scored["estimate"]).all())
    True
    """
    import pandas as pd

    from microbench_ray.api.answers import ScoreTable

    given = responses_in(responses, item_ids, model_ids)
    micro = micro if isinstance(micro, MicroBenchmark) else load(micro)
    rows = []
    for scored in scoring.score(micro, given.values, given.item_ids, given.model_ids):
        interval, outer = scored.interval, scored.extrapolated_interval
        rows.append(
            {
                "model": scored.model,
                "estimate": scored.estimate,
                "low": None if interval is None else interval.low,
                "high": None if interval is None else interval.high,
                "interval_kind": scored.interval_kind,
                "rank_low": None if interval is None else interval.rank_low,
                "rank_high": None if interval is None else interval.rank_high,
                "beyond_low": None if outer is None else outer.low,
                "beyond_high": None if outer is None else outer.high,
                "answered": scored.answered,
                "missing": scored.missing,
                "unlike": scored.unlike,
                "by_reserve": scored.by_reserve,
                "needs_reserve": scored.needs_reserve,
                "neighbours": list(scored.neighbours),
                "warnings": list(scored.warnings),
                "refused": scored.refused,
            }
        )
    fractions = dict.fromkeys(("estimate", "low", "high", "beyond_low", "beyond_high"), "float64")
    frame = pd.DataFrame(rows).astype({**fractions, "rank_low": "Int64", "rank_high": "Int64"}).set_index("model")
    result: ScoreTable = ScoreTable.of(frame, f"{len(frame)} models scored; fractions. {micro.headline()}")
    return result
