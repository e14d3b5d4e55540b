"""Which differences a micro-benchmark detects among held-out models, with an interval over models or groups of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics import Mdad, PairCounts, agreement_curve, bootstrap_models, compare, expanded_level, mdad
from microbench_ray.micro.records import MIN_COMPARED
from microbench_ray.sweeps.evaluate import Truth

FloatArray = NDArray[np.float64]

RESAMPLES = 1000


class ComparedPairs(NamedTuple):
    """The entries `mdad` and `agreement` of a `HeldOut`."""

    mdad: dict[str, float | None]
    agreement: list[dict[str, float]]


def compare_pairs(truth: Truth, estimates: FloatArray, groups: NDArray[np.intp], rng: np.random.Generator) -> ComparedPairs:
    """Compare the order of all pairs of held-out models with the true one.

    The pairs share models, and the interval is therefore over resamples of the models, or of their groups. Two models may have been
    estimated by different micro-benchmarks, those of their folds; with few models, the MDAD is a little too large for this.

    Parameters
    ----------
    truth, estimates, groups
        Of the same models, (n,).
    rng
        Draws the resamples.
    """
    counts = compare(truth.pairs, estimates).counts
    compared = ~np.isnan(estimates) & (truth.totals.answered > 0)
    n_models, n_groups = int(compared.sum()), int(np.unique(groups[compared]).size)
    agreement, known = _agreement_rows(counts), {"n_models": n_models, "n_groups": n_groups}
    if n_groups < MIN_COMPARED or not counts.n_pairs.any():
        return ComparedPairs(_mdad_row(None) | known, agreement)
    by_group = groups if n_groups < n_models else None
    totals = truth.totals
    resampled = bootstrap_models(
        totals.sums, totals.answered, totals.units, estimates, RESAMPLES, rng, by_group, guard=totals.guard
    )
    level = expanded_level(0.95, n_groups)
    return ComparedPairs(_mdad_row(mdad(counts, ci="models", resampled=resampled, level=level)) | known, agreement)


def _mdad_row(detectable: Mdad | None) -> dict[str, float | None]:
    """`HeldOut.mdad` without the numbers of models and groups; all None where there are too few."""
    if detectable is None:
        return dict.fromkeys(("mdad", "mdad_monotone", "ci_lo", "ci_hi"))
    values = {
        "mdad": detectable.mdad,
        "mdad_monotone": detectable.mdad_monotone,
        "ci_lo": detectable.mdad_monotone_ci_lo,
        "ci_hi": detectable.mdad_monotone_ci_hi,
    }
    return {key: None if math.isnan(value) else float(value) for key, value in values.items()}


def _agreement_rows(counts: PairCounts) -> list[dict[str, float]]:
    curve = agreement_curve(counts)
    return [
        {"diff_lo": float(curve.diff_lo[k]), "agreement": float(curve.agreement[k]), "n_pairs": int(curve.n_pairs[k])}
        for k in np.flatnonzero(curve.n_pairs)
    ]
