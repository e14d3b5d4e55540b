"""Answers for someone who plans: how many items, what n items tell apart, how sure an order is, where a gate should alarm."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import (
    PairMoments,
    above,
    check_size,
    expected_agreeing,
    expected_counts,
    expected_mdad,
    normal_moments,
    order_probabilities,
    pair_moments,
    smallest_size,
)
from microbench_ray.metrics.counts import BINS_PER_UNIT
from microbench_ray.metrics.items_needed import items_needed_by_curve
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.ties import TiePolicy

Answer = dict[str, Any]
"""Plain values, as JSON has them; differences and probabilities are fractions."""


class Curve(NamedTuple):
    """A method's MDADs in a finished sweep."""

    n_items: int
    """Items that it chose from: those of the seen half, where there is one."""
    points: tuple[tuple[int, float | None], ...]
    """(size, mdad_monotone)"""


@dataclass(frozen=True)
class Criterion:
    """When a difference counts as told apart: agreement reaches `threshold` under `tie_policy` (wrong, half or drop)."""

    threshold: float = 0.8
    tie_policy: TiePolicy = "wrong"


def pairs_of(benchmark: Benchmark) -> PairMoments:
    """All pairs of models of a benchmark; DataError where there is none."""
    return pair_moments(benchmark.scores, benchmark.missing if benchmark.has_missing else None, benchmark.units)


def items_needed(
    pairs: PairMoments, wanted: Iterable[float], rule: Criterion, curves: Mapping[str, Curve] | None = None
) -> list[Answer]:
    """How many items tell models `wanted` apart: random sampling by its closed form, other methods by their swept MDADs.

    Parameters
    ----------
    pairs
        Of the benchmark.
    wanted
        Differences, fractions above 0.
    rule
        What telling apart means; that of `curves` too.
    curves
        Of each method of a finished sweep.

    Returns
    -------
    list
        A mapping {difference, method, size} each; size None where it is never reached or the curve says nothing.
    """
    answers: list[Answer] = []
    for each in wanted:
        size = smallest_size(pairs, each, rule.threshold, rule.tie_policy)
        answers.append({"difference": each, "method": "random sampling (closed form)", "size": size})
        for method, curve in (curves or {}).items():
            answers.append({"difference": each, "method": method, "size": items_needed_by_curve(each, curve.points, curve.n_items)})
    return answers


def detectable_difference(pairs: PairMoments, size: int, rule: Criterion) -> Answer:
    """What `size` random items tell apart: the MDAD, the share of pairs that differ by it, the agreement over all pairs."""
    counts = expected_counts(pairs, size)
    agree, out_of = expected_agreeing(counts, rule.tie_policy)
    mdad = expected_mdad(counts, rule.threshold, rule.tie_policy)
    total = float(counts.n_pairs.sum())
    if not total:
        raise DataError("All models are tied: there is no order to keep.", where="benchmark")
    reached = 0.0 if math.isnan(mdad) else float(counts.n_pairs[round(mdad * BINS_PER_UNIT) :].sum()) / total
    agreement = float(agree.sum() / out_of.sum()) if out_of.sum() else None
    return {"size": size, "mdad": None if math.isnan(mdad) else mdad, "share_of_pairs": reached, "mean_agreement": agreement}


def ranking_probability(benchmark: Benchmark, models: Sequence[str], size: int) -> Answer:
    """How often `size` random items order two models of the benchmark as all items do.

    Raises
    ------
    ConfigError
        Not two different models of the benchmark, or a size outside it.
    """
    places = {str(name): k for k, name in enumerate(benchmark.model_ids)}
    unknown = [name for name in models if name not in places]
    if unknown or len(set(models)) != 2 or len(models) != 2:
        raise ConfigError(
            "An order is asked of two models of the benchmark.",
            where="models",
            got=", ".join(unknown or models),
            hint=f"two of its {len(places)} models, such as {', '.join(list(places)[:2])}",
        )
    scores = benchmark.scores[[places[name] for name in models]]
    pair = pair_moments(scores, benchmark.missing if benchmark.has_missing else None, benchmark.units)
    check_size(size, pair.n_items)
    better, worse = models[int(pair.higher[0])], models[int(pair.lower[0])]
    if pair.difference[0] == 0:
        return {"size": size, "better": None, "worse": None, "difference": 0.0, "right": None, "tied": None}
    chance = order_probabilities(pair, size)
    difference = float(pair.difference[0] / (pair.units * pair.shared[0]))
    right, tied = float(chance.right[0]), float(chance.tied[0])
    return {"size": size, "better": better, "worse": worse, "difference": difference, "right": right, "tied": tied}


def posterior_ranking_probability(pairs: PairMoments, scores: Sequence[float], size: int) -> Answer:
    """How sure the order of two micro-scores is: Bayes, any pair of the benchmark in either order being as likely before.

    Of all pairs and draws of `size` random items that show this difference of micro-scores, the share that shows it in the right
    order. Pairs that are tied on the whole count as not right.

    Raises
    ------
    ConfigError
        Not two scores in [0, 1].
    """
    if len(scores) != 2 or not all(0 <= score <= 1 for score in scores):
        raise ConfigError("Two micro-scores are fractions.", where="scores", got=str(list(scores)), hint="scores=[.62,.58]")
    seen = abs(scores[0] - scores[1])
    answer: Answer = {"size": size, "scores": list(scores), "difference": seen}
    mean, deviation = normal_moments(pairs, size)
    shown = round(seen * size * pairs.units)
    if shown == 0:
        return answer | {"right": None, "expected_difference": 0.0}
    as_it_is = above(mean, deviation, shown) - above(mean, deviation, shown + 1)
    other_way = above(-mean, deviation, shown) - above(-mean, deviation, shown + 1)
    total = float((as_it_is + other_way).sum())
    if not total > 1e-9:
        raise DataError(
            "No pair of this benchmark would show such micro-scores.",
            where="scores",
            got=f"{seen:g} apart on {size} items",
            hint="check scores and size, or give a benchmark of models like these",
        )
    apart = pairs.difference > 0
    true = pairs.difference / (pairs.units * pairs.shared)
    expected = float(((as_it_is - other_way) * true).sum()) / total
    return answer | {"right": float(as_it_is[apart].sum()) / total, "expected_difference": expected}


def regression_gate(benchmark: Benchmark, pairs: PairMoments, drop: float, size: int) -> list[Answer]:
    """False alarms and misses of a gate that alarms where a model's micro-score falls by more than a tolerance.

    Pairs of the benchmark stand for two versions of a model: those less than half a point apart for versions that are as good
    (either of them the earlier), those in the bin of `drop` for a fall by it. Different models disagree on more items than versions
    of one model do, so that real rates on fixed items are lower.

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
    list
        Per tolerance in steps of a quarter of `drop`: {tolerance, false_alarm, miss, recommended} on the same fixed items, and
        both `..._fresh` where each version is scored on random items of its own. One row more is the recommended tolerance: where
        the larger of `false_alarm` and `miss` is smallest, half a step of the micro-score above what does not alarm.

    Raises
    ------
    ConfigError
        A drop below a bin's width.
    DataError
        No pair so near, or none that differs by `drop`.
    """
    if not 1 / BINS_PER_UNIT <= drop <= 1:
        raise ConfigError("A drop is a fraction of at least 0.005.", where="drop", got=repr(drop), hint="0.02 for two points")
    check_size(size, pairs.n_items)
    equal, fallen = pairs.take(pairs.bins == 0), pairs.take(pairs.bins == math.floor(drop * BINS_PER_UNIT + 1e-9))
    if not equal.bins.size or not fallen.bins.size:
        which = "less than half a point apart" if not equal.bins.size else f"{drop:g} apart"
        raise DataError("Rates of a gate need pairs of such models.", where="drop", got=f"no models {which}", hint="another drop")
    same = GateRates(_fallen(equal, size), _fallen(fallen, size), size * pairs.units)
    own = _variances(benchmark)
    fresh = GateRates(_fallen(equal, size, own), _fallen(fallen, size, own), size * pairs.units)
    best = round(_balanced(same), 12)
    return [
        {"tolerance": tolerance, "recommended": tolerance == best}
        | dict(zip(("false_alarm", "miss"), same.rates(tolerance), strict=True))
        | dict(zip(("false_alarm_fresh", "miss_fresh"), fresh.rates(tolerance), strict=True))
        for tolerance in sorted({best, *(round(drop * step / 4, 12) for step in range(9))})
    ]


class GateRates(NamedTuple):
    """The falls of a micro-score's sum, in units of the scores' grid, as normals: (mean, deviation), each (n_pairs,)."""

    equal: tuple[FloatArray, FloatArray]
    fallen: tuple[FloatArray, FloatArray]
    whole: int
    """The sum where every item is right."""

    def rates(self, tolerance: float) -> tuple[float, float]:
        """(false alarms, misses): an equal pair falls by more, in either direction; a fallen one does not."""
        least = math.floor(tolerance * self.whole + 1e-9) + 1
        mean, deviation = self.equal
        alarms = float(np.mean((above(mean, deviation, least) + above(-mean, deviation, least)) / 2))
        return alarms, 1 - float(np.mean(above(*self.fallen, least)))


def _fallen(pairs: PairMoments, size: int, own: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """On the same items, or, with the variance of each model's items, on items of each version's own."""
    if own is None:
        return normal_moments(pairs, size)
    left = (pairs.n_items - size) / max(pairs.n_items - 1, 1)
    return size * pairs.difference / pairs.shared, np.sqrt(size * left * (own[pairs.higher] + own[pairs.lower]))


def _variances(benchmark: Benchmark) -> FloatArray:
    """(n_models,) of the scores over the items that the model answered, in units of the scores' grid, squared."""
    there = benchmark.scores != benchmark.missing
    answered = there.sum(axis=1)
    values = np.where(there, benchmark.scores, 0).astype(np.float64)
    variance: FloatArray = np.maximum(0.0, np.square(values).sum(axis=1) / answered - (values.sum(axis=1) / answered) ** 2)
    return variance


def _balanced(regression_gate: GateRates) -> float:
    """The tolerance with the smallest larger rate: false alarms fall and misses rise with it, so halve down to where they cross."""
    low, high = 0, regression_gate.whole
    while low < high:
        middle = (low + high) // 2
        false_alarm, miss = regression_gate.rates((middle + 0.5) / regression_gate.whole)
        low, high = (low, middle) if miss >= false_alarm else (middle + 1, high)
    return min(
        ((k + 0.5) / regression_gate.whole for k in (max(low - 1, 0), low)),
        key=lambda tolerance: max(regression_gate.rates(tolerance)),
    )
