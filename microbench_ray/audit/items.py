"""Items that say nothing, or the wrong thing, about models; and responses that are missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.data import Benchmark
from microbench_ray.sweeps.tables import null_if_nan

FloatArray = NDArray[np.float64]

ITEMS_PER_BLOCK = 2048
"""Items that are worked on at a time: bounds memory."""

MIN_MODELS = 4
"""Fewer models give an item no test of its discrimination."""


class Missing(NamedTuple):
    """Missing responses."""

    total: int
    by_model: dict[str, int]
    """Only models that miss any, in the benchmark's order."""
    by_item: dict[str, int]
    by_subtask: dict[str, int]


def item_statistics(benchmark: Benchmark, *, false_discoveries: float = 0.05) -> pa.Table:
    """What every item says about the models.

    Parameters
    ----------
    benchmark
        The leaderboard.
    false_discoveries
        Expected share of items among the negative ones that are not (Benjamini and Hochberg 1995, over all items that vary).

    Returns
    -------
    pyarrow.Table
        One row per item, in the benchmark's order: `item_id`, `subtask`, `n_answered`, `mean` score, `dead` (`all_right`,
        `all_wrong`, `constant` for the same partial score; empty if it varies), `discrimination` (correlation over models of the
        item with the accuracy on all other items; null where it is undefined), `p_negative` (one-sided, of Fisher's z, that such a
        correlation comes about though it is not below 0) and `negative`.
    """
    sums, answered = _model_sums(benchmark)
    columns: dict[str, list[FloatArray]] = {name: [] for name in ("n", "mean", "low", "high", "r")}
    for start in range(0, benchmark.n_items, ITEMS_PER_BLOCK):
        raw = benchmark.scores[:, start : start + ITEMS_PER_BLOCK]
        there = raw != benchmark.missing
        scores = np.where(there, raw, 0).astype(np.float64) / benchmark.units
        n = there.sum(axis=0).astype(np.float64)
        rest_answered = answered[:, None] - there
        rest = np.divide(sums[:, None] - scores, rest_answered, out=np.zeros_like(scores), where=rest_answered > 0)
        there &= rest_answered > 0
        columns["n"].append(n)
        columns["mean"].append(scores.sum(axis=0) / n)
        columns["low"].append(np.where(raw != benchmark.missing, scores, np.inf).min(axis=0))
        columns["high"].append(np.where(raw != benchmark.missing, scores, -np.inf).max(axis=0))
        columns["r"].append(_correlations(scores, rest, there))
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


def missing(benchmark: Benchmark) -> Missing:
    """Count missing responses by model, item and subtask."""
    if not benchmark.has_missing:
        return Missing(0, {}, {}, {})
    gone = benchmark.scores == benchmark.missing
    by_model, by_item = gone.sum(axis=1), gone.sum(axis=0)
    by_subtask = np.bincount(benchmark.subtask_codes, weights=by_item, minlength=len(benchmark.subtask_names)).astype(np.int64)

    def named(names: NDArray[np.object_] | list[str], counts: NDArray[np.int64]) -> dict[str, int]:
        return {str(names[k]): int(counts[k]) for k in np.flatnonzero(counts)}

    return Missing(
        int(by_model.sum()),
        named(benchmark.model_ids, by_model),
        named(benchmark.item_ids, by_item),
        named(benchmark.subtask_names, by_subtask),
    )


def benjamini_hochberg(p: FloatArray, rate: float) -> NDArray[np.bool_]:
    """Which of the hypotheses with these p-values fall, at a false discovery rate; NaN is no hypothesis.

    Parameters
    ----------
    p
        (n,) p-values.
    rate
        Expected share of false ones among those that fall.
    """
    tested = np.flatnonzero(~np.isnan(p))
    fallen = np.zeros(p.size, bool)
    ordered = np.sort(p[tested])
    below = np.flatnonzero(ordered <= rate * np.arange(1, tested.size + 1) / max(1, tested.size))
    if below.size:
        fallen[tested] = p[tested] <= ordered[below[-1]]
    return fallen


def _model_sums(benchmark: Benchmark) -> tuple[FloatArray, FloatArray]:
    """(n_models,) sums of scores, in fractions, and items answered."""
    if not benchmark.has_missing:
        sums = benchmark.scores.sum(axis=1, dtype=np.int64)
        answered = np.full(benchmark.n_models, float(benchmark.n_items))
    else:
        there = benchmark.scores != benchmark.missing
        sums = np.where(there, benchmark.scores, 0).sum(axis=1, dtype=np.int64)
        answered = there.sum(axis=1).astype(np.float64)
    return sums / benchmark.units, answered


def _correlations(x: FloatArray, y: FloatArray, there: NDArray[np.bool_]) -> FloatArray:
    """(n_items,) correlation of the columns over the rows that are there; NaN where either is constant."""
    n = np.maximum(there.sum(axis=0), 1)
    x = np.where(there, x - np.where(there, x, 0).sum(axis=0) / n, 0)
    y = np.where(there, y - np.where(there, y, 0).sum(axis=0) / n, 0)
    scale = np.sqrt((x * x).sum(axis=0) * (y * y).sum(axis=0))
    r = np.full(scale.shape, np.nan)
    np.divide((x * y).sum(axis=0), scale, out=r, where=scale > 1e-12)
    return np.clip(r, -1, 1)


def _p_negative(r: FloatArray, n: FloatArray) -> FloatArray:
    """One-sided p-values by Fisher's z, NaN where the correlation is undefined or of fewer than four models."""
    from scipy.special import ndtr  # slow to import

    p = np.full(r.size, np.nan)
    known = ~np.isnan(r) & (n >= MIN_MODELS)
    # A correlation of −1 is infinitely far off.
    with np.errstate(divide="ignore"):
        p[known] = ndtr(np.arctanh(r[known]) * np.sqrt(n[known] - 3))
    return p
