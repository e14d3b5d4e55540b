"""The uncertainty of a leaderboard estimated by a list: intervals of true ranks, and groups of models it cannot order."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.audit.profile import Profile
from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import TIE_TOLERANCE
from microbench_ray.metrics.counts import BINS_PER_UNIT
from microbench_ray.sweeps.tables import rows_table

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DRAWS_PER_BLOCK = 256
"""Simulated leaderboards ranked at a time, which bounds memory."""


def leaderboard(
    profile: Profile,
    label: str,
    mdad: float | None,
    *,
    top_k: int,
    rng: np.random.Generator,
    n_draws: int = 2000,
    level: float = 0.95,
    new: Collection[str] = (),
) -> pa.Table:
    """Rank the models, with an interval of each true rank given the estimates of a list.

    Parameters
    ----------
    profile
        The leaderboard.
    label
        The list.
    mdad
        Its MDAD, for the tie groups (`tie_groups`); None or NaN if it is never reached.
    top_k
        Rank for `p_top`, the probability of a rank of at most `top_k`.
    rng
        Generator for the simulated accuracies (`seeding.rank_stream`).
    n_draws
        Number of simulated leaderboards.
    level
        Level of the intervals, see `rank_intervals`.
    new
        Models that the baseline does not have.

    Returns
    -------
    pyarrow.Table
        Schema `leaderboard`, sorted by true rank and then by name, without models that answered nothing.

    Raises
    ------
    ConfigError
        `top_k` or `n_draws` is below 1, or `level` is outside (0, 1).
    """
    if top_k < 1 or n_draws < 1 or not 0 < level < 1:
        raise ConfigError(
            "top_k and n_draws must be at least 1, and level between 0 and 1.",
            where="leaderboard",
            got=f"top_k={top_k}, n_draws={n_draws}, level={level}",
        )
    board = profile.take(np.flatnonzero(profile.answered[:, 0] > 0))
    totals = board.totals()
    ranks = true_ranks(totals.sums, totals.answered, totals.guard / BINS_PER_UNIT)
    order = np.array(sorted(range(board.n_models), key=lambda k: (ranks[k], str(board.model_ids[k]))), dtype=np.intp)
    board, ranks = board.take(order), ranks[order]
    accuracy, estimates = board.accuracy[:, 0], board.estimates[label][:, 0]
    known = ~np.isnan(estimates)
    low, high, top = rank_intervals(accuracy, estimates, top_k, rng, n_draws=n_draws, level=level)
    groups = tie_groups(accuracy, mdad)
    estimate_ranks = np.zeros(board.n_models, np.int64)
    # Estimates are rounded to the tolerance of ties, so that tied ones share a rank.
    estimate_ranks[known] = _ranks(np.rint(estimates[known] / TIE_TOLERANCE))
    rows = [
        {
            "subject": label,
            "model": board.model_ids[k],
            "rank": int(ranks[k]),
            "accuracy": float(accuracy[k]),
            "n_answered": int(board.answered[k, 0]),
            "estimate": float(estimates[k]),
            "estimate_rank": int(estimate_ranks[k]) if known[k] else None,
            "rank_lo": int(low[k]) if known[k] else None,
            "rank_hi": int(high[k]) if known[k] else None,
            "p_top": float(top[k]),
            "tie_group": int(groups[k]),
            "is_new": board.model_ids[k] in new,
        }
        for k in range(board.n_models)
    ]
    return rows_table("leaderboard", rows)


def true_ranks(sums: IntArray, answered: IntArray, guard: float = 0) -> IntArray:
    """(n_models,) ranks by accuracy, from 1; models of equal accuracy share the best rank.

    Parameters
    ----------
    sums, answered
        (n_models,) integers; the accuracy is sums / answered, with answered at least 1.
    guard
        Cross products that differ by at most this much are equal: for accuracies that were rounded.
    """
    # Cross products compare the fractions exactly, unlike quotients of floats.
    better = np.zeros(sums.size, np.int64)
    for k in range(sums.size):
        better[k] = np.count_nonzero(sums * answered[k] - sums[k] * answered > guard)
    return better + 1


def _ranks(values: FloatArray) -> IntArray:
    """(n,) ranks from 1, the largest value first; equal values share the best rank."""
    return values.size - np.searchsorted(np.sort(values), values, side="right") + 1


def rank_intervals(
    accuracy: FloatArray,
    estimates: FloatArray,
    top_k: int,
    rng: np.random.Generator,
    *,
    n_draws: int = 2000,
    level: float = 0.95,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Simulate intervals of the true ranks from a list's estimates and the scatter of true accuracies about them.

    Each model's true accuracy is drawn as a + b × estimate + the residual of a random model, with a and b fitted by least squares
    over the models. Each draw is ranked, and a model's interval is that of its simulated ranks.

    Parameters
    ----------
    accuracy, estimates
        (n_models,) fractions. For a model whose estimate is NaN, the accuracy of a random model is drawn, and its interval is
        the whole range.
    top_k, rng, n_draws, level
        As for `leaderboard`.

    Returns
    -------
    low, high
        (n_models,) best and worst rank.
    p_top
        (n_models,) share of the draws with a rank of at most `top_k`; NaN without an estimate.
    """
    n = accuracy.size
    if n == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    known = ~np.isnan(estimates)
    expected, residuals = _calibrated(accuracy, estimates, known)
    ranks = np.empty((n_draws, n), np.int32)
    for start, count in _blocks(n_draws):
        drawn = (
            expected + residuals[rng.integers(0, residuals.size, (count, n))] if residuals.size else np.tile(expected, (count, 1))
        )
        if not known.all():
            drawn[:, ~known] = accuracy[rng.integers(0, n, (count, int(n - known.sum())))]
        order = np.argsort(-drawn, axis=1, kind="stable")
        np.put_along_axis(ranks[start : start + count], order, np.arange(1, n + 1, dtype=np.int32)[None], axis=1)
    ranks.sort(axis=0)
    tail = (1 - level) / 2
    first = math.floor(tail * n_draws)
    low, high = ranks[first].astype(np.int64), ranks[n_draws - 1 - first].astype(np.int64)
    top = np.where(known, np.mean(ranks <= top_k, axis=0), np.nan)
    low[~known], high[~known] = 1, n
    return low, high, top


def _calibrated(accuracy: FloatArray, estimates: FloatArray, known: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """(n_models,) fitted accuracies, and the residuals of the known models scaled up for the degrees of freedom of the fit."""
    x, y = estimates[known], accuracy[known]
    expected = np.full(accuracy.size, float(y.mean()) if y.size else float(accuracy.mean()))
    n_fitted = 1
    if y.size > 2 and float(np.ptp(x)) > TIE_TOLERANCE:
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
        expected[known] = y.mean() + slope * (x - x.mean())
        n_fitted = 2
    residuals = y - expected[known]
    return expected, residuals * math.sqrt(y.size / max(1, y.size - n_fitted))


def _blocks(n_draws: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_draws, DRAWS_PER_BLOCK):
        yield start, min(DRAWS_PER_BLOCK, n_draws - start)


def tie_groups(accuracy: FloatArray, mdad: float | None) -> IntArray:
    """Split a sorted leaderboard, from the top, into groups of models that the list cannot order.

    A group is its best model and all models less than the MDAD below it, none of which the list orders reliably against that
    best one. Adjacent models of two groups may still be closer than the MDAD: `share_of_close_neighbours`.

    Parameters
    ----------
    accuracy
        (n_models,) descending.
    mdad
        None or NaN if it is never reached; all models are then one group.

    Returns
    -------
    array
        (n_models,) group numbers from 1.
    """
    if mdad is None or math.isnan(mdad):
        return np.ones(accuracy.size, np.int64)
    groups = np.ones(accuracy.size, np.int64)
    start = 0
    for k in range(1, accuracy.size):
        starts_group = accuracy[start] - accuracy[k] >= mdad - TIE_TOLERANCE and accuracy[start] > accuracy[k]
        groups[k] = groups[k - 1] + starts_group
        if starts_group:
            start = k
    return groups


def share_of_close_neighbours(accuracy: FloatArray, mdad: float | None) -> float:
    """Share of adjacent pairs of a sorted leaderboard that are closer than the MDAD; NaN for fewer than two models."""
    if accuracy.size < 2:
        return math.nan
    if mdad is None or math.isnan(mdad):
        return 1.0
    return float(np.mean(np.abs(np.diff(accuracy)) < mdad - TIE_TOLERANCE))
