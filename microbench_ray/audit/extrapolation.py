"""A list's MDAD among a group of models: better, newer, or of another family than the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import Mdad, TiePolicy, bootstrap_models, compare, mdad, true_pairs

Positions = NDArray[np.intp]


def mdad_among(
    profile: Profile,
    label: str,
    targets: Positions,
    rng: np.random.Generator,
    *,
    threshold: float = 0.8,
    tie_policy: TiePolicy = "wrong",
    n_resamples: int = 1000,
) -> Mdad:
    """A list's MDAD among some models alone, with the interval of the bootstrap over these models.

    Parameters
    ----------
    profile
        The leaderboard.
    label
        The list. Models without an estimate by it are no targets.
    targets
        Positions in the profile.
    rng
        Of the bootstrap.
    threshold, tie_policy, n_resamples
        As for `metrics.mdad`.
    """
    estimates = profile.estimates[label][targets, 0]
    some = targets[~np.isnan(estimates)]
    estimates, sums, answered = profile.estimates[label][some, 0], profile.sums[some, 0], profile.answered[some, 0]
    resampled = bootstrap_models(sums, answered, profile.units, estimates, n_resamples, rng)
    counts = compare(true_pairs(sums, answered, profile.units), estimates).counts
    return mdad(counts, threshold, tie_policy=tie_policy, ci="models", resampled=resampled)
