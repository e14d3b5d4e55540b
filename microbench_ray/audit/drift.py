"""Drift of a night from the baseline: one row of the history per metric, with its interval on nights without drift."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from microbench_ray.audit.drift_limits import DriftInterval, UnjudgedRule, find_unjudged, intervals, rule_of
from microbench_ray.audit.drift_null import Cohorts, MetricKey, MetricValue, evaluate_metrics, find_cohorts
from microbench_ray.audit.drift_rules import METRICS, DriftPolicy, DriftRule
from microbench_ray.audit.findings import HistoryRow
from microbench_ray.audit.profile import Profile
from microbench_ray.core import seeding
from microbench_ray.core.errors import DataError
from microbench_ray.core.threads import one_thread
from microbench_ray.sweeps.tables import rows_table


class DriftComparison(NamedTuple):
    """A night compared with the baseline."""

    table: pa.Table
    """Rows of the history, one per metric."""
    unjudged: tuple[UnjudgedRule, ...]
    """The metrics with an infinite interval, for want of models."""


class Streak(NamedTuple):
    """The side on which a value is outside (1 above, −1 below, 0 inside), and for how many nights in a row."""

    side: int
    nights: int


def detect_drift(
    baseline: Profile,
    tonight: Profile,
    new: Collection[str],
    *,
    night: str,
    policy: DriftPolicy | None = None,
    earlier: pa.Table | None = None,
    seed: int = 0,
) -> pa.Table:
    """Compare a night with the baseline; the rows of `compare_night`."""
    return compare_night(baseline, tonight, new, night=night, policy=policy, earlier=earlier, seed=seed).table


def compare_night(
    baseline: Profile,
    tonight: Profile,
    new: Collection[str],
    *,
    night: str,
    policy: DriftPolicy | None = None,
    earlier: pa.Table | None = None,
    seed: int = 0,
) -> DriftComparison:
    """Compare a night with the baseline.

    Parameters
    ----------
    baseline, tonight
        Profiles on the same items, from `profiles`.
    new
        Ids of models that tonight has for the first time; ids that the baseline has too are ignored.
    night
        Label of the night; later nights sort after it.
    policy
        The rules; None for the default ones.
    earlier
        Rows of the history (`SCHEMAS["history"]`) of any nights. Those from `night` on are ignored, so a night can be recomputed.
    seed
        Root seed. The intervals depend on it, the benchmark's name, the night's label, and the data.

    Returns
    -------
    DriftComparison
        Its table has the schema `history`, kind `metric`. `severity` is that of the rule if the value is outside for as many
        nights in a row as the rule asks for, `note` if it is outside for fewer, and empty otherwise. A metric that is not judged
        has no bounds.

    Raises
    ------
    DataError
        The profiles differ in their subtasks or lists.
    ConfigError
        A rule names an unknown list or subtask.
    """
    if baseline.subtasks != tonight.subtasks or list(baseline.estimates) != list(tonight.estimates):
        raise DataError(
            "The two profiles must have the same subtasks and lists.",
            where=f"night {night}",
            got=f"{len(baseline.subtasks)} and {len(tonight.subtasks)} subtasks, "
            f"{len(baseline.estimates)} and {len(tonight.estimates)} lists",
            hint="build both with microbench_ray.audit.profile.profiles",
        )
    policy = policy or DriftPolicy()
    policy.check(list(baseline.estimates), baseline.subtasks)
    rng = seeding.drift_stream(seed, baseline.benchmark, night)
    cohorts = find_cohorts(baseline, tonight, new)
    with one_thread():  # the number of threads changes the last bits of matrix products
        values = evaluate_metrics(baseline, tonight, cohorts, policy, rng)
    previous = _previous_rows(earlier, night)
    rows = [
        _row(key, value, interval, rule_of(policy, key), tonight.sizes.get(key.subject), cohorts, previous.get(key))
        for (key, value), interval in zip(values.items(), intervals(values, policy), strict=True)
    ]
    rows += _accuracy_changes(baseline, tonight, cohorts, policy, previous)
    table = rows_table("history", [{"night": night, **asdict(row)} for row in rows])
    return DriftComparison(table, tuple(find_unjudged(values, policy).values()))


def _row(
    key: MetricKey,
    value: MetricValue,
    interval: DriftInterval,
    rule: DriftRule,
    size: int | None,
    cohorts: Cohorts,
    previous: Mapping[str, Any] | None,
) -> HistoryRow:
    low, high = interval
    if high >= value.ceiling:
        high = math.inf
    streak = _streak(value.value, low, high, previous)
    number, reference = (None if v >= value.ceiling else v for v in (value.value, value.reference))
    bound_lo, bound_hi = (bound if math.isfinite(bound) else None for bound in (low, high))
    models = _n_models(cohorts.new.size if METRICS[key.metric].family == "new" else cohorts.added.size)
    worst = f", worst: '{value.model}'" if value.model else ""
    return HistoryRow(
        kind="metric",
        text=_text(key, number, bound_lo, bound_hi, streak, rule, models + worst),
        severity=_severity(streak, rule),
        subject=key.subject,
        size=size,
        subtask=key.subtask,
        metric=key.metric,
        value=number,
        reference=reference,
        bound_lo=bound_lo,
        bound_hi=bound_hi,
        nights=streak.nights,
    )


def _accuracy_changes(
    baseline: Profile, tonight: Profile, cohorts: Cohorts, policy: DriftPolicy, previous: Mapping[MetricKey, Mapping[str, Any]]
) -> list[HistoryRow]:
    """Rows about the models that both nights have: no sampling is involved, so any change beyond the tolerance is outside."""
    rows = []
    change = tonight.accuracy[cohorts.shared_tonight] - baseline.accuracy[cohorts.shared_baseline]
    for column, subtask in enumerate(("", *baseline.subtasks)):
        key = MetricKey(metric="accuracy_change", subject="", subtask=subtask)
        rule = policy.watched(*key, n_subtasks=len(baseline.subtasks))
        known = change[:, column][~np.isnan(change[:, column])]
        if rule is None or not known.size:
            continue
        tolerance = policy.tolerance * rule.factor
        low, high = (None if rule.sides == "up" else -tolerance), (None if rule.sides == "down" else tolerance)
        value = float(known.mean())
        streak = _streak(value, low, high, previous.get(key))
        rows.append(
            HistoryRow(
                kind="metric",
                text=_text(key, value, low, high, streak, rule, _n_models(known.size)),
                severity=_severity(streak, rule),
                subtask=subtask,
                metric="accuracy_change",
                value=value,
                reference=0.0,
                bound_lo=low,
                bound_hi=high,
                nights=streak.nights,
            )
        )
    return rows


def _side(value: float | None, low: float | None, high: float | None) -> int:
    """1 if the value is above, −1 if below, 0 if inside; a null MDAD is above any bound."""
    number = math.inf if value is None else value
    if high is not None and number > high:
        return 1
    return -1 if low is not None and number < low else 0


def _streak(value: float, low: float | None, high: float | None, previous: Mapping[str, Any] | None) -> Streak:
    """Continue the streak of the previous night if the value is outside on the same side."""
    side = _side(value, low, high)
    if side == 0 or previous is None or _side(previous["value"], previous["bound_lo"], previous["bound_hi"]) != side:
        return Streak(side=side, nights=abs(side))
    return Streak(side=side, nights=1 + int(previous["nights"] or 0))


def _previous_rows(earlier: pa.Table | None, night: str) -> dict[MetricKey, Mapping[str, Any]]:
    """The latest row of each metric before a night."""
    latest: dict[MetricKey, Mapping[str, Any]] = {}
    for row in earlier.to_pylist() if earlier is not None else ():
        if row["kind"] == "metric" and row["night"] < night:
            key = MetricKey(metric=row["metric"], subject=row["subject"], subtask=row["subtask"])
            if key not in latest or latest[key]["night"] < row["night"]:
                latest[key] = row
    return latest


def _severity(streak: Streak, rule: DriftRule) -> str:
    return "" if streak.side == 0 else rule.severity if streak.nights >= rule.nights else "note"


def _text(
    key: MetricKey, value: float | None, low: float | None, high: float | None, streak: Streak, rule: DriftRule, models: str
) -> str:
    """The sentence of a value that is outside; empty for a value inside."""
    if streak.side == 0:
        return ""
    metric = METRICS[key.metric]
    unit = " %" if key.metric.startswith("agreement") else " points"
    ends = [_percent(bound) for bound in (low, high) if bound is not None]
    bounds = " to ".join(ends) if len(ends) == 2 else f"{'at least' if high is None else 'at most'} {ends[0]}"
    shown = "never reached" if value is None else _percent(value) + unit
    allowed = "tolerance" if metric.family == "same" else "expected"
    text = f"{metric.description} ({models}): {shown}, {allowed}: {bounds}{unit}"
    about = " on ".join(f"'{name}'" for name in (key.subject, key.subtask) if name)
    text = f"{about}: {text}" if about else text[0].upper() + text[1:]
    if streak.nights < rule.nights:
        text += f"; outside for {streak.nights} of the {rule.nights} nights in a row that raise an alarm"
    elif streak.nights > 1:
        text += f"; outside for {streak.nights} nights in a row"
    return text + "."


def _n_models(n: int) -> str:
    return f"{n} model{'s' * (n != 1)}"


def _percent(value: float) -> str:
    """A fraction in percent or points."""
    return f"{100 * value:.1f}".replace("-", "−")
