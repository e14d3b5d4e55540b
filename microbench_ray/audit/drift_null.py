"""The drift metrics of a night, and their null distribution: what they would be without drift.

Without drift, it is chance which models are in the baseline, which were added since, and which of those are new tonight. All
models of both nights are therefore divided into such groups at random, and the metrics of each division come from the same code
as tonight's, including the fit to the baseline. Tonight's division is one of them, so it is among the most extreme 1 % with a
probability of 1 %: for any number of models, and however the models and the subtasks are distributed (a permutation test: Fisher
1935, "The Design of Experiments"; Hemerik and Goeman 2018, "Exact testing with random permutations"). All metrics of a division
come from the same groups, which gives their joint distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.audit.drift_means import N_TERMS, BaselineFits, fit_baselines, largest_deviations, mean_deviations
from microbench_ray.audit.drift_rules import METRICS, DriftPolicy, is_of_pairs
from microbench_ray.audit.pair_sums import NO_PAIR, PairMatrices, PairSums, division_sums, pair_matrices
from microbench_ray.audit.profile import Profile
from microbench_ray.metrics import BINS_PER_UNIT
from microbench_ray.metrics.mdad import crossings, prefix_sums, threshold_fraction

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

HALF_BIN = 0.5 / BINS_PER_UNIT
"""Smallest standard deviation assumed for an MDAD, which moves in whole bins."""
MIN_SCALE = 1e-6
"""The same for agreements."""


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
    centre: float
    """The expected value without drift."""
    scale: float
    """The unit of `null`: the standard error of `value`."""
    null: FloatArray
    """(n_resamples,) deviations from the expected value, in units of their standard error, in random divisions of the models."""
    n_models: int
    """Models of the baseline and added ones for which the metric is defined."""
    n_group: int
    """Those of them that are in the metric's family: tonight's new models, or all added ones."""
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
        The rules, and the number of random divisions.
    rng
        Generator for the random divisions.

    Returns
    -------
    dict
        The metrics that are defined both tonight and in the baseline. Empty if no model of the baseline is present tonight, or no
        model was added.
    """
    shared = baseline.take(cohorts.shared_baseline)
    n_added, n_new = cohorts.added.size, cohorts.new.size
    if shared.n_models == 0 or n_added == 0:
        return {}
    divisions = draw_divisions(rng, policy.n_resamples, shared.n_models, n_added, n_new)
    watched = [key for key in _keys(shared) if policy.watched(*key, n_subtasks=len(shared.subtasks))]
    keys = [key for key in watched if n_new or METRICS[key.metric].family != "new"]
    of_means = _metrics_of_means(shared, tonight, cohorts, keys, divisions)
    return of_means | _metrics_of_pairs(shared, tonight, cohorts, policy, keys, divisions)


class Divisions(NamedTuple):
    """Divisions of the models of a night into groups; the first one is tonight's, the others are random."""

    order: NDArray[np.intp]
    """(1 + n_resamples, n_models) models in the order in which they were added: first the baseline, tonight's last."""
    n_base: int
    n_new: int

    @property
    def added(self) -> NDArray[np.intp]:
        """(1 + n_resamples, n_added) models added since the baseline, tonight's last."""
        return self.order[:, self.n_base :]

    @property
    def new(self) -> NDArray[np.intp]:
        """(1 + n_resamples, n_new) models added tonight."""
        return self.order[:, self.order.shape[1] - self.n_new :]

    def indicator(self, members: NDArray[np.intp]) -> FloatArray:
        """(1 + n_resamples, n_models) 1 for the members of a group, else 0."""
        indicator = np.zeros(self.order.shape)
        np.put_along_axis(indicator, members, 1.0, axis=1)
        return indicator


def draw_divisions(rng: np.random.Generator, n_resamples: int, n_base: int, n_added: int, n_new: int) -> Divisions:
    """Draw random divisions of n_base + n_added models, of which the last n_new are tonight's."""
    order = np.tile(np.arange(n_base + n_added), (1 + n_resamples, 1))
    order[1:] = rng.permuted(order[1:], axis=1)
    return Divisions(order, n_base, n_new)


def _keys(profile: Profile) -> list[MetricKey]:
    return [
        MetricKey(metric=name, subject=subject, subtask=subtask)
        for name, metric in METRICS.items()
        if metric.family != "same"
        for subject in (profile.estimates if metric.of_list else [""])
        for subtask in ("", *profile.subtasks)
        if metric.scopes in ("both", "each" if subtask else "together")
    ]


def _column(profile: Profile, subtask: str) -> int:
    return 1 + profile.subtasks.index(subtask) if subtask else 0


def _metrics_of_means(
    shared: Profile, tonight: Profile, cohorts: Cohorts, keys: list[MetricKey], divisions: Divisions
) -> dict[MetricKey, MetricValue]:
    """Metrics that are a mean or an extreme over models of a number per model."""
    keys = [key for key in keys if not is_of_pairs(key.metric)]
    sides = (shared, tonight.take(cohorts.added))
    base = divisions.indicator(divisions.order[:, : divisions.n_base])
    groups = {"new": divisions.indicator(divisions.new), "added": divisions.indicator(divisions.added)}
    fits: dict[tuple[str, str], BaselineFits] = {}
    values = {}
    for key in keys:
        column, family = _column(shared, key.subtask), METRICS[key.metric].family
        numbers = np.concatenate([_number_per_model(key, side) for side in sides])
        predictor = None if key.subject else np.concatenate([_elsewhere(side, column - 1) for side in sides])
        known = ~np.isnan(numbers if predictor is None else numbers + predictor)
        n_base, n_group = int(known[: divisions.n_base].sum()), int((known & (groups[family][0] == 1)).sum())
        if n_group == 0 or n_base <= (0 if predictor is None else N_TERMS):
            continue
        if (key.subject, key.subtask) not in fits:
            step = 1 / max(1, int(shared.answered[:, column].max()))
            fits[key.subject, key.subtask] = fit_baselines(numbers, predictor, base, step)
        fit = fits[key.subject, key.subtask]
        reference = 0.0 if predictor is not None else float(numbers[: divisions.n_base][known[: divisions.n_base]].mean())
        if key.metric == "residual_worst":
            worst = largest_deviations(fit, divisions.new)
            deviation, error = worst.deviation, worst.error
            model = str(tonight.model_ids[cohorts.added[worst.model[0] - divisions.n_base]])
        else:
            deviation, error = mean_deviations(fit, groups[family])
            model = ""
        values[key] = MetricValue(
            value=reference + float(deviation[0]),
            reference=reference,
            centre=reference,
            scale=float(error[0]),
            null=np.nan_to_num(deviation[1:] / error[1:]),
            n_models=int(known.sum()),
            n_group=n_group,
            model=model,
        )
    return values


def _number_per_model(key: MetricKey, profile: Profile) -> FloatArray:
    """(n_models,) estimate − accuracy for a metric of a list, or accuracy on a subtask for residuals."""
    column = _column(profile, key.subtask)
    accuracy = profile.accuracy[:, column]
    return profile.estimates[key.subject][:, column] - accuracy if key.subject else accuracy


def _elsewhere(profile: Profile, t: int) -> FloatArray:
    """(n_models,) accuracy on all subtasks but one, NaN for models without a response to them."""
    sums, answered = (array[:, 0] - array[:, 1 + t] for array in (profile.sums, profile.answered))
    return _share(sums, answered * profile.units)


def _metrics_of_pairs(
    shared: Profile, tonight: Profile, cohorts: Cohorts, policy: DriftPolicy, keys: list[MetricKey], divisions: Divisions
) -> dict[MetricKey, MetricValue]:
    """Agreement and MDAD."""
    keys = [key for key in keys if is_of_pairs(key.metric)]
    values: dict[MetricKey, MetricValue] = {}
    everyone = tonight.take(np.concatenate([cohorts.shared_tonight, cohorts.added]))
    for subject, subtask in dict.fromkeys((key.subject, key.subtask) for key in keys):
        column = _column(shared, subtask)
        pairs = pair_matrices(everyone, subject, column, policy.tie_policy)
        sums = division_sums(pairs, divisions.added, divisions.n_new)
        baseline_pairs = pair_matrices(shared, subject, column, policy.tie_policy)
        baseline_sums = division_sums(baseline_pairs, np.zeros((1, 0), np.intp), 0)
        never_bin = _never_reached_bin(pairs)
        reference, found = (_pair_metrics(each, policy.threshold, never_bin) for each in (baseline_sums, sums))
        known = ~np.isnan(everyone.estimates[subject][:, column])
        for key in keys:
            if (key.subject, key.subtask) != (subject, subtask):
                continue
            is_mdad = key.metric == "mdad_monotone"
            of_baseline = float(reference["mdad_monotone" if is_mdad else "agreement"][0])
            value = float(found[key.metric][0])
            if math.isnan(value + of_baseline):
                continue
            deviation = found[key.metric] - found["base_mdad" if is_mdad else "base_agreement"]
            mean = float(np.nanmean(deviation))
            scale = max(float(np.nanstd(deviation)), HALF_BIN if is_mdad else MIN_SCALE)
            n_group = divisions.n_new if METRICS[key.metric].family == "new" else cohorts.added.size
            values[key] = MetricValue(
                value=value,
                reference=of_baseline,
                centre=of_baseline + mean,
                scale=scale,
                null=np.nan_to_num((deviation[1:] - mean) / scale),
                n_models=int(known.sum()),
                n_group=int(known[known.size - n_group :].sum()),
                ceiling=never_bin / BINS_PER_UNIT if is_mdad else math.inf,
            )
    return values


def _never_reached_bin(pairs: PairMatrices) -> int:
    """The bin that stands for an MDAD never reached: the one after the last bin with a pair."""
    used = pairs.bins[pairs.bins != NO_PAIR]
    return int(used.max()) + 1 if used.size else 1


def _pair_metrics(sums: PairSums, threshold: float, never_bin: int) -> Mapping[str, FloatArray]:
    """(n,) metrics of each division, or (1,) where they are the same in all; those named `base_…` are of the baseline."""
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
