"""Pair counts straight from tables of accuracies, for notebooks: the public `pair_counts`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from microbench_ray.core.errors import DataError
from microbench_ray.metrics.counts import IntArray, PairCounts
from microbench_ray.metrics.pairs import FloatArray, Totals, count_pairs, totals_of, true_pairs


def pair_counts(
    truth: npt.ArrayLike, estimates: npt.ArrayLike, n_items: npt.ArrayLike | None = None, *, units: int = 1
) -> PairCounts:
    """Count, per bin of true difference, the pairs of models that the estimates order as the truth does.

    Parameters
    ----------
    truth
        (n_target,) or (n_runs, n_target) accuracies on the full benchmark, fractions in [0, 1]. NaN: the model
        answered nothing, and its pairs are left out.
    estimates
        Estimated accuracies, of the same shape. NaN orders nothing: its pairs count as tied.
    n_items
        Items behind each accuracy: one number, or an array that broadcasts to the shape of `truth` (models may have
        answered different items). Accuracies are then turned back into counts and pairs are binned exactly. Without
        it, accuracies are rounded to 1e-12 and a difference within 1e-9 of a bin's width below an edge counts as on
        it: correct for fewer than about 10,000 items, but known counts are better.
    units
        Grid of the scores: 1 for right or wrong, 2 for scores in {0, .5, 1}. Only with `n_items`.

    Returns
    -------
    PairCounts
        Of leading shape () or (n_runs,), over all 201 bins.

    Raises
    ------
    DataError
        Shapes that differ, accuracies outside [0, 1], infinite estimates, or accuracies that are not multiples of
        1/(units * n_items).

    Examples
    --------
    >>> counts = pair_counts([0.5, 0.75], [0.2, 0.4], n_items=4)
    >>> int(counts.n_agree[50])
    1
    """
    true = np.asarray(truth, np.float64)
    estimated = np.asarray(estimates, np.float64)
    if true.shape != estimated.shape or true.ndim not in (1, 2) or true.shape[0] == 0:
        raise DataError(
            "Truth and estimates must be (n_target,) or (n_runs, n_target) arrays of the same shape.",
            where="pair_counts",
            got=f"shapes {true.shape} and {estimated.shape}",
        )
    if bool(((true < 0) | (true > 1)).any()):
        raise DataError(
            "Accuracies must be fractions in [0, 1].",
            where="pair_counts, truth",
            got=f"values from {np.nanmin(true)} to {np.nanmax(true)}",
            hint="divide percentages by 100",
        )
    if bool(np.isinf(estimated).any()):
        raise DataError("Estimates must be finite, or NaN where missing.", where="pair_counts, estimates", got="infinity")
    undefined = np.isnan(true)
    if n_items is None:
        if units != 1:
            raise DataError(
                "A grid of scores (units) is only used together with n_items.",
                where="pair_counts",
                got=f"units={units} without n_items",
                hint="give the number of items behind each accuracy as n_items",
            )
        totals = totals_of(true)
    else:
        answered = np.where(undefined, 0, _items(n_items, true))
        totals = Totals(_whole(np.where(undefined, 0.0, true) * units * answered, units).astype(np.int64), answered, units)
    columns = true.shape[-1]
    rows = [
        count_pairs(true_pairs(run_sums, run_answered, totals.units, guard=totals.guard), run_estimates)
        for run_sums, run_answered, run_estimates in zip(
            totals.sums.reshape(-1, columns),
            totals.answered.reshape(-1, columns),
            estimated.reshape(-1, columns),
            strict=True,
        )
    ]
    return rows[0] if true.ndim == 1 else PairCounts.stack(rows)


def _items(n_items: npt.ArrayLike, truth: FloatArray) -> IntArray:
    """`n_items` in the shape of `truth`."""
    items = np.asarray(n_items)
    try:
        items = np.broadcast_to(items, truth.shape)
    except ValueError:
        items = np.empty(0)
    defined = ~np.isnan(truth)
    if items.shape != truth.shape or items.dtype.kind not in "iu" or bool((items[defined] < 1).any()):
        raise DataError(
            "n_items must be a positive whole number, or an array of them that broadcasts to the shape of the truth.",
            where="pair_counts, n_items",
            got=f"{n_items!r} for truth of shape {truth.shape}",
        )
    return items.astype(np.int64)


def _whole(scaled: FloatArray, units: int) -> FloatArray:
    """Score sums rounded to whole numbers; DataError unless they are near, with a tolerance for rounding errors of large sums."""
    sums = np.rint(scaled)
    off = np.abs(scaled - sums) - 8 * np.finfo(np.float64).eps * scaled
    if bool((off > 1e-6).any()):
        raise DataError(
            "Accuracies must be whole numbers of score units divided by the number of items.",
            where="pair_counts, truth",
            got=f"a sum of {scaled.flat[int(off.argmax())]:.6f} units of 1/{units}",
            hint="give each model's own number of answered items as n_items, and the scores' grid as units",
        )
    return sums
