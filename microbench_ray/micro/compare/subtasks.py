"""Which subtasks changed between two runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from microbench_ray.metrics.multiplicity import Adjustment, adjusted
from microbench_ray.metrics.run_difference import Reference, run_difference
from microbench_ray.micro.compare.pairing import Paired


class SubtaskChange(NamedTuple):
    """The difference within one subtask; `p_adjusted` is its p-value, adjusted for all subtasks."""

    subtask: str
    n_items: int
    mean_a: float
    mean_b: float
    value: float
    low: float
    high: float
    p_adjusted: float


def subtask_changes(
    joined: Paired, a: int, b: int, confidence: float, reference: Reference, adjust: Adjustment
) -> list[SubtaskChange]:
    """The difference of two runs within each subtask, where there are several; p-values are adjusted for all of them."""
    names = sorted(set(joined.subtask))
    if len(names) < 2:
        return []
    found = []
    for name in names:
        items = joined.items(a, b, joined.subtask == name)
        # Within a subtask that is itself a cluster, its items are compared as independent.
        if len(np.unique(items.cluster)) < 2:
            items = items._replace(cluster=np.arange(len(items.a)))
        items = items._replace(stratum=np.zeros(len(items.a), np.intp))
        means = (float(items.shares @ np.nanmean(scores, axis=1)) for scores in (items.a, items.b))
        found.append((name, len(items.a), *means, run_difference(items, level=confidence, reference=reference)))
    p_adjusted = adjusted([each[4].p_value for each in found], adjust)
    return [
        SubtaskChange(name, n, mean_a, mean_b, difference.value, difference.low, difference.high, float(p))
        for (name, n, mean_a, mean_b, difference), p in zip(found, p_adjusted, strict=True)
    ]
