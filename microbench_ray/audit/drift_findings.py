"""Compares a night with the baseline: rows of the history about drift, or the finding that there is nothing to compare."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from microbench_ray.audit.audited_mdad import fixed_of, restrict_list
from microbench_ray.audit.drift import detect_drift
from microbench_ray.audit.findings import HistoryRow
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.profile import profiles
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method

MIN_BASELINE = 20
"""Models that the baseline needs for a comparison with new models: fewer give no usable interval."""


def drift_rows(
    job: AuditJob,
    *,
    tonight: Benchmark,
    baseline: Benchmark,
    earlier: pa.Table,
    lists: Sequence[Method],
    new: Collection[str],
) -> list[HistoryRow]:
    """Compare tonight with the baseline; no rows if tonight is the baseline.

    Parameters
    ----------
    job
        Drift rules, seed, and label of the night.
    tonight, baseline
        The two leaderboards. Without a common item, that is the only finding.
    earlier
        Rows of the history since the night of the baseline.
    lists
        The audited lists, restricted to tonight's items.
    new
        Ids of models that tonight has for the first time.
    """
    if tonight.digest == baseline.digest:
        return []
    hint = "microbench accept makes the latest night the baseline (violated=true if its verdict is VIOLATED)"
    if not set(tonight.item_ids) & set(baseline.item_ids):
        text = f"Tonight's benchmark and the baseline have no items in common and cannot be compared; {hint}"
        return [HistoryRow(kind="drift", text=text, severity="fail")]
    comparable = {
        method.label: fixed_of(method) for method in lists if restrict_list(method, list(baseline.item_ids))[0] is not None
    }
    before, now = profiles(baseline, tonight, comparable)
    rows: list[HistoryRow] = []
    if baseline.n_models < MIN_BASELINE:
        known = np.isin(now.model_ids.astype(str), before.model_ids.astype(str))
        if not known.all():
            text = (
                f"New models are not checked for drift: the baseline has {baseline.n_models} models, "
                f"at least {MIN_BASELINE} are needed; {hint}"
            )
            rows.append(HistoryRow(kind="drift", text=text, severity="note"))
        now = now.take(np.flatnonzero(known))
    table = detect_drift(before, now, new, night=job.night, policy=job.drift, earlier=earlier, seed=job.seed)
    return rows + [HistoryRow(**row) for row in table.drop_columns(["night"]).to_pylist()]
