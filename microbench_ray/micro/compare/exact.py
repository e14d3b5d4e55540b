"""Well-known tests on the same items, for readers who know them by name."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from microbench_ray.metrics.run_difference import Items
from microbench_ray.metrics.tail_shares import binomial_share, student_share
from microbench_ray.micro.compare.pairing import Paired


class PairedTests(NamedTuple):
    """Two-sided p-values of no difference; None where a test does not apply.

    Attributes
    ----------
    mcnemar
        McNemar's exact test: scores of 0 and 1, every item answered once, no clusters, every item of the same weight.
    paired_t
        Student's paired test of the items' mean scores: no clusters, every item of the same weight, differences that vary.
    """

    mcnemar: float | None
    paired_t: float | None


def paired_tests(joined: Paired, items: Items) -> PairedTests:
    """The tests that apply to two runs."""
    same = joined.weight is None and len(np.unique(joined.stratum)) == 1
    if not same or len(np.unique(joined.cluster)) < len(joined.item_ids):
        return PairedTests(mcnemar=None, paired_t=None)
    mean_a, mean_b = np.nanmean(items.a, axis=1), np.nanmean(items.b, axis=1)
    binary = all(each.shape[1] == 1 and np.isin(each, (0.0, 1.0)).all() for each in (items.a, items.b))
    better, worse = int((mean_b > mean_a).sum()), int((mean_b < mean_a).sum())
    exact = min(1.0, 2 * binomial_share(min(better, worse), better + worse, 0.5))
    gap = mean_b - mean_a
    p_t = None
    if np.ptp(gap) > 0:
        t = float(gap.mean() / (gap.std(ddof=1) / math.sqrt(gap.size)))
        p_t = 2 * student_share(gap.size - 1, -abs(t))
    return PairedTests(mcnemar=exact if binary else None, paired_t=p_t)
