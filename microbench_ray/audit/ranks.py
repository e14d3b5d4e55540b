"""A leaderboard as a list sees it: which true ranks its estimates leave open, and which models it cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.audit.profile import Profile
from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import TIE_TOLERANCE
from microbench_ray.sweeps.tables import rows_table

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DRAWS_PER_BLOCK = 256
"""Drawn leaderboards that are ranked at a time: bounds memory."""


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
    """Rank the models, with the ranks that the estimates leave open.

    Parameters
    ----------
    profile
        The leaderboard.
    label
        The list whose estimates count.
    mdad
        Its MDAD, for the tie groups (`tie_groups`); None or NaN where it is never reached.
    top_k
        For `p_top`.
    rng
        What draws the true accuracies (`seeding.rank_stream`).
    n_draws
        Drawn leaderboards.
    level
        Of the intervals of ranks, see `rank_intervals`.
    new
        Models that the baseline has not.

    Returns
    -------
    pyarrow.Table
        Of the schema `leaderboard`, by true rank and then by name, without models that answered nothing.

    Raises
    ------
    ConfigError
        A top_k or a number of draws below 1, or a level outside (0, 1).
    """
    if top_k < 1 or n_draws < 1 or not 0 < level < 1:
        raise ConfigError(
            "Ranks need a positive top_k, at least one draw, and a level between 0 and 1.",
            where="leaderboard",
            got=f"top_k={top_k}, n_draws={n_draws}, level={level}",
        )
    present = np.flatnonzero(profile.answered[:, 0] > 0)
    one = profile.take(present)
    ranks = true_ranks(one.sums[:, 0], one.answered[:, 0])
    order = np.array(sorted(range(one.n_models), key=lambda k: (ranks[k], str(one.model_ids[k]))), dtype=np.intp)
    one, ranks = one.take(order), ranks[order]
    accuracy, estimates = one.accuracy[:, 0], one.estimates[label][:, 0]
    known = ~np.isnan(estimates)
    low, high, top = rank_intervals(accuracy, estimates, top_k, rng, n_draws=n_draws, level=level)
    groups = tie_groups(accuracy, mdad)
    by_estimate = np.zeros(one.n_models, np.int64)
    # Estimates within the tolerance of ties share a rank: counted on a grid of it.
    by_estimate[known] = _ranks(np.rint(estimates[known] / TIE_TOLERANCE))
    rows = [
        {
            "subject": label,
            "model": one.model_ids[k],
            "rank": int(ranks[k]),
            "accuracy": float(accuracy[k]),
            "n_answered": int(one.answered[k, 0]),
            "estimate": float(estimates[k]),
            "estimate_rank": int(by_estimate[k]) if known[k] else None,
            "rank_lo": int(low[k]) if known[k] else None,
            "rank_hi": int(high[k]) if known[k] else None,
            "p_top": float(top[k]),
            "tie_group": int(groups[k]),
            "is_new": one.model_ids[k] in new,
        }
        for k in range(one.n_models)
    ]
    return rows_table("leaderboard", rows)


def true_ranks(sums: IntArray, answered: IntArray) -> IntArray:
    """(n_models,) ranks from 1 by sums / answered, compared as fractions: equal ones share the best rank.

    Parameters
    ----------
    sums, answered
        (n_models,) whole numbers, answered at least 1.
    """
    # Better by cross products: exact, where a quotient of floats is not.
    better = np.zeros(sums.size, np.int64)
    for k in range(sums.size):
        better[k] = np.count_nonzero(sums * answered[k] > sums[k] * answered)
    return better + 1


def _ranks(values: FloatArray) -> IntArray:
    """(n,) ranks from 1, the largest first; equal values share the best."""
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
    """The true ranks that a list leaves open, for one who knows the estimates and how true accuracies scatter about them.

    Every model's true accuracy is drawn as a + b × estimate + a residual of a model drawn among all, a and b by least squares over
    the models. The draws are ranked, and a model's interval is that of its drawn ranks.

    Parameters
    ----------
    accuracy, estimates
        (n_models,) fractions; estimates may be NaN: the model's accuracy is then drawn from all, and its interval is the
        whole range.
    top_k, rng, n_draws, level
        As for `leaderboard`.

    Returns
    -------
    low, high
        (n_models,) best and worst rank.
    p_top
        (n_models,) share of draws with a rank of at most `top_k`; NaN without an estimate.
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
            # Of a model without an estimate nothing is known but that it is one of them.
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
    """Expected accuracies, (n_models,), and the residuals of the known ones, widened by what the two fitted numbers took."""
    x, y = estimates[known], accuracy[known]
    expected = np.full(accuracy.size, float(y.mean()) if y.size else float(accuracy.mean()))
    fitted = 1
    if y.size > 2 and float(np.ptp(x)) > TIE_TOLERANCE:
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
        expected[known] = y.mean() + slope * (x - x.mean())
        fitted = 2
    residuals = y - expected[known]
    return expected, residuals * math.sqrt(y.size / max(1, y.size - fitted))


def _blocks(n_draws: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_draws, DRAWS_PER_BLOCK):
        yield start, min(DRAWS_PER_BLOCK, n_draws - start)


def tie_groups(accuracy: FloatArray, mdad: float | None) -> IntArray:
    """Cut a sorted leaderboard into groups of models that the list cannot order, from the top.

    A group is its best model and all that are less than the MDAD below it: the list orders none of them reliably against its
    best. Two neighbours on either side of a cut may be nearer to each other than that: `share_of_close_neighbours`.

    Parameters
    ----------
    accuracy
        (n_models,) descending.
    mdad
        None or NaN: never reached, and all are one group.

    Returns
    -------
    array
        (n_models,) numbers of the groups, from 1.
    """
    if mdad is None or math.isnan(mdad):
        return np.ones(accuracy.size, np.int64)
    groups = np.ones(accuracy.size, np.int64)
    start = 0
    for k in range(1, accuracy.size):
        apart = accuracy[start] - accuracy[k] >= mdad - TIE_TOLERANCE and accuracy[start] > accuracy[k]
        groups[k] = groups[k - 1] + apart
        if apart:
            start = k
    return groups


def share_of_close_neighbours(accuracy: FloatArray, mdad: float | None) -> float:
    """Share of adjacent pairs of a sorted leaderboard that are nearer than the MDAD; NaN for fewer than two models."""
    if accuracy.size < 2:
        return math.nan
    if mdad is None or math.isnan(mdad):
        return 1.0
    return float(np.mean(np.abs(np.diff(accuracy)) < mdad - TIE_TOLERANCE))
