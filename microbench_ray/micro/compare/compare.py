"""Compare runs on the items that all of them answered, and decide a gate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.seeding import plan_stream
from microbench_ray.metrics.best_run import Standings, standings
from microbench_ray.metrics.multiplicity import adjusted
from microbench_ray.metrics.run_difference import (
    RunDifference,
    repeat_variance,
    repeats_shift,
    run_difference,
)
from microbench_ray.metrics.variance_components import grouped
from microbench_ray.micro.compare.exact import PairedTests, paired_tests
from microbench_ray.micro.compare.pairing import Paired, pair
from microbench_ray.micro.compare.rules import Accept, CompareRules, Decision, check_rules
from microbench_ray.micro.compare.runs import Run
from microbench_ray.micro.compare.subtasks import SubtaskChange, subtask_changes

MAX_CHANGED = 100
"""Items that a result lists."""
MAX_DETAILED = 50
"""Comparisons up to which subtasks and items are compared too."""


class ItemChange(NamedTuple):
    """An item on which the runs differ, and by how much B is ahead."""

    item_id: str
    subtask: str
    mean_a: float
    mean_b: float


class MoreData(NamedTuple):
    """What would decide the gate with probability 0.8 if the true difference is the one that was seen; None: nothing would.

    Attributes
    ----------
    items
        Number of items like these, in all.
    repeats
        Repeats of each item in each run; None also where the repeats' noise is unknown or is not what is in the way.
    """

    items: int | None
    repeats: int | None


class Comparison(NamedTuple):
    """Run B beside run A.

    Attributes
    ----------
    a, b
        Names.
    n_items
        Items that both answered.
    mean_a, mean_b
        Mean scores on them.
    difference
        B less A, with its interval.
    p_adjusted
        The p-value of no difference, adjusted for the number of comparisons.
    n_better, n_worse, n_equal
        Items on which B has a higher, a lower and the same mean score.
    repeats_share
        Share of the squared standard error that is noise between repeats; None where no item was repeated.
    tests
        McNemar's and Student's paired tests, where they apply.
    subtasks
        By subtask, where there are several; empty with more than `MAX_DETAILED` comparisons.
    items
        The items that changed most, likewise.
    decision
        Of the gate; None without one.
    more
        What would decide it, where it cannot be told.
    """

    a: str
    b: str
    n_items: int
    mean_a: float
    mean_b: float
    difference: RunDifference
    p_adjusted: float
    n_better: int
    n_worse: int
    n_equal: int
    repeats_share: float | None
    tests: PairedTests
    subtasks: list[SubtaskChange]
    items: list[ItemChange]
    decision: Decision | None
    more: MoreData | None


class Compared(NamedTuple):
    """The result of a comparison.

    Attributes
    ----------
    rules
        How runs were compared.
    names
        Of the runs.
    n_items, n_union
        Items that all runs answered, and items that any was asked.
    means, shrunk, p_best
        By run: mean score, the same moved towards all runs' mean by the share that is chance, probability of being the best.
    comparisons
        Of pairs of runs.
    decision
        Of the gate on all comparisons: no if one is no, else yes if all are; None without a gate.
    level
        Of the intervals: the confidence, or for a gate on several comparisons one that holds for all of them together.
    warnings
        Sentences: what makes the comparison doubtful.
    """

    rules: CompareRules
    names: list[str]
    n_items: int
    n_union: int
    means: list[float]
    shrunk: list[float]
    p_best: list[float]
    comparisons: list[Comparison]
    decision: Decision | None
    level: float
    warnings: list[str]


def compare(
    runs: Sequence[Run],
    rules: CompareRules | None = None,
    clusters: Mapping[str, str] | Literal["subtask"] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Compared:
    """Compare runs.

    Parameters
    ----------
    runs
        At least two; the first is the one that others are compared with.
    rules
        How to compare them.
    clusters, weights
        As for `pairing.pair`.

    Raises
    ------
    ConfigError
        A value of `rules` is out of range, weights beside `truth=macro`, or repeats are asked for where there are none.
    DataError
        As for `pairing.pair`.
    """
    rules = rules or CompareRules()
    check_rules(rules)
    if weights is not None:
        rules = _weighted(rules)
    joined = pair(runs, rules.truth, clusters, rules.repeats, weights)
    if rules.reference == "benchmark":
        _check_repeats(joined)
    pairs = [(0, k) for k in range(1, len(runs))] if rules.against == "first" else list(combinations(range(len(runs)), 2))
    level = rules.confidence
    if rules.accept is not None:
        level = 1 - (1 - rules.confidence) / len(pairs)
    warnings = list(joined.warnings)
    complete = len(joined.item_ids) >= rules.min_common * joined.n_union
    if rules.accept is not None and not complete:
        warnings.append(
            f"All runs answered only {len(joined.item_ids):,} of {joined.n_union:,} items, less than {rules.min_common:.0%} "
            "(min_common): the gate is not decided."
        )
    differences = [run_difference(joined.items(a, b), level=level, reference=rules.reference) for a, b in pairs]
    shares = joined.items(0, 1).shares
    for name, scores in zip(joined.names, joined.scores, strict=True):
        if not joined.whole_runs and repeats_shift(scores, shares):
            warnings.append(
                f"{name}: the means of its repeats differ more than independent answers let them; if they are runs of all items, "
                "repeats=runs counts this."
            )
        elif joined.whole_runs and scores.shape[1] == 1:
            warnings.append(f"{name} is a single run: a shift that is common to all its answers is not in the interval.")
        elif joined.whole_runs and grouped(scores):
            warnings.append(f"{name}: equal scores stand together among its repeats, so that these are not runs of all items.")
    p_values = adjusted([each.p_value for each in differences], rules.adjust)
    detailed = len(pairs) <= MAX_DETAILED
    found = [
        _comparison(joined, a, b, difference, float(p), rules, complete, detailed=detailed)
        for (a, b), difference, p in zip(pairs, differences, p_values, strict=True)
    ]
    means = np.stack([np.nanmean(scores, axis=1) for scores in joined.scores])
    if len(runs) == 2:  # which is best is the question of the comparison
        p_better = differences[0].p_better
        ranked = Standings(mean := means @ shares, np.array([1 - p_better, p_better]), mean)
    else:
        ranked = standings(means, shares, joined.cluster, plan_stream(0, "compare", "best", *joined.names))
    if all(not each.n_better and not each.n_worse for each in found):
        warnings.append("The runs have the same score on every item: are they two runs?")
    return Compared(
        rules=rules,
        names=joined.names,
        n_items=len(joined.item_ids),
        n_union=joined.n_union,
        means=ranked.mean.tolist(),
        shrunk=ranked.shrunk.tolist(),
        p_best=ranked.p_best.tolist(),
        comparisons=found,
        decision=_decision_of_all([each.decision for each in found]),
        level=level,
        warnings=warnings,
    )


def _weighted(rules: CompareRules) -> CompareRules:
    if rules.truth == "macro":
        raise ConfigError(
            "Items have weights, and subtasks are to count the same.",
            where="truth",
            got="macro beside weights",
            hint="leave out either one",
        )
    return replace(rules, truth="weights")


def _check_repeats(joined: Paired) -> None:
    for name, scores in zip(joined.names, joined.scores, strict=True):
        if scores.shape[1] < 2:
            raise ConfigError(
                "An interval for these items alone needs repeats.",
                where="reference=benchmark",
                got=f"{name}: one score for each item",
                hint="reference=population, or run every item at least twice",
            )


def _comparison(
    joined: Paired,
    a: int,
    b: int,
    difference: RunDifference,
    p_adjusted: float,
    rules: CompareRules,
    complete: bool,
    *,
    detailed: bool,
) -> Comparison:
    items = joined.items(a, b)
    mean_a, mean_b = np.nanmean(items.a, axis=1), np.nanmean(items.b, axis=1)
    gap = np.where(np.abs(mean_b - mean_a) > 1e-12, mean_b - mean_a, 0.0)
    weights = items.shares
    changed = sorted(np.flatnonzero(gap), key=lambda k: (-abs(gap[k]), joined.item_ids[k]))[: MAX_CHANGED if detailed else 0]
    of_repeats = repeat_variance(items)
    share = None if of_repeats is None else min(1.0, of_repeats / difference.standard_error**2)
    decision = more = None
    if rules.accept is not None:
        decision = decide(difference, rules.accept, rules.margin) if complete else "cannot be told"
        if decision == "cannot be told" and complete:
            repeats = min(items.a.shape[1], items.b.shape[1])
            more = more_data(difference, rules, len(joined.item_ids), repeats, share)
    return Comparison(
        a=joined.names[a],
        b=joined.names[b],
        n_items=len(joined.item_ids),
        mean_a=float(weights @ mean_a),
        mean_b=float(weights @ mean_b),
        difference=difference,
        p_adjusted=p_adjusted,
        n_better=int((gap > 0).sum()),
        n_worse=int((gap < 0).sum()),
        n_equal=int((gap == 0).sum()),
        repeats_share=share,
        tests=paired_tests(joined, items),
        subtasks=subtask_changes(joined, a, b, rules.confidence, rules.reference, rules.adjust) if detailed else [],
        items=[ItemChange(joined.item_ids[k], str(joined.subtask[k]), float(mean_a[k]), float(mean_b[k])) for k in changed],
        decision=decision,
        more=more,
    )


def decide(difference: RunDifference, accept: Accept, margin: float) -> Decision:
    """Whether the interval lies wholly on one side of the margin."""
    low, high = difference.low, difference.high
    if accept == "superior":
        return "yes" if low > margin else "no" if high <= margin else "cannot be told"
    if accept == "noninferior":
        return "yes" if low > -margin else "no" if high <= -margin else "cannot be told"
    inside = low > -margin and high < margin
    return "yes" if inside else "no" if high <= -margin or low >= margin else "cannot be told"


def more_data(
    difference: RunDifference, rules: CompareRules, n_items: int, n_repeats: int, repeats_share: float | None
) -> MoreData:
    """How many items, or repeats, would decide a gate if the true difference is the one that was seen."""
    bounds = {"superior": (rules.margin,), "noninferior": (-rules.margin,), "equivalent": (-rules.margin, rules.margin)}
    distance = min(abs(difference.value - bound) for bound in bounds[rules.accept or "superior"])
    if distance < 1e-9:
        return MoreData(items=None, repeats=None)
    factor = (difference.mde / distance) ** 2
    if factor <= 1:
        factor = 1 + 1 / n_items
    if difference.interval_kind == "repeats":
        return MoreData(items=None, repeats=math.ceil(n_repeats * factor))
    repeats = None
    if repeats_share is not None and 1 / factor > 1 - repeats_share:
        repeats = math.ceil(n_repeats * repeats_share / (1 / factor - (1 - repeats_share)))
    return MoreData(items=math.ceil(n_items * factor), repeats=repeats)


def _decision_of_all(decisions: Sequence[Decision | None]) -> Decision | None:
    if None in decisions:
        return None
    if "no" in decisions:
        return "no"
    return "yes" if set(decisions) == {"yes"} else "cannot be told"
