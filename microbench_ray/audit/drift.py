"""Is tonight unlike the baseline? One row of the history per metric, with the interval in which a night without drift lies.

The intervals hold for all metrics of a night together (max-T: Westfall and Young 1993, "Resampling-Based Multiple Testing"):
each metric is scaled by its standard deviation on simulated nights, and the limit is a quantile of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.audit.drift_null import Cohorts, Key, Value, evaluate, find_cohorts
from microbench_ray.audit.drift_rules import METRICS, DriftRule, Policy, is_of_pairs
from microbench_ray.audit.profile import Profile
from microbench_ray.core import seeding
from microbench_ray.core.errors import DataError
from microbench_ray.core.threads import one_thread
from microbench_ray.sweeps.tables import rows_table

FloatArray = NDArray[np.float64]


class DriftInterval(NamedTuple):
    """Where a metric lies on a night without drift; an open side is infinite."""

    low: float
    high: float


def drift(
    baseline: Profile,
    tonight: Profile,
    new: Collection[str],
    *,
    night: str,
    policy: Policy | None = None,
    earlier: pa.Table | None = None,
    seed: int = 0,
) -> pa.Table:
    """Compare a night with the baseline.

    Parameters
    ----------
    baseline, tonight
        On the same items: from `profiles`.
    new
        Model ids that tonight has for the first time. Those that the baseline has are not counted as new.
    night
        Its label; later ones sort after.
    policy
        The rules; None for the default ones.
    earlier
        History rows (`SCHEMAS["history"]`) of any nights; those from `night` on are ignored, so that a night may be repeated.
    seed
        Root seed: the intervals are a function of it, the benchmark's name, the night's label, and the data.

    Returns
    -------
    pyarrow.Table
        Of the schema `history`, kind `metric`. `severity` is the rule's where it is outside for as many nights running as the
        rule says, `note` where it is outside for fewer, empty otherwise.

    Raises
    ------
    DataError
        The profiles are of different subtasks or lists.
    ConfigError
        A rule is about a list or a subtask that there is not.
    """
    if baseline.subtasks != tonight.subtasks or list(baseline.estimates) != list(tonight.estimates):
        raise DataError(
            "Drift compares two nights on the same items and lists.",
            where=f"night {night}",
            got=f"{len(baseline.subtasks)} and {len(tonight.subtasks)} subtasks",
            hint="make both with microbench_ray.audit.profile.profiles",
        )
    policy = policy or Policy()
    policy.check(list(baseline.estimates), baseline.subtasks)
    rng = seeding.drift_stream(seed, baseline.benchmark, night)
    who = find_cohorts(baseline, tonight, new)
    with one_thread():  # products of matrices change bits with the number of threads
        values = evaluate(baseline, tonight, who, policy, rng)
    before = _last_rows(earlier, night)
    rows = [
        _row(night, key, value, interval, policy, tonight, who, before.get(key))
        for (key, value), interval in zip(values.items(), intervals(values, policy, who.kept.size), strict=True)
    ]
    rows += _changes_of_accuracy(night, baseline, tonight, who, policy, before)
    return rows_table("history", rows)


def intervals(values: Mapping[Key, Value], policy: Policy, n_baseline: int) -> list[DriftInterval]:
    """The simultaneous intervals of the metrics of a night, in their order.

    Tonight's metrics are of a handful of models and have heavier tails than those of all added ones. So the largest scaled
    deviation is taken of each family by itself, and of both the same quantile, chosen so that the two together keep the level.

    A few hundred models tell too little of how far off one can be. So the bootstrap is a smoothed one (Silverman and Young 1987,
    "The bootstrap: to smooth or not to smooth?"), with a bandwidth of n^(-1/5) standard deviations for the n models of the
    baseline, which widens all metrics alike.
    """
    if not values:
        return []
    rules = [_rule(policy, key) for key in values]
    spread: list[tuple[float, float]] = []
    extremes: dict[str, FloatArray] = {}
    for (key, value), rule in zip(values.items(), rules, strict=True):
        null = np.where(np.isnan(value.null), np.nanmean(value.null), value.null)
        middle, scale = float(null.mean()), max(float(null.std()), value.floor)
        spread.append((value.reference + middle, scale * rule.factor))
        deviation = _outwards((null - middle) / (scale * rule.factor), rule)
        family = METRICS[key.metric].family
        extremes[family] = np.maximum(extremes.get(family, np.array(-np.inf)), deviation)
    limits = _limits(extremes, policy.level)
    smoothed = math.sqrt(1 + n_baseline**-0.4)
    found = []
    for key, rule, (middle, scale) in zip(values, rules, spread, strict=True):
        reach = limits[METRICS[key.metric].family] * scale * smoothed
        low = -math.inf if rule.sides == "up" else middle - reach
        high = math.inf if rule.sides == "down" else middle + reach
        if is_of_pairs(key.metric):
            low, high = max(low, 0.0), min(high, 1.0)
        found.append(DriftInterval(low, high))
    return found


def _outwards(deviation: FloatArray, rule: DriftRule) -> FloatArray:
    return np.abs(deviation) if rule.sides == "two" else deviation if rule.sides == "up" else -deviation


def _limits(extremes: Mapping[str, FloatArray], level: float) -> dict[str, float]:
    """A limit for each family's largest deviation, all at one quantile, such that `level` of the nights keep all of them."""
    ordered = {family: np.sort(values) for family, values in extremes.items()}
    n = next(iter(ordered.values())).size
    # Of each night the worse of its ranks in the families: whether it keeps limits at quantile q is whether that is below q.
    rank = np.max([np.searchsorted(ordered[family], values, side="right") for family, values in extremes.items()], axis=0)
    # The (n + 1)-th night is as likely as any to be the largest of all.
    place = min(n, math.ceil((n + 1) * level)) - 1
    at = int(np.sort(rank)[place]) - 1
    return {family: float(values[at]) for family, values in ordered.items()}


def _rule(policy: Policy, key: Key) -> DriftRule:
    rule = policy.rule(*key)
    assert rule is not None  # only what a rule is about is evaluated
    return rule


def _row(
    night: str,
    key: Key,
    value: Value,
    interval: DriftInterval,
    policy: Policy,
    tonight: Profile,
    who: Cohorts,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    low, high = interval
    if high >= value.ceiling:
        high = math.inf
    running = _running(value.value, low, high, before)
    number, reference = (math.nan if v >= value.ceiling else v for v in (value.value, value.reference))
    row = _blank(night, key) | {
        "size": tonight.sizes.get(key.subject),
        "value": number,
        "reference": reference,
        "bound_lo": low if math.isfinite(low) else math.nan,
        "bound_hi": high if math.isfinite(high) else math.nan,
    }
    n_models = who.new.size if METRICS[key.metric].family == "new" else who.added.size
    models = f"{n_models} model{'s' * (n_models != 1)}" + (f", the furthest is '{value.model}'" if value.model else "")
    return row | _verdict(key, row, running, _rule(policy, key), models)


def _changes_of_accuracy(
    night: str, baseline: Profile, tonight: Profile, who: Cohorts, policy: Policy, before: Mapping[Key, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows about the models that both have: nothing random, so that any change beyond the tolerance is outside."""
    rows = []
    change = tonight.accuracy[who.same] - baseline.accuracy[who.kept]
    for column, subtask in enumerate(("", *baseline.subtasks)):
        key = Key("accuracy_change", "", subtask)
        rule = policy.rule(*key)
        known = change[:, column][~np.isnan(change[:, column])]
        if rule is None or not known.size:
            continue
        reach = policy.tolerance * rule.factor
        low, high = (math.nan if rule.sides == "up" else -reach), (math.nan if rule.sides == "down" else reach)
        row = _blank(night, key) | {"value": float(known.mean()), "reference": 0.0, "bound_lo": low, "bound_hi": high}
        running = _running(row["value"], low, high, before.get(key))
        rows.append(row | _verdict(key, row, running, rule, f"{known.size} model{'s' * (known.size != 1)}"))
    return rows


def _blank(night: str, key: Key) -> dict[str, Any]:
    empty = dict.fromkeys(("size", "value", "ci_lo", "ci_hi", "reference", "bound_lo", "bound_hi", "nights"))
    return empty | key._asdict() | {"night": night, "kind": "metric", "name": "", "severity": "", "text": ""}


def _side(value: float | None, low: float | None, high: float | None) -> int:
    """1 above, −1 below, 0 within; a null MDAD is above all bounds."""
    number = math.inf if value is None or math.isnan(value) else value
    if high is not None and number > high:
        return 1
    return -1 if low is not None and number < low else 0


def _running(value: float, low: float, high: float, before: Mapping[str, Any] | None) -> tuple[int, int]:
    """The side on which a value is outside, and on how many nights running it has been there."""
    side = _side(value, low, high)
    if side == 0 or before is None or _side(before["value"], before["bound_lo"], before["bound_hi"]) != side:
        return side, abs(side)
    return side, 1 + int(before["nights"] or 0)


def _last_rows(earlier: pa.Table | None, night: str) -> dict[Key, Mapping[str, Any]]:
    """The last row about every metric before a night."""
    if earlier is None:
        return {}
    found: dict[Key, Mapping[str, Any]] = {}
    for row in earlier.to_pylist():
        if row["kind"] == "metric" and row["night"] < night:
            key = Key(row["metric"], row["subject"], row["subtask"])
            if key not in found or found[key]["night"] < row["night"]:
                found[key] = row
    return found


def _verdict(key: Key, row: Mapping[str, Any], running: tuple[int, int], rule: DriftRule, who: str) -> dict[str, Any]:
    side, nights = running
    if side == 0:
        return {"nights": 0}
    severity = rule.severity if nights >= rule.nights else "note"
    low, high = (None if v is None or math.isnan(v) else v for v in (row["bound_lo"], row["bound_hi"]))
    where = " on ".join(f"'{name}'" for name in (key.subject, key.subtask) if name)
    unit = " %" if key.metric.startswith("agreement") else " points"
    ends = [_number(v) for v in (low, high) if v is not None]
    chance = " to ".join(ends) if len(ends) == 2 else f"{'at least' if high is None else 'at most'} {ends[0]}"
    value = "never reached" if math.isnan(row["value"]) else _number(row["value"]) + unit
    text = f"{METRICS[key.metric].about} ({who}): {value}, where chance gives {chance}{unit}"
    text = f"{where}: {text}" if where else text[0].upper() + text[1:]
    if rule.nights > 1 or nights > 1:
        text += f"; outside for {nights} night{'s' * (nights != 1)} running"
    return {"nights": nights, "severity": severity, "text": text + "."}


def _number(value: float) -> str:
    """For people, in percent or points."""
    return f"{100 * value:.1f}".replace("-", "−")
