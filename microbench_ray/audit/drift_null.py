"""The drift metrics of a night, and their null distribution: what they would be without drift.

A simulated night draws with replacement, all from the models of the real baseline: a baseline of n0 models, and K added models,
the last k of which are tonight's. A draw from the null distribution is the metric of the added models less the same metric of the
drawn baseline, so it includes the sampling error of the baseline. All metrics of a simulated night come from the same draw, which
gives their joint distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.drift_rules import METRICS, DriftPolicy, is_of_pairs
from microbench_ray.audit.pair_sums import NO_PAIR, PairMatrices, PairSums, pair_matrices, weighted_sums
from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import BINS_PER_UNIT
from microbench_ray.metrics.mdad import crossings, prefix_sums, threshold_fraction

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

HALF_BIN = 0.5 / BINS_PER_UNIT
"""Smallest standard deviation assumed for an MDAD, which moves in whole bins."""
MIN_SCALE = 1e-6
"""The same for other metrics."""


class MetricKey(NamedTuple):
    """A metric, the audited list (empty: the benchmark), and the subtask (empty: all together)."""

    metric: str
    subject: str
    subtask: str


class MetricValue(NamedTuple):
    """The value of a metric tonight, and its null distribution."""

    value: float
    reference: float
    """The metric of the baseline; for metrics of added models, over all models of the baseline."""
    null: FloatArray
    """(n_resamples,) value − reference on simulated nights without drift."""
    floor: float
    """Smallest standard deviation assumed for `null`."""
    ceiling: float = math.inf
    """A value, reference or bound of at least this stands for an MDAD that is never reached."""
    model: str = ""
    """The model that has the value, for a metric that is an extreme over models."""


class Cohorts(NamedTuple):
    """Positions of the models of a night by when they were added."""

    shared_baseline: NDArray[np.intp]
    """(n0,) models of the baseline that are still present tonight: positions in the baseline."""
    shared_tonight: NDArray[np.intp]
    """(n0,) the same models: positions in tonight's profile."""
    earlier: NDArray[np.intp]
    """Models added between the baseline and tonight: positions in tonight's profile."""
    new: NDArray[np.intp]
    """Models added tonight: positions in tonight's profile."""

    @property
    def added(self) -> NDArray[np.intp]:
        """All models added since the baseline, tonight's last."""
        return np.concatenate([self.earlier, self.new])


def find_cohorts(baseline: Profile, tonight: Profile, new: Iterable[str]) -> Cohorts:
    """Find the models of the baseline, those added since, and those of `new`; the latter two sorted by name."""
    position = {model: k for k, model in enumerate(tonight.model_ids)}
    shared = np.array([k for k, model in enumerate(baseline.model_ids) if model in position], dtype=np.intp)
    added = sorted(set(position) - set(baseline.model_ids))
    new_ids = set(new)
    return Cohorts(
        shared_baseline=shared,
        shared_tonight=np.array([position[model] for model in baseline.model_ids[shared]], dtype=np.intp),
        earlier=np.array([position[model] for model in added if model not in new_ids], dtype=np.intp),
        new=np.array([position[model] for model in added if model in new_ids], dtype=np.intp),
    )


def evaluate_metrics(
    baseline: Profile, tonight: Profile, cohorts: Cohorts, policy: DriftPolicy, rng: np.random.Generator
) -> dict[MetricKey, MetricValue]:
    """Evaluate every metric that a rule of the policy watches, except those of the same models.

    Parameters
    ----------
    baseline, tonight
        Profiles on the same items (`profiles`).
    cohorts
        From `find_cohorts`.
    policy
        The rules, and the number of nights to simulate.
    rng
        Generator for the simulated nights.

    Returns
    -------
    dict
        The metrics that are defined both tonight and in the baseline. Empty if no model of the baseline is present tonight, or no
        model was added.
    """
    shared = baseline.take(cohorts.shared_baseline)
    n, n_added, n_new = shared.n_models, cohorts.added.size, cohorts.new.size
    if n == 0 or n_added == 0:
        return {}
    base = _counts(rng.integers(0, n, (policy.n_resamples, n)), n)
    drawn = rng.integers(0, n, (policy.n_resamples, n_added))
    keys = [key for key in _keys(shared) if policy.rule(*key) and (n_new or METRICS[key.metric].family != "new")]
    of_means = _means_over_models(shared, tonight, cohorts, keys, base, drawn)
    return of_means | _metrics_of_pairs(shared, tonight, cohorts, policy, keys, base, drawn)


def _keys(profile: Profile) -> list[MetricKey]:
    return [
        MetricKey(metric=name, subject=subject, subtask=subtask)
        for name, metric in METRICS.items()
        if metric.family != "same"
        for subject in (profile.estimates if metric.of_list else [""])
        for subtask in ("", *profile.subtasks)
        if metric.scopes in ("both", "each" if subtask else "together")
    ]


def _counts(drawn: IntArray, n: int) -> IntArray:
    """(n_rows, n) how often each number occurs in each row of `drawn`."""
    shifted = drawn + np.arange(0, drawn.shape[0] * n, n)[:, None]
    return np.bincount(shifted.ravel(), minlength=drawn.shape[0] * n).reshape(-1, n)


def _column(profile: Profile, subtask: str) -> int:
    return 1 + profile.subtasks.index(subtask) if subtask else 0


def _means_over_models(
    shared: Profile, tonight: Profile, cohorts: Cohorts, keys: list[MetricKey], base: IntArray, drawn: IntArray
) -> dict[MetricKey, MetricValue]:
    """Metrics that are a mean or an extreme over models of a number per model."""
    keys = [key for key in keys if not is_of_pairs(key.metric)]
    if not keys:
        return {}
    coefficients = fit_subtask_curves(shared)
    before, now = ({key: per_model(key, side, coefficients) for key in keys} for side in (shared, tonight))
    matrix = np.stack([before[key] for key in keys], axis=1)
    known = ~np.isnan(matrix)
    filled = np.where(known, matrix, 0.0)

    def means(weights: IntArray) -> FloatArray:
        weight = weights.astype(np.float64)
        total, count = weight @ filled, weight @ known.astype(np.float64)
        return _share(total, count)

    n, n_new = shared.n_models, cohorts.new.size
    simulated = means(base)
    late = drawn[:, drawn.shape[1] - n_new :]
    of_family = {"added": means(_counts(drawn, n)), "new": means(_counts(late, n))}
    values = {}
    for column, key in enumerate(keys):
        family = METRICS[key.metric].family
        models = cohorts.new if family == "new" else cohorts.added
        if key.metric == "residual_worst":
            deviations = np.abs(now[key][models])
            if known[:, column].any() and not np.isnan(deviations).all():
                values[key] = MetricValue(
                    value=float(np.nanmax(deviations)),
                    reference=0.0,
                    null=_largest_deviation(matrix[:, column][late]),
                    floor=MIN_SCALE,
                    model=str(tonight.model_ids[models[np.nanargmax(deviations)]]),
                )
            continue
        values[key] = MetricValue(
            value=_mean(now[key][models]),
            reference=_mean(before[key]),
            null=of_family[family][:, column] - simulated[:, column],
            floor=MIN_SCALE,
        )
    return _defined(values)


def _largest_deviation(values: FloatArray) -> FloatArray:
    """(n,) the largest absolute value of each row, 0 where all are undefined."""
    largest: FloatArray = np.where(np.isnan(values), 0.0, np.abs(values)).max(axis=1)
    return largest


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def fit_subtask_curves(profile: Profile) -> FloatArray:
    """(n_subtasks, 3) coefficients of accuracy on a subtask as a quadratic function of accuracy on all other subtasks.

    Zero if there are no other subtasks, or too few models for a fit.
    """
    coefficients = np.zeros((len(profile.subtasks), 3))
    for t in range(len(profile.subtasks)):
        elsewhere, here = _elsewhere(profile, t), profile.accuracy[:, 1 + t]
        known = ~np.isnan(elsewhere + here)
        if known.sum() > 3:
            coefficients[t] = np.linalg.lstsq(np.vander(elsewhere[known], 3), here[known], rcond=None)[0]
    return coefficients


def per_model(key: MetricKey, profile: Profile, coefficients: FloatArray) -> FloatArray:
    """(n_models,) estimate − accuracy for a metric of a list, or accuracy on a subtask − its fitted value (residuals)."""
    column = _column(profile, key.subtask)
    accuracy = profile.accuracy[:, column]
    if METRICS[key.metric].of_list:
        return profile.estimates[key.subject][:, column] - accuracy
    residual: FloatArray = accuracy - np.vander(_elsewhere(profile, column - 1), 3) @ coefficients[column - 1]
    return residual


def _elsewhere(profile: Profile, t: int) -> FloatArray:
    """(n_models,) accuracy on all subtasks but one, NaN for models without a response to them."""
    sums, answered = (array[:, 0] - array[:, 1 + t] for array in (profile.sums, profile.answered))
    return _share(sums, answered * profile.units)


def _metrics_of_pairs(
    shared: Profile,
    tonight: Profile,
    cohorts: Cohorts,
    policy: DriftPolicy,
    keys: list[MetricKey],
    base: IntArray,
    drawn: IntArray,
) -> dict[MetricKey, MetricValue]:
    """Agreement and MDAD."""
    keys = [key for key in keys if is_of_pairs(key.metric)]
    values: dict[MetricKey, MetricValue] = {}
    n_new = cohorts.new.size
    for subject, subtask in dict.fromkeys((key.subject, key.subtask) for key in keys):
        column = _column(shared, subtask)
        pairs = pair_matrices(shared, subject, column, policy.tie_policy)
        baseline_sums = weighted_sums(pairs, np.ones((1, shared.n_models), np.int64), np.zeros((1, 0), np.int64), 0)
        simulated_sums = weighted_sums(pairs, base, drawn, n_new)
        start = np.zeros((1, tonight.n_models), np.int64)
        start[0, cohorts.shared_tonight] = 1
        tonight_pairs = pair_matrices(tonight, subject, column, policy.tie_policy)
        tonight_sums = weighted_sums(tonight_pairs, start, cohorts.added[None], n_new)
        never_bin = _never_reached_bin(pairs)
        reference, null, value = (
            _pair_metrics(sums, policy.threshold, never_bin) for sums in (baseline_sums, simulated_sums, tonight_sums)
        )
        for key in keys:
            if (key.subject, key.subtask) != (subject, subtask):
                continue
            is_mdad = key.metric == "mdad_monotone"
            values[key] = MetricValue(
                value=float(value[key.metric][0]),
                reference=float(reference["mdad_monotone" if is_mdad else "agreement"][0]),
                null=null[key.metric] - null["base_mdad" if is_mdad else "base_agreement"],
                floor=HALF_BIN if is_mdad else MIN_SCALE,
                ceiling=never_bin / BINS_PER_UNIT if is_mdad else math.inf,
            )
    return _defined(values)


def _defined(values: Mapping[MetricKey, MetricValue]) -> dict[MetricKey, MetricValue]:
    """The metrics that are defined both tonight and in the baseline."""
    return {key: value for key, value in values.items() if not math.isnan(value.value + value.reference)}


def _never_reached_bin(pairs: PairMatrices) -> int:
    """The bin that stands for an MDAD never reached: the one after the last bin with a pair of the baseline."""
    used = pairs.bins[pairs.bins != NO_PAIR]
    return int(used.max()) + 1 if used.size else 1


def _pair_metrics(sums: PairSums, threshold: float, never_bin: int) -> Mapping[str, FloatArray]:
    """(n,) metrics of each leaderboard with its added models; those named `base_…` without them."""
    ratio = threshold_fraction(threshold)

    def mdads(agree: IntArray, pairs: IntArray) -> FloatArray:
        reached = crossings(prefix_sums(agree, pairs, ratio)).monotone
        mdad: FloatArray = np.minimum(reached, never_bin) / BINS_PER_UNIT
        return mdad

    base_agree, base_pairs = sums.base_agree.sum(axis=1), sums.base_pairs.sum(axis=1)
    all_agree, all_pairs = sums.all_agree.sum(axis=1), sums.all_pairs.sum(axis=1)
    return {
        "base_agreement": _share(base_agree, base_pairs),
        "agreement": _share(all_agree, all_pairs),
        "agreement_added": _share(all_agree - base_agree, all_pairs - base_pairs),
        "agreement_new": _share(sums.late[:, 0], sums.late[:, 1]),
        "base_mdad": mdads(sums.base_agree, sums.base_pairs),
        "mdad_monotone": mdads(sums.all_agree, sums.all_pairs),
    }


def _share(part: IntArray | FloatArray, whole: IntArray | FloatArray) -> FloatArray:
    """Part / whole, NaN where the whole is 0."""
    share = np.full(part.shape, np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share
