"""Pair counts of one leaderboard divided in many ways into a baseline and models added to it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import N_BINS, TIE_TOLERANCE, true_pairs

NO_PAIR = 255
"""In `PairMatrices.bins`: tied on the full benchmark, dropped by the tie policy, or a model with itself."""

DriftTies = Literal["wrong", "half", "drop"]
IntArray = NDArray[np.int64]


class PairMatrices(NamedTuple):
    """All pairs of models of a profile, as two symmetric matrices."""

    bins: NDArray[np.uint8]
    """(n_models, n_models) bin of the true difference of accuracies, or `NO_PAIR`."""
    agree: NDArray[np.uint8]
    """(n_models, n_models) 2 if the estimates order the pair as the true accuracies do, 1 for a tie that counts half, else 0."""


class PairSums(NamedTuple):
    """Doubled pair counts (see `metrics.ties.doubled`) of n divisions of a leaderboard, per bin."""

    base_agree: IntArray
    """(n, n_bins) agreeing pairs of the baseline."""
    base_pairs: IntArray
    """(n, n_bins) all pairs of the baseline."""
    all_agree: IntArray
    """(1, n_bins) agreeing pairs of the leaderboard."""
    all_pairs: IntArray
    """(1, n_bins) all pairs of the leaderboard."""
    late: IntArray
    """(n, 2) agreeing pairs and all pairs, over all bins, that have one of the models added last."""


def pair_matrices(profile: Profile, label: str, column: int = 0, ties: DriftTies = "wrong") -> PairMatrices:
    """Bin and order every pair of models by a list's estimates.

    Parameters
    ----------
    profile
        The leaderboard.
    label
        The list.
    column
        0 for all items, 1 + t for subtask t.
    ties
        How tied estimates count.

    Returns
    -------
    PairMatrices
        Models without an estimate or an accuracy form no pair.
    """
    values = profile.estimates[label][:, column]
    n = profile.n_models
    bins, agree = np.full((n, n), NO_PAIR, np.uint8), np.zeros((n, n), np.uint8)
    known = ~np.isnan(values)
    sums, answered, units, guard = profile.totals(column)
    truth = true_pairs(np.where(known, sums, 0), np.where(known, answered, 0), units, guard=guard)
    for block in truth.blocks():
        difference = values[block.higher] - values[block.lower]
        tied = np.abs(difference) <= TIE_TOLERANCE
        bin_ = np.repeat(block.bins, block.sizes).astype(np.uint8)
        right = np.where(tied, 1 if ties == "half" else 0, 2 * (difference > 0)).astype(np.uint8)
        if ties == "drop":
            bin_[tied] = NO_PAIR
        for one, other in ((block.higher, block.lower), (block.lower, block.higher)):
            bins[one, other] = bin_
            agree[one, other] = right
    return PairMatrices(bins=bins, agree=agree)


def division_sums(pairs: PairMatrices, added: NDArray[np.intp], n_late: int) -> PairSums:
    """Count the pairs of divisions of a leaderboard.

    Parameters
    ----------
    pairs
        Pairs of the models of the leaderboard.
    added
        (n, n_added) positions of the models that are not in the baseline, each once.
    n_late
        Number of models at the end of `added` that `PairSums.late` is about.
    """
    from microbench_ray.audit.pair_kernel import division_sums_kernel  # importing numba takes a second

    base_agree, base_pairs, all_agree, all_pairs, late = division_sums_kernel(pairs.bins, pairs.agree, added, n_late, N_BINS)
    return PairSums(base_agree=base_agree, base_pairs=base_pairs, all_agree=all_agree[None], all_pairs=all_pairs[None], late=late)
