"""The tie rule: which pairs count as agreeing, and out of how many. It is applied here and nowhere else."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.metrics.counts import IntArray, PairCounts
from microbench_ray.metrics.pairs import FloatArray

TiePolicy = Literal["wrong", "half", "drop", "paper"]
"""How pairs with tied estimates count: not agreeing (the paper's choice), half, or not at all.

`paper` follows the paper's code: estimates are tied only when exactly equal, ties are wrong, and pairs tied on the
full benchmark are counted in bin 0, where a zero difference counts as positive.
"""

TIE_POLICIES: tuple[TiePolicy, ...] = get_args(TiePolicy)


def agreeing(counts: PairCounts, tie_policy: TiePolicy = "wrong") -> tuple[FloatArray, FloatArray]:
    """Agreeing pairs and the pairs they are out of, under a tie policy.

    Returns
    -------
    tuple of arrays
        Both (..., n_bins) float64 holding whole numbers (halves under `half`), hence exact.

    Raises
    ------
    ConfigError
        An unknown policy.
    """
    agree, pairs = doubled(counts, tie_policy)
    return agree / 2, pairs / 2


def as_runs(counts: PairCounts) -> PairCounts:
    """`counts` in the shape (n_runs, n_bins), without the empty last bins; one run where there is no leading axis.

    Raises
    ------
    DataError
        No counts, more than one leading axis, or no runs.
    """
    if not isinstance(counts, PairCounts):
        raise DataError(
            "Pair counts are needed.",
            where="agreement_curve, mdad",
            got=type(counts).__name__,
            hint="mb.pair_counts(truth, estimates)",
        )
    runs = counts[None] if counts.n_pairs.ndim == 1 else counts
    if runs.n_pairs.ndim != 2 or runs.n_pairs.shape[0] == 0:
        raise DataError(
            "Counts must have the shape (n_bins,), or (n_runs, n_bins) with at least one run.",
            where="agreement_curve, mdad",
            got=f"shape {counts.n_pairs.shape}",
            hint="PairCounts.stack puts runs along one axis",
        )
    return runs.trimmed()


def doubled(counts: PairCounts, tie_policy: TiePolicy) -> tuple[IntArray, IntArray]:
    """Twice what `agreeing` returns, as (..., n_bins) int64: half an agreement is a whole number here."""
    if tie_policy == "wrong":
        return 2 * counts.n_agree, 2 * counts.n_pairs
    if tie_policy == "half":
        return 2 * counts.n_agree + counts.n_tied, 2 * counts.n_pairs
    if tie_policy == "drop":
        return 2 * counts.n_agree, 2 * (counts.n_pairs - counts.n_tied)
    if tie_policy == "paper":
        counts = counts.padded(max(1, counts.n_bins))
        agree, pairs = 2 * (counts.n_agree + counts.n_tied_agree), 2 * counts.n_pairs
        agree[..., 0] += 2 * counts.n_true_tied_up
        pairs[..., 0] += 2 * counts.n_true_tied
        return agree, pairs
    raise ConfigError(
        "Unknown tie policy.",
        where="tie_policy",
        got=repr(tie_policy),
        hint=f"one of {', '.join(TIE_POLICIES)}",
    )


def mean_agreement(counts: PairCounts, tie_policy: TiePolicy = "wrong") -> float:
    """Share of agreeing pairs, pooled over bins and runs; NaN where there are no pairs."""
    agree, pairs = doubled(counts, tie_policy)
    total = int(pairs.sum())
    return int(agree.sum()) / total if total else float(np.nan)
