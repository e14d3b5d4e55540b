"""Gates: how often a fall of a micro-score beyond a tolerance is a false alarm, and how often a true drop is missed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.core.fractions import fraction_hint
from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import normal_moments, probability_at_least
from microbench_ray.metrics.counts import BINS_PER_UNIT
from microbench_ray.metrics.items_needed import check_size
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.micro.reference import Reference, reference_of, unweighted_only

TOLERANCE_STEPS = 8
"""Tolerances of a gate's table, in quarters of the drop, besides 0 and the recommended one."""


class GateRates(NamedTuple):
    """Rates of a gate at one tolerance: on the same fixed items, and (`_fresh`) with random items drawn anew for each version."""

    tolerance: float
    recommended: bool
    false_alarm: float
    miss: float
    false_alarm_fresh: float
    miss_fresh: float
    reference: Reference
    """What the drop is a drop on: the benchmark's items, or the population that they are a sample of."""


def regression_gate(benchmark: Benchmark, pairs: PairMoments, drop: float, size: int) -> list[GateRates]:
    """False alarms and misses of a gate that alarms where a model's micro-score falls by more than a tolerance.

    Pairs of the benchmark stand for two versions of a model: pairs less than half a point apart for equally good versions (either
    of them the earlier), pairs in the bin of `drop` for a regression. Different models disagree on more items than versions of one
    model do, so real rates on fixed items are lower.

    Parameters
    ----------
    benchmark, pairs
        The benchmark, and its pairs.
    drop
        The true fall that should alarm, a fraction of at least 0.005.
    size
        Items of the gate.

    Returns
    -------
    list of GateRates
        By tolerance, in steps of a quarter of `drop`, and at the recommended tolerance: the one at which the larger of
        `false_alarm` and `miss` is smallest, half a step of the micro-score above the largest fall that does not alarm.

    Raises
    ------
    ConfigError
        A drop below a bin's width or above 1, or a size outside the benchmark.
    DataError
        No pairs less than half a point apart, or none that differ by `drop`; or items that count differently.
    """
    if pairs.weighted:
        raise unweighted_only("drop", str(drop))
    check_drop(drop)
    check_size(size, pairs.n_items)
    fallen_bin = math.floor(drop * BINS_PER_UNIT + 1e-9)
    equal, fallen = pairs.take(pairs.bins == 0), pairs.take(pairs.bins == fallen_bin)
    if not equal.n_pairs or not fallen.n_pairs:
        raise _no_pairs(pairs, drop, fallen_bin)
    reference = reference_of(size, pairs.n_items)
    population = reference == "population"
    max_sum = size * pairs.units
    same_items = Falls(
        equal=normal_moments(equal, size, population=population),
        fallen=normal_moments(fallen, size, population=population),
        max_sum=max_sum,
    )
    variances = _score_variances(benchmark) * (pairs.units / benchmark.units) ** 2
    fresh_items = Falls(
        equal=_fresh_moments(equal, size, variances, population),
        fallen=_fresh_moments(fallen, size, variances, population),
        max_sum=max_sum,
    )
    recommended = round(_balanced_tolerance(same_items), 12)
    steps = (round(drop * step / 4, 12) for step in range(TOLERANCE_STEPS + 1))
    rows = []
    for tolerance in sorted({recommended, *steps}):
        false_alarm, miss = same_items.rates(tolerance)
        false_alarm_fresh, miss_fresh = fresh_items.rates(tolerance)
        rows.append(
            GateRates(
                tolerance=tolerance,
                recommended=tolerance == recommended,
                false_alarm=false_alarm,
                miss=miss,
                false_alarm_fresh=false_alarm_fresh,
                miss_fresh=miss_fresh,
                reference=reference,
            )
        )
    return rows


def check_drop(drop: float) -> None:
    """Raise ConfigError for a drop below the width of a bin, or above 1."""
    if not 1 / BINS_PER_UNIT <= drop <= 1:
        raise ConfigError(
            "The drop must be a fraction of at least 0.005.",
            where="drop",
            got=repr(drop),
            hint=fraction_hint("drop", drop, "0.02 for two points"),
        )


class Falls(NamedTuple):
    """Falls of a micro-score's sum between two versions, in units of the scores' grid, as normals: (mean, deviation) of pairs."""

    equal: tuple[FloatArray, FloatArray]
    """Of equally good versions, the better one as the earlier; each (n_pairs,)."""
    fallen: tuple[FloatArray, FloatArray]
    """Of versions that fell by the drop."""
    max_sum: int
    """The sum of a version that answers every item correctly."""

    def rates(self, tolerance: float) -> tuple[float, float]:
        """(false alarms, misses): equal pairs that fall by more, in either direction, and fallen pairs that do not."""
        alarm = math.floor(tolerance * self.max_sum + 1e-9) + 1
        mean, deviation = self.equal
        false_alarms = float(
            np.mean((probability_at_least(mean, deviation, alarm) + probability_at_least(-mean, deviation, alarm)) / 2)
        )
        return false_alarms, 1 - float(np.mean(probability_at_least(*self.fallen, alarm)))


def _no_pairs(pairs: PairMoments, drop: float, fallen_bin: int) -> DataError:
    """The error for a benchmark without pairs to measure a gate on; its hint names only what can help."""
    where, message = "drop", "The benchmark has no pairs to measure the gate on."
    if not (pairs.bins == 0).any():
        got = f"no models less than half a point apart: the two closest differ by {pairs.difference.min():.1%}"
        hint = "no drop can be measured here: use a benchmark with more models, some of them equally good"
        return DataError(message, where=where, got=got, hint=hint)
    bins = np.unique(pairs.bins[pairs.bins > 0])
    if not bins.size:
        got, hint = "no models more than half a point apart", "no drop can be measured here: use a benchmark with more models"
        return DataError(message, where=where, got=got, hint=hint)
    nearest = np.sort(bins[np.argsort(np.abs(bins - fallen_bin), kind="stable")[:2]])
    hint = f"a drop that models of this benchmark differ by: {' or '.join(f'drop={each / BINS_PER_UNIT:g}' for each in nearest)}"
    return DataError(message, where=where, got=f"no models {drop:g} apart", hint=hint)


def _fresh_moments(pairs: PairMoments, size: int, variances: FloatArray, population: bool) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of the falls where each version gets its own random items; `variances` are (n_models,)."""
    correction = 1.0 if population else (pairs.n_items - size) / max(pairs.n_items - 1, 1)
    deviation = np.sqrt(size * correction * (variances[pairs.higher] + variances[pairs.lower]))
    if pairs.noise is not None:
        deviation = size * pairs.units * np.sqrt(pairs.noise.fresh_variance(pairs, size, correction))
    return size * pairs.units * pairs.difference, deviation


def _score_variances(benchmark: Benchmark) -> FloatArray:
    """(n_models,) variances of the scores over the items that the model answered, in squared units of the scores' grid."""
    answered = benchmark.scores != benchmark.missing
    n_answered = answered.sum(axis=1)
    values = np.where(answered, benchmark.scores, 0).astype(np.float64)
    variances: FloatArray = np.maximum(0.0, np.square(values).sum(axis=1) / n_answered - (values.sum(axis=1) / n_answered) ** 2)
    return variances


def _balanced_tolerance(falls: Falls) -> float:
    """The tolerance at which the larger rate is smallest: false alarms fall and misses rise with it, so bisect to the crossing."""
    low, high = 0, falls.max_sum
    while low < high:
        middle = (low + high) // 2
        false_alarm, miss = falls.rates((middle + 0.5) / falls.max_sum)
        low, high = (low, middle) if miss >= false_alarm else (middle + 1, high)
    candidates = ((k + 0.5) / falls.max_sum for k in (max(low - 1, 0), low))
    return min(candidates, key=lambda tolerance: max(falls.rates(tolerance)))
