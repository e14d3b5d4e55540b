"""Limits of a night's metrics, and which of them too few models leave without one."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from numpy.typing import NDArray

from microbench_ray.audit.drift import DriftComparison
from microbench_ray.audit.drift_findings import unjudged_rows
from microbench_ray.audit.drift_limits import UnjudgedRule, find_unjudged, intervals, smallest_probability
from microbench_ray.audit.drift_null import MetricKey, MetricValue
from microbench_ray.audit.drift_rules import DriftPolicy, DriftRule
from microbench_ray.audit.findings import HistoryRow
from microbench_ray.sweeps.tables import rows_table


def metric(null: NDArray[np.float64], scale: float = 1.0, n_models: int = 1000, n_group: int = 4) -> MetricValue:
    return MetricValue(
        value=0.0, reference=0.0, centre=0.0, scale=scale, null=null, n_models=n_models, n_group=n_group, ceiling=math.inf
    )


def test_the_intervals_hold_simultaneously_at_the_level() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    scales = (1.0, 5.0, 0.1)
    nulls = (rng.standard_t(3, n), rng.normal(size=n), rng.normal(size=n))
    keys = (MetricKey("bias_new", "l", ""), MetricKey("bias_new", "l", "s"), MetricKey("bias_added", "l", ""))
    values = {key: metric(null, scale) for key, null, scale in zip(keys, nulls, scales, strict=True)}
    found = intervals(values, DriftPolicy(n_resamples=n, level=0.95))
    outside = [np.abs(null * scale) > each.high for null, scale, each in zip(nulls, scales, found, strict=True)]
    # Of 2,001 divisions, tonight's among them, 5 % are 100.
    assert abs(np.any(outside, axis=0).sum() - 99) <= 2
    # The two metrics of new models share a limit, and cause four fifths of the false alarms.
    assert found[1].high == pytest.approx(5 * found[0].high)
    assert 14 <= outside[2].sum() <= 26
    for each in found:
        assert each.low == -each.high


def test_tonight_is_one_of_the_divisions() -> None:
    # Of 200 divisions, tonight's among them, 1 % are two: tonight and the largest of the other 199.
    (interval,) = intervals({MetricKey("bias_new", "l", ""): metric(np.arange(199.0))}, DriftPolicy(n_resamples=200))
    assert interval.high == pytest.approx(197, rel=1e-6)
    assert interval.high > 197  # a value at the limit is inside


def test_a_factor_widens_an_interval_and_one_sided_rules_open_one_side() -> None:
    value = metric(np.random.default_rng(0).normal(size=500))
    key = MetricKey("bias_new", "l", "")
    plain, wide, up = (
        intervals({key: value}, DriftPolicy((rule,), n_resamples=500))[0]
        for rule in (DriftRule("bias_new"), DriftRule("bias_new", factor=2), DriftRule("bias_new", sides="up"))
    )
    assert wide == pytest.approx(plain)  # a single rule keeps the level whatever its factor
    assert up.low == -np.inf
    assert up.high < plain.high
    both = {key: value, MetricKey("bias_new", "m", ""): value}
    rules = (DriftRule("bias_new", subjects=("l",), factor=2), DriftRule("bias_new"))
    wide, plain = intervals(both, DriftPolicy(rules, n_resamples=500))
    assert wide.high - wide.low == pytest.approx(2 * (plain.high - plain.low))


def test_how_extreme_a_night_can_be_by_hand() -> None:
    # Of 10 models, 2 are new. Whichever one is off most, 2 of 10 divisions have it; whichever two, 1 of 45 has both.
    assert smallest_probability("residual_worst", 10, 2) == 0.2
    assert smallest_probability("residual_new", 10, 2) == 1 / 45
    assert smallest_probability("residual_new", 10, 1) == smallest_probability("residual_worst", 10, 1) == 0.1


@pytest.mark.parametrize(
    ("name", "n_group", "n_needed"),
    [
        ("residual_worst", 4, 400),  # 4/400 is 1 %
        ("residual_new", 1, 100),
        ("residual_new", 2, 15),  # 15 · 14 / 2 = 105, but 14 · 13 / 2 = 91
        ("agreement_new", 4, 9),  # 9 · 8 · 7 · 6 / 24 = 126, but 8 · 7 · 6 · 5 / 24 = 70
    ],
)
def test_from_how_many_models_on_a_rule_judges(name: str, n_group: int, n_needed: int) -> None:
    policy, null = DriftPolicy((DriftRule(name),), n_resamples=200), np.random.default_rng(0).normal(size=200)
    key = MetricKey(name, "" if name.startswith("residual") else "l", "s" if name.startswith("residual") else "")
    few, enough = (metric(null, n_models=n, n_group=n_group) for n in (n_needed - 1, n_needed))
    assert find_unjudged({key: few}, policy) == {key: UnjudgedRule(name, n_needed - 1, n_group, n_needed)}
    assert intervals({key: few}, policy) == [(-math.inf, math.inf)]
    assert find_unjudged({key: enough}, policy) == {}
    assert math.isfinite(intervals({key: enough}, policy)[0].high)


def test_families_share_the_level() -> None:
    null = np.random.default_rng(0).normal(size=2000)
    new, added = MetricKey("bias_new", "l", ""), MetricKey("bias_added", "l", "")
    values = {new: metric(null, n_models=124, n_group=1), added: metric(null, n_models=124, n_group=20)}
    assert find_unjudged(values, DriftPolicy())[new].n_needed == 125  # 1/125 is four fifths of 1 %
    assert find_unjudged({new: values[new]}, DriftPolicy()) == {}
    # A rule that judges nothing leaves the whole level to the others.
    alone, beside = intervals({added: values[added]}, DriftPolicy())[0], intervals(values, DriftPolicy())[1]
    assert alone == beside


def test_a_metric_without_an_added_model_is_as_in_the_baseline() -> None:
    null = np.random.default_rng(0).normal(size=200)
    key = MetricKey("agreement", "l", "")
    policy = DriftPolicy((DriftRule("agreement"),), n_resamples=200)
    assert find_unjudged({key: metric(null, n_group=0)}, policy) == {}


def test_notes_name_the_rules_that_judge_nothing_and_the_models_they_need() -> None:
    metrics = ["bias_new", "bias_new", "residual_new", "residual_worst"]
    rows = [{"night": "n", "kind": "metric", "metric": name, "subject": f"l{k}"} for k, name in enumerate(metrics)]
    table = rows_table("history", [{**asdict(HistoryRow(kind="metric")), **row} for row in rows])
    unjudged = (
        UnjudgedRule("bias_new", 39, 1, 125),  # one of the two lists
        UnjudgedRule("residual_worst", 40, 2, 250),
        UnjudgedRule("residual_new", 40, 2, 250),
    )
    notes = unjudged_rows(DriftComparison(table, unjudged), 0.99)
    assert {(note.kind, note.severity) for note in notes} == {("drift", "note")}
    first, second = (note.text for note in notes)
    for word in ("bias_new (in part)", "of 39 models, 1 is new tonight", "1 % of the nights", "125 models are needed"):
        assert word in first
    for word in ("residual_worst, residual_new", "of 40 models, 2 are new tonight", "250 models are needed"):
        assert word in second
    assert unjudged_rows(DriftComparison(table, ()), 0.99) == []
