"""Compares a night with the baseline: rows of the history about drift, and findings about what could not be compared or judged."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from microbench_ray.audit.audited_mdad import fixed_of, restrict_list
from microbench_ray.audit.drift import DriftComparison, compare_night
from microbench_ray.audit.drift_limits import UnjudgedRule
from microbench_ray.audit.drift_rules import METRICS
from microbench_ray.audit.findings import HistoryRow
from microbench_ray.audit.job import AuditJob
from microbench_ray.audit.profile import profiles
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method

MIN_BASELINE = 20
"""Models that the baseline needs for a comparison with new models: with fewer, intervals are too wide to be of use."""


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
    comparison = compare_night(before, now, new, night=job.night, policy=job.drift, earlier=earlier, seed=job.seed)
    rows += unjudged_rows(comparison, job.drift.level)
    return rows + [HistoryRow(**row) for row in comparison.table.drop_columns(["night"]).to_pylist()]


def unjudged_rows(comparison: DriftComparison, level: float) -> list[HistoryRow]:
    """Notes about the rules that too few models leave without a judgement, and from how many models on they will judge."""
    by_metric: dict[str, UnjudgedRule] = {}
    for rule in comparison.unjudged:
        by_metric[rule.metric] = max(rule, by_metric.get(rule.metric, rule), key=lambda each: each.n_needed)
    together: dict[UnjudgedRule, list[str]] = {}
    for metric, rule in by_metric.items():
        n_rows = comparison.table["metric"].to_pylist().count(metric)
        in_part = "" if n_rows == sum(each.metric == metric for each in comparison.unjudged) else " (in part)"
        together.setdefault(rule._replace(metric=METRICS[metric].family), []).append(metric + in_part)
    rows = []
    for rule, metrics in together.items():
        added = "new tonight" if rule.metric == "new" else "added since the baseline"
        text = (
            f"Too few models to judge {', '.join(metrics)}: of {rule.n_models:,} models, {rule.n_group:,} "
            f"{'is' if rule.n_group == 1 else 'are'} {added}, and to keep false alarms to {100 * (1 - level):.2g} % of the nights, "
            f"{rule.n_needed:,} models are needed"
        )
        rows.append(HistoryRow(kind="drift", text=text, severity="note"))
    return rows
