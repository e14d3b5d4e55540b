"""Pair counts of leaderboards whose models count a whole number of times, from which MDADs are simulated.

The same counts as `metrics.bootstrap_models`, one list at a time and ten times as fast, with models added one after the other.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import N_BINS, TIE_TOLERANCE, true_pairs

NO_PAIR = 255
"""In `Pairs.bins`: tied on the full benchmark, left out by the tie policy, or a model with itself."""

DriftTies = Literal["wrong", "half", "drop"]
IntArray = NDArray[np.int64]


class Pairs(NamedTuple):
    """Every pair of models of a profile, as two symmetric matrices."""

    bins: NDArray[np.uint8]
    """(n_models, n_models) bin of the true difference, or `NO_PAIR`."""
    agree: NDArray[np.uint8]
    """(n_models, n_models) 2 where the estimates order the pair as the truth does, 1 for half an agreement, else 0."""


class Sums(NamedTuple):
    """Doubled counts (see `metrics.ties.doubled`) of one or more leaderboards, per bin."""

    agree: IntArray
    """(n, n_bins) before any model was added."""
    pairs: IntArray
    all_agree: IntArray
    """(n, n_bins) with every added model."""
    all_pairs: IntArray
    late: IntArray
    """(n, 2) agreeing and all pairs of the models added last with any other."""


def pairs_of(profile: Profile, label: str, column: int = 0, ties: DriftTies = "wrong") -> Pairs:
    """The pairs of models by a list's estimates.

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
    Pairs
        A model without an estimate, or without an accuracy, makes no pair.
    """
    values = profile.estimates[label][:, column]
    n = profile.n_models
    bins, agree = np.full((n, n), NO_PAIR, np.uint8), np.zeros((n, n), np.uint8)
    known = ~np.isnan(values)
    truth = true_pairs(np.where(known, profile.sums[:, column], 0), np.where(known, profile.answered[:, column], 0), profile.units)
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
    return Pairs(bins, agree)


def weighted_sums(pairs: Pairs, base: IntArray, added: IntArray, n_late: int) -> Sums:
    """Count the pairs of leaderboards drawn from one.

    Parameters
    ----------
    pairs
        Of the models that are drawn from.
    base
        (n, n_models) how often each model is in each leaderboard to begin with. A pair counts as often as its models are drawn
        together; a model makes no pair with itself.
    added
        (n, n_added) positions of the models that are added, which may repeat.
    n_late
        Of those, how many come last.
    """
    from microbench_ray.audit.pair_kernel import weighted_sums_kernel  # brings numba, which takes a second

    return Sums(*weighted_sums_kernel(pairs.bins, pairs.agree, base, added, n_late, N_BINS))
