"""From the truth and the estimates of target models to pair counts and Kendall's tau: the counting kernel.

Each pair's true order and bin are computed once per run and half of the items, in integers, and reused for every method
and size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from microbench_ray.core.errors import DataError
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS, IntArray, PairCounts

TIE_TOLERANCE = 1e-12
"""Estimates this close are tied: weighted means of equal responses differ by rounding."""

PAIRS_PER_BLOCK = 1 << 17
"""Pairs handled at a time: bounds memory to a few MB however many targets there are."""

FLOAT_UNITS = 10**12
"""Grid to which accuracies are rounded that are no quotients of whole numbers."""
FLOAT_GUARD = 1000
"""Guard of `true_pairs` for these: 1e-9 of a bin, in units of 1/(200 * FLOAT_UNITS)."""

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]


class PairBlock(NamedTuple):
    """A block of pairs, sorted by bin; `higher` and `lower` are positions among the targets."""

    higher: IndexArray
    """(n_pairs,) the target that is better on the full benchmark, of each pair that is not tied there."""
    lower: IndexArray
    """(n_pairs,) the worse target."""
    bins: IndexArray
    """(n_occupied,) bins that hold a pair, ascending."""
    starts: IndexArray
    """(n_occupied,) where each of these bins begins."""
    sizes: IntArray
    """(n_occupied,) pairs in each of these bins."""
    tied_first: IndexArray
    """(n_true_tied,) the pairs tied on the full benchmark: the target stored first."""
    tied_second: IndexArray
    """(n_true_tied,) the target stored second."""


class Totals(NamedTuple):
    """Accuracies as quotients of whole numbers, the arguments of `true_pairs`."""

    sums: IntArray
    answered: IntArray
    units: int
    guard: int = 0


class Comparison(NamedTuple):
    """The estimates of one cell compared with the truth on one half of the items."""

    counts: PairCounts
    kendall_tau: float
    """Tau-b, NaN where it is undefined (constant truth or constant estimates)."""


@dataclass(frozen=True, eq=False)
class TruePairs:
    """The order and bin of every pair of targets on the full benchmark; see `true_pairs`."""

    sums: IntArray
    answered: IntArray
    units: int
    guard: int
    n_pairs: IntArray
    n_true_tied: int
    cached: PairBlock | None

    def blocks(self) -> Iterator[PairBlock]:
        """All pairs, in blocks of at most about `PAIRS_PER_BLOCK`; a single cached block for few targets."""
        if self.cached is not None:
            yield self.cached
            return
        for first, second in _index_blocks(np.flatnonzero(self.answered)):
            yield _block(self.sums, self.answered, self.units, self.guard, first, second)


def totals_of(accuracy: npt.ArrayLike) -> Totals:
    """Totals of accuracies that are known as floats only: rounded to 1e-12, as if of one item each.

    A difference that is at most 5e-12 is a tie, and one that is as little below the edge of a bin is on it, so that rounding errors
    of sums decide nothing.

    Parameters
    ----------
    accuracy
        (n,) fractions in [0, 1]; NaN for a model without an accuracy.
    """
    values = np.asarray(accuracy, np.float64)
    undefined = np.isnan(values)
    sums = np.rint(np.where(undefined, 0.0, values) * FLOAT_UNITS).astype(np.int64)
    return Totals(sums=sums, answered=np.where(undefined, 0, 1), units=FLOAT_UNITS, guard=FLOAT_GUARD)


def true_pairs(sums: npt.ArrayLike, answered: npt.ArrayLike, units: int = 1, *, guard: int = 0) -> TruePairs:
    """Order and bin every pair of targets by their scores on the full benchmark (or on one half of it), in integers.

    Parameters
    ----------
    sums
        (n_target,) sum of each target's scores over the items it answered, in units of 1/units: its accuracy is
        sums / (units * answered). For 0/1 scores the number of right answers.
    answered
        (n_target,) number of items that each target answered. A target with 0 has no accuracy: its pairs are left out of
        every count.
    units
        Grid of the scores: 1 for right or wrong, 2 for scores in {0, .5, 1}.
    guard
        A pair this near below a bin's edge, or this near a tie, in units of 1/(200 * units * answered * answered), counts as
        on it. For sums that were rounded from floats; 0 (exact) for counted ones.

    Returns
    -------
    TruePairs
        A pair is in bin `abs(ka*nb - kb*na) * 200 // (units*na*nb)`.

    Raises
    ------
    DataError
        Shapes that differ, sums outside [0, units * answered], or numbers too large for 64-bit integers
        (200 * units * answered**2 must stay under 2**63; where all answered the same number, 200 * units * answered).
    """
    score_sums, items = np.asarray(sums, np.int64), np.asarray(answered, np.int64)
    if score_sums.ndim != 1 or score_sums.shape != items.shape:
        raise DataError(
            "There must be one score sum and one number of answered items per target.",
            where="true_pairs",
            got=f"shapes {score_sums.shape} and {items.shape}",
        )
    max_items = int(items.max(initial=0))
    if BINS_PER_UNIT * units * max_items + guard >= 2**63:
        raise _too_fine(units, max_items)
    if int(items.min(initial=0)) < 0 or units < 1 or bool(((score_sums < 0) | (score_sums > units * items)).any()):
        raise DataError(
            "A target's score sum must be between 0 and units × the items it answered.",
            where="true_pairs",
            got=f"sums up to {score_sums.max(initial=0)} in units of 1/{units}, with up to {max_items} items",
            hint="give sums of scores in [0, 1] as multiples of 1/units",
        )
    compared = np.flatnonzero(items)
    if compared.size and bool((items[compared] == max_items).all()):
        # One denominator for all: ka*n - kb*n over units*n*n is ka - kb over units*n.
        units, items = units * max_items, np.minimum(items, 1)
        max_items = 1
    if BINS_PER_UNIT * units * max_items**2 + guard >= 2**63:
        raise _too_fine(units, max_items)
    n_pairs, n_true_tied, cached = np.zeros(N_BINS, np.int64), 0, None
    single_block = compared.size * (compared.size - 1) // 2 <= PAIRS_PER_BLOCK
    for first, second in _index_blocks(compared):
        block = _block(score_sums, items, units, guard, first, second)
        n_pairs[block.bins] += block.sizes
        n_true_tied += block.tied_first.size
        cached = block if single_block else None
    n_pairs.flags.writeable = False  # shared by the counts of every method and size
    return TruePairs(
        sums=score_sums,
        answered=items,
        units=units,
        guard=guard,
        n_pairs=n_pairs,
        n_true_tied=n_true_tied,
        cached=cached,
    )


def compare(pairs: TruePairs, estimates: npt.ArrayLike, *, tie_tolerance: float = TIE_TOLERANCE) -> Comparison:
    """Pair counts and Kendall's tau-b of one method's estimates, in one pass over the pairs.

    Parameters
    ----------
    pairs
        The truth on one half of the items.
    estimates
        (n_target,) estimated accuracies, finite or NaN. Pairs with a NaN (the target answered none of the selected items)
        count as tied.
    tie_tolerance
        Estimates this close are tied; 0 for exact ties.

    Raises
    ------
    DataError
        The numbers of estimates and of targets differ.
    """
    values = np.asarray(estimates, np.float64)
    if values.shape != pairs.sums.shape:
        raise DataError(
            "There must be one estimate per target.",
            where="compare",
            got=f"estimates of shape {values.shape} for targets of shape {pairs.sums.shape}",
        )
    n_agree, n_tied, n_tied_agree = np.zeros((3, N_BINS), np.int64)
    true_tied_up = tied_in_both = 0
    for block in pairs.blocks():
        if block.bins.size:
            difference = values.take(block.higher) - values.take(block.lower)
            apart = np.add.reduceat(np.abs(difference) > tie_tolerance, block.starts, dtype=np.int64)
            n_agree[block.bins] += np.add.reduceat(difference > tie_tolerance, block.starts, dtype=np.int64)
            n_tied[block.bins] += block.sizes - apart
            near = (difference > 0) & (difference <= tie_tolerance)
            if near.any():
                n_tied_agree[block.bins] += np.add.reduceat(near, block.starts, dtype=np.int64)
        if block.tied_first.size:
            difference = values.take(block.tied_first) - values.take(block.tied_second)
            true_tied_up += int(np.count_nonzero(difference > 0))
            tied_in_both += difference.size - int(np.count_nonzero(np.abs(difference) > tie_tolerance))
    counts = PairCounts(
        n_pairs=pairs.n_pairs,
        n_agree=n_agree,
        n_tied=n_tied,
        n_tied_agree=n_tied_agree,
        n_true_tied=np.asarray(pairs.n_true_tied),
        n_true_tied_up=np.asarray(true_tied_up),
    )
    agree, tied, ordered = int(n_agree.sum()), int(n_tied.sum()), int(pairs.n_pairs.sum())
    return Comparison(counts=counts, kendall_tau=_tau_b(agree, tied, ordered, pairs.n_true_tied, tied_in_both))


def count_pairs(pairs: TruePairs, estimates: npt.ArrayLike) -> PairCounts:
    """Pair counts of one method's estimates, over all 201 bins; parameters and errors as for `compare`."""
    return compare(pairs, estimates).counts


def kendall_tau(pairs: TruePairs, estimates: npt.ArrayLike, *, tie_tolerance: float = TIE_TOLERANCE) -> float:
    """Kendall's tau-b between truth and estimates; NaN where either is constant. Parameters as for `compare`.

    With `tie_tolerance=0` this is `scipy.stats.kendalltau`. Pairs with a NaN estimate count as tied in the estimates.
    """
    return compare(pairs, estimates, tie_tolerance=tie_tolerance).kendall_tau


def mean_abs_error(truth: npt.ArrayLike, estimates: npt.ArrayLike) -> float:
    """Mean absolute error of the estimated accuracies, as a fraction, over targets where both are defined.

    Parameters
    ----------
    truth, estimates
        (n_target,) accuracies as fractions; NaN where undefined. The result is NaN if no target has both.
    """
    errors = np.abs(np.asarray(estimates, np.float64) - np.asarray(truth, np.float64))
    mean = float(errors.mean()) if errors.size else math.nan
    if math.isnan(mean):
        errors = errors[~np.isnan(errors)]
        mean = float(errors.mean()) if errors.size else math.nan
    return mean


def _tau_b(agree: int, tied: int, ordered: int, true_tied: int, tied_in_both: int) -> float:
    """(concordant − discordant) / sqrt(pairs not tied in the truth × pairs not tied in the estimates)."""
    apart = ordered + true_tied - tied - tied_in_both
    if ordered == 0 or apart == 0:
        return math.nan
    tau = (2 * agree - (ordered - tied)) / math.sqrt(ordered) / math.sqrt(apart)
    return max(-1.0, min(1.0, tau))


def _too_fine(units: int, max_items: int) -> DataError:
    return DataError(
        "The grid of the scores is too fine to bin pairs exactly in 64-bit integers.",
        where="true_pairs",
        got=f"units={units} with up to {max_items} answered items",
        hint="round the scores to a coarser grid, for example to 1/10000",
    )


def _index_blocks(targets: IndexArray) -> Iterator[tuple[IndexArray, IndexArray]]:
    """All pairs of `targets` in stored order (first < second), in blocks of whole rows."""
    n = targets.size
    rows = max(1, n if n * (n - 1) // 2 <= PAIRS_PER_BLOCK else PAIRS_PER_BLOCK // n)
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        first, second = np.nonzero(np.arange(start, stop)[:, None] < np.arange(start, n))
        yield targets[first + start], targets[second + start]


def _block(sums: IntArray, answered: IntArray, units: int, guard: int, first: IndexArray, second: IndexArray) -> PairBlock:
    """Order, bin and sort the pairs (first, second)."""
    na, nb = answered[first], answered[second]
    cross = sums[first] * nb - sums[second] * na
    scaled = np.abs(cross) * BINS_PER_UNIT
    tied = scaled <= guard
    # 201 bins fit into a byte, and bytes are sorted in linear time.
    bins = np.where(tied, 255, (scaled + guard) // (units * na * nb)).astype(np.uint8)
    order = np.argsort(bins, kind="stable")[: bins.size - int(np.count_nonzero(tied))]
    sizes = np.bincount(bins, minlength=256)[:N_BINS]
    occupied = np.flatnonzero(sizes)
    sizes = sizes[occupied].astype(np.int64)
    upward = cross[order] > 0
    first_by_bin, second_by_bin = first[order], second[order]
    return PairBlock(
        higher=np.where(upward, first_by_bin, second_by_bin),
        lower=np.where(upward, second_by_bin, first_by_bin),
        bins=occupied,
        starts=np.cumsum(sizes) - sizes,
        sizes=sizes,
        tied_first=first[tied],
        tied_second=second[tied],
    )
