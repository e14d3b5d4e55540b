"""Which intervals are valid for a new model: by the readout's held-out errors, by random items, or by errors on better models."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.intervals import (
    AccuracyInterval,
    Errors,
    ScoreIntervalKind,
    binomial_scale,
    calibration,
    errors_interval,
    errors_of,
    extrapolated_interval,
    wilson_interval,
)
from microbench_ray.micro.novelty import NoveltyCheck
from microbench_ray.micro.random_items import own_dispersion

FloatArray = NDArray[np.float64]

MIN_RESERVE_ANSWERED = 0.9
"""Share of the reserve's own items, those that are not in the micro-benchmark, below which the reserve was not run."""

MAX_COMPARED = 200
"""Known models, evenly spaced, over which widths are averaged."""
QUANTILE_ERROR = 0.951
"""Standard error of the 95 % quantile of n absolute errors, as a share of it and times sqrt(n), for normal errors: the deviation
sqrt(.05 · .95) of a share of n, by the density 2 φ(1.96) there, by 1.96."""


class RandomScore(NamedTuple):
    """A model's mean on random items.

    Attributes
    ----------
    mean
        Over its responses, a fraction.
    n
        The number of responses.
    interval
        Wilson's.
    from_reserve
        Whether the items are those of the reserve; else the micro-benchmark's, which are random.
    """

    mean: float
    n: int
    interval: AccuracyInterval
    from_reserve: bool


class IntervalChoice:
    """What is computed once for a micro-benchmark: the check of new models, and which interval is the narrower one.

    That is decided by the mean widths over the known models, and not for each new model: choosing the narrower interval of each
    would favour those that are too narrow by chance, and models of one report would not be compared on the same items. For the same
    reason the readout's interval must be narrower by more than the standard error of its quantile.

    Parameters
    ----------
    micro
        The micro-benchmark.
    """

    def __init__(self, micro: MicroBenchmark) -> None:
        self.novelty = NoveltyCheck(micro)
        self.prefers_random = micro.is_random_mean or self._random_is_narrower(micro)

    @staticmethod
    def _random_is_narrower(micro: MicroBenchmark) -> bool:
        n, n_items = len(micro.reserve) or micro.size, int(micro.benchmark["n_items"])
        errors, by_readout, by_random = held_out_errors(micro, np.zeros(micro.size, bool)), [], []
        estimates, accuracies = micro.held_out.estimates, micro.accuracy[micro.held_out.models]
        usable = np.flatnonzero(~np.isnan(estimates) & ~np.isnan(accuracies))
        compared = usable[np.linspace(0, usable.size - 1, min(usable.size, MAX_COMPARED)).astype(np.intp)]
        for estimate, accuracy in zip(estimates[compared].tolist(), accuracies[compared].tolist(), strict=True):
            interval = errors_interval(estimate, errors, _scale(estimate, micro.size))
            by_readout.append(1.0 if interval is None else interval.high - interval.low)
            interval = wilson_interval(accuracy, n, n_items, micro.dispersion, "random_wilson")
            by_random.append(interval.high - interval.low)
        margin = max(0.0, 1 - QUANTILE_ERROR / math.sqrt(max(errors.n_groups, 1)))
        return not by_readout or bool(margin * np.mean(by_random) < np.mean(by_readout))


def readout_interval(micro: MicroBenchmark, estimate: float, missing: NDArray[np.bool_]) -> AccuracyInterval | None:
    """The interval of a model like the known ones; None where it would be all of [0, 1].

    Parameters
    ----------
    micro, estimate
        The micro-benchmark, and the model's estimated accuracy.
    missing
        (size,) which of its responses are missing.
    """
    return errors_interval(estimate, held_out_errors(micro, missing), _scale(estimate, int((~missing).sum())))


def random_score(micro: MicroBenchmark, answers: FloatArray, reserve: FloatArray) -> RandomScore | None:
    """The model's mean on the reserve, or on the items where these are random; None where it answered no random items.

    Parameters
    ----------
    answers, reserve
        (size,) and (n_reserve,) its responses, NaN where missing.
    """
    if reserve.size and reserve_was_run(micro, reserve):
        answered, from_reserve = reserve[~np.isnan(reserve)], True
    elif micro.has_random_items:
        answered, from_reserve = answers[~np.isnan(answers)], False
    else:
        return None
    mean = float(answered.mean())
    spread = max(micro.dispersion, own_dispersion(answered))
    kind: ScoreIntervalKind = "reserve_wilson" if from_reserve else "random_wilson"
    interval = wilson_interval(mean, answered.size, int(micro.benchmark["n_items"]), spread, kind)
    return RandomScore(mean=mean, n=answered.size, interval=interval, from_reserve=from_reserve)


def contradict(by_items: AccuracyInterval, estimate: float, by_random: RandomScore) -> bool:
    """Whether random items and the readout differ by more than the 95 % interval of a difference allows.

    Its half-width towards the other estimate is the root of the sum of the squares of theirs, as the errors are independent.
    """
    upwards = by_random.mean > estimate
    towards_random = by_items.high - estimate if upwards else estimate - by_items.low
    towards_items = by_random.mean - by_random.interval.low if upwards else by_random.interval.high - by_random.mean
    return abs(by_random.mean - estimate) > math.hypot(max(0.0, towards_random), towards_items)


def reserve_was_run(micro: MicroBenchmark, reserve: FloatArray) -> bool:
    """Whether nearly all of the reserve's own items have a response.

    Items that the reserve shares with the micro-benchmark are answered in any case. Alone they are selected items, whose mean is
    not that of the benchmark.

    Parameters
    ----------
    reserve
        (n_reserve,) a model's responses, NaN where missing.
    """
    own = np.array([item.id not in micro.column_of for item in micro.reserve])
    judged = own if own.any() else np.ones(reserve.size, bool)
    return float((~np.isnan(reserve[judged])).mean()) >= MIN_RESERVE_ANSWERED


def interval_if_better(
    micro: MicroBenchmark, estimate: float, inner: AccuracyInterval | None, missing: NDArray[np.bool_]
) -> tuple[AccuracyInterval | None, bool]:
    """The interval of a model that may be better than all known ones.

    Parameters
    ----------
    micro, estimate, missing
        As for `readout_interval`.
    inner
        What that gives.

    Returns
    -------
    interval
        None where errors on such models could not be measured.
    open_above
        Whether it reaches up to 1 because the items cannot show how much better the model is.
    """
    best = micro.extrapolated
    if best is None or inner is None:
        return None, False
    line = calibration(micro.held_out.estimates, micro.accuracy)
    calibrated = float(line.accuracy(np.array([estimate]))[0])
    if math.isnan(calibrated):
        return None, False
    values = micro.errors(best) + missing_shifts(micro, missing)[best.models] / line.slope
    known = ~np.isnan(values)
    open_above = inner.high >= float(micro.readout.estimate(np.ones((1, micro.size)))[0])
    errors = errors_of(values[known], micro.groups[best.models][known])
    return extrapolated_interval(calibrated, errors, inner, open_above=open_above), open_above


def missing_shifts(micro: MicroBenchmark, missing: NDArray[np.bool_]) -> FloatArray:
    """(n_models,) by how much each known model's estimate rises when its responses to these items are missing too."""
    if not missing.any():
        return np.zeros(len(micro.models))
    masked = np.where(missing, np.nan, micro.responses)
    return micro.readout.estimate(masked) - micro.readout.estimate(micro.responses)


def held_out_errors(micro: MicroBenchmark, missing: NDArray[np.bool_]) -> Errors:
    """Errors of the held-out models as if they had not answered the missing items either, divided by their scales."""
    models = micro.held_out.models
    estimates = micro.held_out.estimates + missing_shifts(micro, missing)[models]
    values = (estimates - micro.accuracy[models]) / binomial_scale(estimates, int((~missing).sum()))
    known = ~np.isnan(values)
    return errors_of(values[known], micro.groups[models][known])


def _scale(estimate: float, n_answered: int) -> float:
    return float(binomial_scale(np.array([estimate]), n_answered)[0])
