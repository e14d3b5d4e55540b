"""The intervals of a night's metrics, which hold simultaneously, and the rules that too few models leave without one.

The limits hold for all metrics together (max-T: Westfall and Young 1993, "Resampling-Based Multiple Testing"): the limit is a
quantile of the largest deviation of a random division of the models, in units of standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from microbench_ray.audit.drift_null import FloatArray, MetricKey, MetricValue
from microbench_ray.audit.drift_rules import METRICS, DriftPolicy, DriftRule, Family, is_of_pairs

LEVEL_SHARES: Mapping[Family, float] = {"new": 0.8, "added": 0.2}
"""Shares of the false alarms that a family may cause.

A few new models have heavy tails, and a larger share lets rules about them judge from fewer models on. Means over many added
models have light tails, so that a smaller share hardly widens their intervals.
"""
ROUNDING = 1e-9
"""Relative error of computed values: a value this close to its limit is inside."""


class DriftInterval(NamedTuple):
    """The interval of a metric on a night without drift; an open side is infinite."""

    low: float
    high: float


class UnjudgedRule(NamedTuple):
    """A rule about added models that judges nothing tonight, because too few models exist to hold it at its level.

    Attributes
    ----------
    metric
        Of the rule.
    n_models
        Models for which the metric is defined, with the added ones.
    n_group
        Those of them that the metric is about.
    n_needed
        The smallest `n_models` with which the rule judges `n_group` models.
    """

    metric: str
    n_models: int
    n_group: int
    n_needed: int


def intervals(values: Mapping[MetricKey, MetricValue], policy: DriftPolicy) -> list[DriftInterval]:
    """Compute the simultaneous intervals of the metrics of a night, in their order.

    Tonight's metrics are over a handful of models and have heavier tails than those over all added models. The largest deviation
    is therefore taken within each family, and each family has its own limit, at quantiles in the proportion of `LEVEL_SHARES`
    such that all together keep the level. A metric that could not reach its limit, whatever the models, has an infinite interval,
    and does not count.
    """
    unjudged = find_unjudged(values, policy)
    judged = {key: value for key, value in values.items() if key not in unjudged}
    extremes: dict[Family, FloatArray] = {}
    for key, value in judged.items():
        rule, family = rule_of(policy, key), METRICS[key.metric].family
        deviation = _outward(value.null / rule.factor, rule)
        extremes[family] = np.maximum(extremes.get(family, np.array(-np.inf)), deviation)
    limits = _limits(extremes, policy.level) if extremes else {}
    found = []
    for key, value in values.items():
        if key not in judged:
            found.append(DriftInterval(-math.inf, math.inf))
            continue
        rule = rule_of(policy, key)
        half_width = limits[METRICS[key.metric].family] * rule.factor * value.scale * (1 + ROUNDING)
        low = -math.inf if rule.sides == "up" else value.centre - half_width
        high = math.inf if rule.sides == "down" else value.centre + half_width
        if is_of_pairs(key.metric):
            low, high = max(low, 0.0), min(high, 1.0)
        found.append(DriftInterval(low=low, high=high))
    return found


def find_unjudged(values: Mapping[MetricKey, MetricValue], policy: DriftPolicy) -> dict[MetricKey, UnjudgedRule]:
    """Find the metrics that cannot be judged with the models at hand.

    However far the models of a group are off, other divisions of the models are as extreme without drift: for the largest
    deviation of a model those whose group has this model, k of n divisions with k models in the group; for a mean those with the
    same group, one of the binomial coefficient of n and k. If they are more than the rule may cause false alarms, it cannot raise
    one.
    """
    shares = {family: LEVEL_SHARES[family] for family in {METRICS[key.metric].family for key in values}}
    found = {}
    for key, value in values.items():
        if value.n_group == 0:  # the same as in the baseline
            continue
        allowed = (1 - policy.level) * shares[METRICS[key.metric].family] / sum(shares.values()) * (1 + ROUNDING)
        needed = value.n_models
        while smallest_probability(key.metric, needed, value.n_group) > allowed:
            needed = max(needed + 1, math.ceil(value.n_group / allowed) if key.metric == "residual_worst" else 0)
        if needed > value.n_models:
            found[key] = UnjudgedRule(key.metric, value.n_models, value.n_group, needed)
    return found


def smallest_probability(metric: str, n_models: int, n_group: int) -> float:
    """The smallest probability, without drift, of a value at least as extreme as that of the most extreme group possible."""
    return n_group / n_models if metric == "residual_worst" else 1 / math.comb(n_models, n_group)


def rule_of(policy: DriftPolicy, key: MetricKey) -> DriftRule:
    """The rule of a metric that has one."""
    rule = policy.rule(*key)
    assert rule is not None  # only metrics with a rule are evaluated
    return rule


def _outward(deviation: FloatArray, rule: DriftRule) -> FloatArray:
    return np.abs(deviation) if rule.sides == "two" else deviation if rule.sides == "up" else -deviation


def _limits(extremes: Mapping[Family, FloatArray], level: float) -> dict[Family, float]:
    """Limits on the largest deviation of each family such that `level` of the divisions keep them all.

    The most extreme divisions of each family are outside, in the proportion of the shares and at least one: as many as keep the
    number of divisions outside in any family to 1 − `level` of all. Tonight's is one more, as likely as any other to be outside.
    """
    ordered = {family: np.sort(values) for family, values in extremes.items()}
    n = next(iter(ordered.values())).size
    # By family and division, the number of divisions at least as extreme.
    ranks = {family: n - np.searchsorted(ordered[family], values, side="left") for family, values in extremes.items()}

    def most_extreme(total: int) -> dict[Family, int]:
        return {family: max(1, math.floor(total * LEVEL_SHARES[family] * (1 + ROUNDING))) for family in ranks}

    allowed = math.floor((n + 1) * (1 - level) * (1 + ROUNDING))
    total = 1
    while np.any([ranks[family] <= m for family, m in most_extreme(total + 1).items()], axis=0).sum() <= allowed:
        total += 1
    return {family: float(ordered[family][n - m]) for family, m in most_extreme(total).items()}
