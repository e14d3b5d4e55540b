"""The MDAD of a list on one group of models, such as the best, the newest, or one family."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import Mdad, TiePolicy, bootstrap_models, compare, mdad, true_pairs

Positions = NDArray[np.intp]


def group_mdad(
    profile: Profile,
    label: str,
    targets: Positions,
    rng: np.random.Generator,
    *,
    threshold: float = 0.8,
    tie_policy: TiePolicy = "wrong",
    n_resamples: int = 1000,
) -> Mdad:
    """Compute a list's MDAD over the pairs of some models, with a bootstrap interval over these models.

    Parameters
    ----------
    profile
        The leaderboard.
    label
        The list. Models without an estimate from it are left out.
    targets
        Positions of the models in the profile.
    rng
        Generator for the bootstrap.
    threshold, tie_policy, n_resamples
        As for `metrics.mdad`.
    """
    estimates = profile.estimates[label][targets, 0]
    known = targets[~np.isnan(estimates)]
    estimates, totals = profile.estimates[label][known, 0], profile.totals()
    sums, answered, units, guard = totals.sums[known], totals.answered[known], totals.units, totals.guard
    resampled = bootstrap_models(sums, answered, units, estimates, n_resamples, rng, guard=guard)
    counts = compare(true_pairs(sums, answered, units, guard=guard), estimates).counts
    return mdad(counts, threshold, tie_policy=tie_policy, ci="models", resampled=resampled)
