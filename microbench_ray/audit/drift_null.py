"""What the metrics of a night are, and what they would be if the added models were like those of the baseline.

A simulated night draws a baseline of n0 models and the K added ones, the last k of them tonight's, all with replacement from
the models of the real baseline. The metrics of these added models less the same of this baseline is what a night without drift
shows: the baseline's own estimation error is in it, and all metrics of a simulated night are drawn together, so that their joint
distribution is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.drift_rules import METRICS, Policy, is_of_pairs
from microbench_ray.audit.pair_sums import NO_PAIR, Pairs, Sums, pairs_of, weighted_sums
from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import BINS_PER_UNIT
from microbench_ray.metrics.crossing import crossings, prefix_sums, rational

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

HALF_A_BIN = 0.5 / BINS_PER_UNIT
"""The least scale of an MDAD, which moves in whole bins."""


class Key(NamedTuple):
    """What a metric is about."""

    metric: str
    subject: str
    subtask: str


class Value(NamedTuple):
    """A metric tonight."""

    value: float
    reference: float
    """The same of the baseline: for metrics of added models, of all models of the baseline."""
    null: FloatArray
    """(n_resamples,) value − reference on nights without drift."""
    floor: float
    """Least standard deviation that is believed of `null`."""
    ceiling: float = math.inf
    """A value, reference or bound from here on stands for an MDAD that is never reached."""
    model: str = ""
    """The model that the value is of, where it is of one."""


class Cohorts(NamedTuple):
    """Who is who: positions in the baseline and in tonight's profile."""

    kept: NDArray[np.intp]
    """(n0,) models of the baseline that are there tonight, in the baseline."""
    same: NDArray[np.intp]
    """(n0,) the same, in tonight's profile."""
    earlier: NDArray[np.intp]
    """Models added since the baseline, but not tonight, in tonight's profile."""
    new: NDArray[np.intp]
    """Tonight's new ones."""

    @property
    def added(self) -> NDArray[np.intp]:
        """All added since the baseline, tonight's last."""
        return np.concatenate([self.earlier, self.new])


def find_cohorts(baseline: Profile, tonight: Profile, new: Iterable[str]) -> Cohorts:
    """Tell apart the models of the baseline, those added since, and tonight's `new` ones; the latter two sorted by name."""
    place = {model: k for k, model in enumerate(tonight.model_ids)}
    kept = np.array([k for k, model in enumerate(baseline.model_ids) if model in place], dtype=np.intp)
    same = np.array([place[model] for model in baseline.model_ids[kept]], dtype=np.intp)
    added = sorted(set(place) - set(baseline.model_ids))
    tonights = set(new)
    earlier, late = ([place[m] for m in added if (m in tonights) == is_new] for is_new in (False, True))
    return Cohorts(kept, same, np.array(earlier, dtype=np.intp), np.array(late, dtype=np.intp))


def evaluate(baseline: Profile, tonight: Profile, who: Cohorts, policy: Policy, rng: np.random.Generator) -> dict[Key, Value]:
    """Every metric that a rule of the policy is about, but those of the same models.

    Parameters
    ----------
    baseline, tonight
        On the same items (`profiles`).
    who
        From `find_cohorts`.
    policy
        The rules; `n_resamples` nights are simulated.
    rng
        What draws them.

    Returns
    -------
    dict
        Only metrics that are defined, tonight and in the baseline. Empty without models of the baseline that are still there, or
        without added ones.
    """
    home = baseline.take(who.kept)
    n, n_added, n_new = home.n_models, who.added.size, who.new.size
    if n == 0 or n_added == 0:
        return {}
    base = _counts(rng.integers(0, n, (policy.n_resamples, n)), n)
    drawn = rng.integers(0, n, (policy.n_resamples, n_added))
    wanted = [key for key in _keys(home) if policy.rule(*key) and (n_new or METRICS[key.metric].family != "new")]
    return _of_means(home, tonight, who, wanted, base, drawn) | _of_pairs(home, tonight, who, policy, wanted, base, drawn)


def _keys(profile: Profile) -> list[Key]:
    return [
        Key(name, subject, subtask)
        for name, metric in METRICS.items()
        if metric.family != "same"
        for subject in (profile.estimates if metric.of_list else [""])
        for subtask in ("", *profile.subtasks)
        if metric.scopes in ("both", "each" if subtask else "together")
    ]


def _counts(drawn: IntArray, n: int) -> IntArray:
    """(n_rows, n) how often each row of `drawn` has each number."""
    shifted = drawn + np.arange(0, drawn.shape[0] * n, n)[:, None]
    return np.bincount(shifted.ravel(), minlength=drawn.shape[0] * n).reshape(-1, n)


def _column(profile: Profile, subtask: str) -> int:
    return 1 + profile.subtasks.index(subtask) if subtask else 0


def _of_means(
    home: Profile, tonight: Profile, who: Cohorts, wanted: list[Key], base: IntArray, drawn: IntArray
) -> dict[Key, Value]:
    """Means over models of what each model has for itself."""
    keys = [key for key in wanted if not is_of_pairs(key.metric)]
    if not keys:
        return {}
    shapes = subtask_shapes(home)
    before, now = ({key: per_model(key, side, shapes) for key in keys} for side in (home, tonight))
    matrix = np.stack([before[key] for key in keys], axis=1)
    there = ~np.isnan(matrix)
    filled = np.where(there, matrix, 0.0)

    def means(weights: IntArray) -> FloatArray:
        weight = weights.astype(np.float64)
        total, count = weight @ filled, weight @ there.astype(np.float64)
        return _share(total, count)

    n, n_new = home.n_models, who.new.size
    simulated = means(base)
    late = drawn[:, drawn.shape[1] - n_new :]
    of_family = {"added": means(_counts(drawn, n)), "new": means(_counts(late, n))}
    found = {}
    for column, key in enumerate(keys):
        family = METRICS[key.metric].family
        models = who.new if family == "new" else who.added
        if key.metric == "residual_worst":
            off = np.abs(now[key][models])
            if there[:, column].any() and not np.isnan(off).all():
                name = str(tonight.model_ids[models[np.nanargmax(off)]])
                found[key] = Value(float(np.nanmax(off)), 0.0, _furthest(matrix[:, column][late]), 1e-6, model=name)
            continue
        value = _mean(now[key][models])
        found[key] = Value(value, _mean(before[key]), of_family[family][:, column] - simulated[:, column], 1e-6)
    return _defined(found)


def _furthest(values: FloatArray) -> FloatArray:
    """(n,) the largest |value| of each row, 0 where all are undefined."""
    furthest: FloatArray = np.where(np.isnan(values), 0.0, np.abs(values)).max(axis=1)
    return furthest


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def subtask_shapes(profile: Profile) -> FloatArray:
    """(n_subtasks, 3) coefficients of accuracy on a subtask as a quadratic function of accuracy on all others.

    All zero where there are no others, or too few models to fit.
    """
    shapes = np.zeros((len(profile.subtasks), 3))
    for t in range(len(profile.subtasks)):
        elsewhere, here = _elsewhere(profile, t), profile.accuracy[:, 1 + t]
        known = ~np.isnan(elsewhere + here)
        if known.sum() > 3:
            shapes[t] = np.linalg.lstsq(np.vander(elsewhere[known], 3), here[known], rcond=None)[0]
    return shapes


def per_model(key: Key, profile: Profile, shapes: FloatArray) -> FloatArray:
    """(n_models,) what a metric of means is the mean of: estimate − accuracy, or accuracy on a subtask − what is expected."""
    column = _column(profile, key.subtask)
    accuracy = profile.accuracy[:, column]
    if METRICS[key.metric].of_list:
        return profile.estimates[key.subject][:, column] - accuracy
    residual: FloatArray = accuracy - np.vander(_elsewhere(profile, column - 1), 3) @ shapes[column - 1]
    return residual


def _elsewhere(profile: Profile, t: int) -> FloatArray:
    """(n_models,) accuracy on all subtasks but one, NaN where nothing of them was answered."""
    sums, answered = (array[:, 0] - array[:, 1 + t] for array in (profile.sums, profile.answered))
    return _share(sums, answered * profile.units)


def _of_pairs(
    home: Profile, tonight: Profile, who: Cohorts, policy: Policy, wanted: list[Key], base: IntArray, drawn: IntArray
) -> dict[Key, Value]:
    """Agreement and MDAD."""
    found: dict[Key, Value] = {}
    n_new = who.new.size
    places = dict.fromkeys((key.subject, key.subtask) for key in wanted if is_of_pairs(key.metric))
    for subject, subtask in places:
        column = _column(home, subtask)
        pairs = pairs_of(home, subject, column, policy.tie_policy)
        before = weighted_sums(pairs, np.ones((1, home.n_models), np.int64), np.zeros((1, 0), np.int64), 0)
        simulated = weighted_sums(pairs, base, drawn, n_new)
        start = np.zeros((1, tonight.n_models), np.int64)
        start[0, who.same] = 1
        now = weighted_sums(pairs_of(tonight, subject, column, policy.tie_policy), start, who.added[None], n_new)
        most = _never(pairs)
        metrics = (_pair_metrics(sums, policy.threshold, most) for sums in (before, simulated, now))
        reference, null, value = metrics
        whole, mdad = reference["agreement"][0], reference["mdad_monotone"][0]
        for key in wanted:
            if (key.subject, key.subtask) == (subject, subtask) and is_of_pairs(key.metric):
                is_mdad = key.metric == "mdad_monotone"
                drift = null[key.metric] - null["first_mdad" if is_mdad else "first_agreement"]
                floor, ceiling = (HALF_A_BIN, most / BINS_PER_UNIT) if is_mdad else (1e-6, math.inf)
                found[key] = Value(float(value[key.metric][0]), float(mdad if is_mdad else whole), drift, floor, ceiling)
    return _defined(found)


def _defined(values: Mapping[Key, Value]) -> dict[Key, Value]:
    """Those that both tonight and the baseline have."""
    return {key: value for key, value in values.items() if not math.isnan(value.value + value.reference)}


def _never(pairs: Pairs) -> int:
    """The bin that stands for an MDAD never reached: the one after the last that holds a pair of the baseline."""
    held = pairs.bins[pairs.bins != NO_PAIR]
    return int(held.max()) + 1 if held.size else 1


def _pair_metrics(sums: Sums, threshold: float, most: int) -> Mapping[str, FloatArray]:
    """(n,) each, of leaderboards with added models; and `first_…` of those without."""
    ratio = rational(threshold)

    def mdads(agree: IntArray, pairs: IntArray) -> FloatArray:
        reached = crossings(prefix_sums(agree, pairs, ratio)).monotone
        mdad: FloatArray = np.minimum(reached, most) / BINS_PER_UNIT
        return mdad

    agree, pairs, all_agree, all_pairs = (array.sum(axis=1) for array in (sums.agree, sums.pairs, sums.all_agree, sums.all_pairs))
    return {
        "first_agreement": _share(agree, pairs),
        "agreement": _share(all_agree, all_pairs),
        "agreement_added": _share(all_agree - agree, all_pairs - pairs),
        "agreement_new": _share(sums.late[:, 0], sums.late[:, 1]),
        "first_mdad": mdads(sums.agree, sums.pairs),
        "mdad_monotone": mdads(sums.all_agree, sums.all_pairs),
    }


def _share(part: IntArray | FloatArray, whole: IntArray | FloatArray) -> FloatArray:
    """Part / whole, NaN where the whole is nothing."""
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
