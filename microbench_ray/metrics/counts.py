"""Pair counts: the integers that a cell stores and from which every agreement and MDAD is reduced.

Counts add exactly and in any order; tie rules, thresholds and intervals are applied to their sums (`ties`, `curve`, `mdad`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from microbench_ray.core.errors import DataError

IntArray = npt.NDArray[np.int64]

BINS_PER_UNIT = 200
"""Bins per unit of accuracy difference: a bin is half a point (0.005) wide."""

N_BINS = BINS_PER_UNIT + 1
"""Half-point bins for differences 0 to 1; the last bin, 200, holds only a difference of exactly 1."""


@dataclass(frozen=True, eq=False, repr=False)
class PairCounts:
    """Counts of pairs of target models, per bin of their difference on the full benchmark.

    Leading axes (none, runs, or resamples) are shared by all fields; bin b holds differences in [b/200, (b+1)/200).

    Parameters
    ----------
    n_pairs
        (..., n_bins) pairs that differ on the full benchmark.
    n_agree
        (..., n_bins) of those, pairs whose estimates differ by more than 1e-12, in the true order.
    n_tied
        (..., n_bins) of those, pairs whose estimates lie within 1e-12 of each other, or of which an estimate is undefined.
    n_tied_agree
        (..., n_bins) of the tied, pairs whose estimates are not exactly equal and lie in the true order.
    n_true_tied
        (...) pairs tied on the full benchmark, which have no order to preserve and are not in any bin.
    n_true_tied_up
        (...) of those, pairs i < j in the stored order of targets with estimate i > estimate j, compared exactly.

    Raises
    ------
    DataError
        Fields that are not int64 or whose shapes do not fit together.
    """

    n_pairs: IntArray
    n_agree: IntArray
    n_tied: IntArray
    n_tied_agree: IntArray
    n_true_tied: IntArray
    n_true_tied_up: IntArray

    def __post_init__(self) -> None:
        shape = self.n_pairs.shape
        for name, array in self._items():
            expected = shape[:-1] if name in _PER_RUN else shape
            if array.dtype != np.int64 or array.shape != expected or not shape:
                raise DataError(
                    "Pair counts must be int64 arrays of one shape, whose last axis is the bins.",
                    where=f"PairCounts.{name}",
                    got=f"{array.dtype} of shape {array.shape}, where n_pairs has shape {shape}",
                    hint="build counts with count_pairs, pair_counts or PairCounts.stack",
                )

    def __repr__(self) -> str:
        total = {name: f"{int(array.sum()):,}" for name, array in self._items()}
        shape = f"{' x '.join(map(str, self.n_true_tied.shape))} x " if self.n_true_tied.ndim else ""
        return (
            f"PairCounts({shape}{self.n_bins} bins: {total['n_pairs']} pairs, {total['n_agree']} agree, {total['n_tied']} tied; "
            f"{total['n_true_tied']} pairs without a true order)"
        )

    def _items(self) -> list[tuple[str, IntArray]]:
        return [(name, getattr(self, name)) for name in _FIELDS]

    @classmethod
    def zeros(cls, shape: tuple[int, ...] = (), n_bins: int = N_BINS) -> PairCounts:
        """No pairs: the neutral element of `+`, of leading shape `shape`."""
        return cls(**{name: np.zeros(shape if name in _PER_RUN else (*shape, n_bins), np.int64) for name in _FIELDS})

    @classmethod
    def stack(cls, counts: Sequence[PairCounts]) -> PairCounts:
        """Put counts of equal leading shape (one run each, say) along a new first axis; missing bins are zero.

        Raises
        ------
        DataError
            No counts at all.
        """
        if not counts:
            raise DataError("There are no pair counts to stack.", where="PairCounts.stack", got="an empty sequence")
        n_bins = max(run.n_bins for run in counts)
        padded = [run.padded(n_bins) for run in counts]
        return cls(**{name: np.stack([getattr(run, name) for run in padded]) for name in _FIELDS})

    @property
    def n_bins(self) -> int:
        """Number of bins held, from bin 0 on."""
        return int(self.n_pairs.shape[-1])

    def __getitem__(self, index: Any) -> PairCounts:
        """Index or slice the leading axes: `counts[:10]` are the first ten runs."""
        return PairCounts(**{name: np.asarray(array[index]) for name, array in self._items()})

    def __add__(self, other: PairCounts) -> PairCounts:
        """Merge: exact, commutative and associative; missing bins count as zero, leading axes broadcast."""
        n_bins = max(self.n_bins, other.n_bins)
        left, right = self.padded(n_bins), other.padded(n_bins)
        return PairCounts(**{name: np.asarray(array + getattr(right, name)) for name, array in left._items()})

    def equals(self, other: PairCounts) -> bool:
        """Whether both hold the same counts over the same bins and leading axes."""
        return all(np.array_equal(array, getattr(other, name)) for name, array in self._items())

    def total(self) -> PairCounts:
        """Sum over all leading axes."""
        leading = tuple(range(self.n_true_tied.ndim))
        return PairCounts(**{name: np.asarray(array.sum(axis=leading)) for name, array in self._items()})

    def trimmed(self) -> PairCounts:
        """Drop the bins after the last one that holds a pair in any run; at least bin 0 is kept."""
        occupied = np.flatnonzero(self.n_pairs.reshape(-1, self.n_bins).any(axis=0))
        n_bins = int(occupied[-1]) + 1 if occupied.size else 1
        if n_bins == self.n_bins:
            return self
        if n_bins > self.n_bins:
            return self.padded(n_bins)
        return PairCounts(**{k: array if k in _PER_RUN else array[..., :n_bins] for k, array in self._items()})

    def padded(self, n_bins: int = N_BINS) -> PairCounts:
        """Append empty bins, up to `n_bins` in all.

        Raises
        ------
        DataError
            `n_bins` is smaller than the number of bins held.
        """
        if n_bins == self.n_bins:
            return self
        if n_bins < self.n_bins:
            raise DataError(
                "Padding cannot drop bins.",
                where="PairCounts.padded",
                got=f"n_bins={n_bins}, of {self.n_bins}",
                hint="use trimmed() to drop empty bins",
            )
        extra = [(0, 0)] * (self.n_pairs.ndim - 1) + [(0, n_bins - self.n_bins)]
        return PairCounts(**{k: array if k in _PER_RUN else np.pad(array, extra) for k, array in self._items()})


_FIELDS = tuple(field.name for field in fields(PairCounts))
_PER_RUN = frozenset({"n_true_tied", "n_true_tied_up"})
