"""Drift of a night against the baseline, as rows of the history; and when nothing can be said of it, why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from microbench_ray.audit.audited_mdad import fitting
from microbench_ray.audit.drift import drift
from microbench_ray.audit.findings import Row, finding
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.profile import profiles
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.methods.selectors.fixed import Fixed

MIN_BASELINE = 20
"""Models of the baseline below which nobody knows what chance gives: new models are then not compared with it."""


def drift_rows(
    audit: AuditJob, tonight: Benchmark, baseline: Benchmark, since: pa.Table, lists: Sequence[Method], new: Collection[str]
) -> list[Row]:
    """Tonight against the baseline; nothing on the night that is the baseline.

    Parameters
    ----------
    audit
        Policy, seed, and label of the night.
    tonight, baseline
        The two leaderboards. Where they have no item in common, that is the finding.
    since
        Rows of the history of the nights since the baseline.
    lists
        As far as tonight's benchmark has their items.
    new
        Model ids that tonight has for the first time.
    """
    if tonight.digest == baseline.digest:
        return []
    hint = "microbench accept makes this night the baseline"
    if not set(tonight.item_ids) & set(baseline.item_ids):
        text = f"Tonight's benchmark has none of the baseline's items, and cannot be compared with it: {hint}"
        return [finding("drift", text, severity="fail")]
    fixed = {}
    for method in lists:
        assert isinstance(method.selector, Fixed)
        if fitting(method, list(baseline.item_ids))[0] is not None:
            fixed[method.label] = method.selector
    before, now = profiles(baseline, tonight, fixed)
    rows: list[Row] = []
    if baseline.n_models < MIN_BASELINE:
        known = np.isin(now.model_ids.astype(str), before.model_ids.astype(str))
        if not known.all():
            text = f"The baseline has {baseline.n_models} models: new ones are compared with {MIN_BASELINE} or more; {hint}"
            rows.append(finding("drift", text, severity="note"))
        now = now.take(np.flatnonzero(known))
    table = drift(before, now, new, night=audit.night, policy=audit.drift, earlier=since, seed=audit.seed)
    return rows + [{key: _plain(value) for key, value in row.items() if key != "night"} for row in table.to_pylist()]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value
