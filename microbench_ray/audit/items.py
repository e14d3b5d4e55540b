"""Item statistics: items without information, items that favour weaker models, and missing responses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.data import Benchmark
from microbench_ray.sweeps.tables import null_if_nan

FloatArray = NDArray[np.float64]

ITEMS_PER_BLOCK = 2048
"""Items processed at a time, which bounds memory."""

MIN_MODELS = 4
"""Models that a test of an item's discrimination needs."""


class MissingResponses(NamedTuple):
    """Counts of missing responses; models, items and subtasks without any are left out."""

    total: int
    by_model: dict[str, int]
    by_item: dict[str, int]
    by_subtask: dict[str, int]


def item_statistics(benchmark: Benchmark, *, false_discoveries: float = 0.05) -> pa.Table:
    """Compute how well each item discriminates between the models.

    Parameters
    ----------
    benchmark
        The leaderboard.
    false_discoveries
        False discovery rate among the items flagged as negative (Benjamini and Hochberg 1995, over all items that vary).

    Returns
    -------
    pyarrow.Table
        One row per item, in the benchmark's order:

        - `item_id`, `subtask`, `n_answered`, `mean` score;
        - `dead`: `all_right`, `all_wrong`, or `constant` for one partial score; empty if the scores vary;
        - `discrimination`: correlation over models of the item with the accuracy on all other items; null if undefined;
        - `p_negative`: one-sided p-value by Fisher's z for a correlation below 0;
        - `negative`: whether the item is flagged.
    """
    sums, answered = _model_sums(benchmark)
    columns: dict[str, list[FloatArray]] = {name: [] for name in ("n", "mean", "low", "high", "r")}
    for start in range(0, benchmark.n_items, ITEMS_PER_BLOCK):
        raw = benchmark.scores[:, start : start + ITEMS_PER_BLOCK]
        known = raw != benchmark.missing
        scores = np.where(known, raw, 0).astype(np.float64) / benchmark.units
        n = known.sum(axis=0).astype(np.float64)
        rest_answered = answered[:, None] - known
        rest = np.divide(sums[:, None] - scores, rest_answered, out=np.zeros_like(scores), where=rest_answered > 0)
        columns["n"].append(n)
        columns["mean"].append(scores.sum(axis=0) / n)
        columns["low"].append(np.where(known, scores, np.inf).min(axis=0))
        columns["high"].append(np.where(known, scores, -np.inf).max(axis=0))
        columns["r"].append(_correlations(scores, rest, known & (rest_answered > 0)))
    n, mean, low, high, r = (np.concatenate(columns[name]) for name in ("n", "mean", "low", "high", "r"))
    dead = np.where(low < high, "", np.where(low >= 1, "all_right", np.where(high <= 0, "all_wrong", "constant")))
    r[dead != ""] = np.nan
    p = _p_negative(r, n)
    return pa.table(
        {
            "item_id": pa.array(benchmark.item_ids, pa.string()),
            "subtask": pa.array([benchmark.subtask_names[code] for code in benchmark.subtask_codes], pa.string()),
            "n_answered": pa.array(n.astype(np.int64)),
            "mean": pa.array(mean),
            "dead": pa.array(dead.tolist(), pa.string()),
            "discrimination": pa.array([null_if_nan(value) for value in r.tolist()], pa.float64()),
            "p_negative": pa.array([null_if_nan(value) for value in p.tolist()], pa.float64()),
            "negative": pa.array(benjamini_hochberg(p, false_discoveries)),
        }
    )


def count_missing_responses(benchmark: Benchmark) -> MissingResponses:
    """Count missing responses by model, item and subtask."""
    if not benchmark.has_missing:
        return MissingResponses(total=0, by_model={}, by_item={}, by_subtask={})
    is_missing = benchmark.scores == benchmark.missing
    by_model, by_item = is_missing.sum(axis=1), is_missing.sum(axis=0)
    by_subtask = np.bincount(benchmark.subtask_codes, weights=by_item, minlength=len(benchmark.subtask_names)).astype(np.int64)

    def named(names: NDArray[np.object_] | list[str], counts: NDArray[np.int64]) -> dict[str, int]:
        return {str(names[k]): int(counts[k]) for k in np.flatnonzero(counts)}

    return MissingResponses(
        total=int(by_model.sum()),
        by_model=named(benchmark.model_ids, by_model),
        by_item=named(benchmark.item_ids, by_item),
        by_subtask=named(benchmark.subtask_names, by_subtask),
    )


def benjamini_hochberg(p: FloatArray, rate: float) -> NDArray[np.bool_]:
    """(n,) whether each hypothesis is rejected at a false discovery rate; NaN is never rejected.

    Parameters
    ----------
    p
        (n,) p-values.
    rate
        The false discovery rate.
    """
    tested = np.flatnonzero(~np.isnan(p))
    rejected = np.zeros(p.size, bool)
    ordered = np.sort(p[tested])
    below = np.flatnonzero(ordered <= rate * np.arange(1, tested.size + 1) / max(1, tested.size))
    if below.size:
        rejected[tested] = p[tested] <= ordered[below[-1]]
    return rejected


def _model_sums(benchmark: Benchmark) -> tuple[FloatArray, FloatArray]:
    """(n_models,) sums of scores (0 to 1 each), and numbers of items answered."""
    if not benchmark.has_missing:
        sums = benchmark.scores.sum(axis=1, dtype=np.int64)
        answered = np.full(benchmark.n_models, float(benchmark.n_items))
    else:
        known = benchmark.scores != benchmark.missing
        sums = np.where(known, benchmark.scores, 0).sum(axis=1, dtype=np.int64)
        answered = known.sum(axis=1).astype(np.float64)
    return sums / benchmark.units, answered


def _correlations(x: FloatArray, y: FloatArray, known: NDArray[np.bool_]) -> FloatArray:
    """(n_items,) correlations of the columns over their known rows; NaN if either is constant."""
    n = np.maximum(known.sum(axis=0), 1)
    x = np.where(known, x - np.where(known, x, 0).sum(axis=0) / n, 0)
    y = np.where(known, y - np.where(known, y, 0).sum(axis=0) / n, 0)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    r = np.full(scale.shape, np.nan)
    np.divide((x * y).sum(axis=0), scale, out=r, where=scale > 1e-12)
    return np.clip(r, -1, 1)


def _p_negative(r: FloatArray, n: FloatArray) -> FloatArray:
    """One-sided p-values by Fisher's z, NaN if the correlation is undefined or over fewer than `MIN_MODELS` models."""
    from scipy.special import ndtr  # slow to import

    p = np.full(r.size, np.nan)
    known = ~np.isnan(r) & (n >= MIN_MODELS)
    # A correlation of −1 is at z = −inf.
    with np.errstate(divide="ignore"):
        p[known] = ndtr(np.arctanh(r[known]) * np.sqrt(n[known] - 3))
    return p
