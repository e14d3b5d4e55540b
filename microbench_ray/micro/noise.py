"""The noise of a benchmark whose answers were repeated: its parts, what single runs tell apart, and how to split a budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import expected_agreeing, expected_counts, expected_mdad
from microbench_ray.metrics.items_needed import check_size
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.metrics.pairs import FloatArray
from microbench_ray.metrics.run_noise import RunNoise, noise_floor, with_noise
from microbench_ray.metrics.variance_components import LEVEL
from microbench_ray.micro.sample_size import Criterion, board_moments
from microbench_ray.micro.single_runs import check_repeats, run_noise_of, with_draws

EQUAL = 0.02
"""Relative difference of two standard deviations below which two ways to split a budget are called equal."""
FLOOR_THRESHOLD = 0.8
"""Probability of a noise floor where the threshold of agreement has none: one answer in two is right by chance, and none always."""
MAX_REPEATS = 1000
"""Repeats of each item, at most, in a split of a budget."""


class ModelNoise(NamedTuple):
    """The noise of one model; variances are shares of those of a single answer, deviations fractions.

    Attributes
    ----------
    model, accuracy
        The model, and the mean of its items' repeats.
    n_repeats
        Largest number of repeats of an item.
    share_between_items, share_within_items, share_runs
        Of the variance of a single answer: between the items' expectations, between repeats of an item, and of runs; sum 1.
    run_effect
        Standard deviation of the effect of a run that is common to all items, as it is used for predictions.
    run_effect_p
        p-value of there being none; None where it cannot be told.
    run_deviation, run_deviation_without_effect
        Standard deviation of the accuracy of one run of all items, with and without the effect of runs.
    """

    model: str
    accuracy: float
    n_repeats: int
    share_between_items: float
    share_within_items: float
    share_runs: float
    run_effect: float
    run_effect_p: float | None
    run_deviation: float
    run_deviation_without_effect: float


class SizeAndRepeats(NamedTuple):
    """What a micro-score of `size` items, each the mean of `n_repeats` repeats, orders right.

    Attributes
    ----------
    size, n_repeats
        Items, and repeats of each.
    answers
        Their product: answers of each model.
    deviation
        Standard deviation of the difference of two models' micro-scores: the root of the mean variance over pairs; a fraction.
    mdad
        A fraction; None where no difference is detected.
    mean_agreement
        Share of all pairs that are ordered as by their expectations.
    """

    size: int
    n_repeats: int
    answers: int
    deviation: float
    mdad: float | None
    mean_agreement: float


class Split(NamedTuple):
    """The best split of a budget of answers of each model, in items and repeats.

    Attributes
    ----------
    budget
        Answers of each model.
    best
        The split with the smallest deviation.
    equal
        (size, n_repeats) of the splits whose deviation is larger by less than `EQUAL`, by their numbers of repeats.
    """

    budget: int
    best: SizeAndRepeats
    equal: tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class BenchmarkNoise:
    """The noise of a benchmark.

    Parameters
    ----------
    benchmark
        The benchmark.
    models
        The noise of each model.
    pairs, noise
        Pairs of its models, and their noise.
    criterion
        When a difference counts as detected.
    floor_threshold
        Probability that the floor is of.
    floor, floor_without_effect
        The smallest difference of expectations that one run of all items orders right with this probability, on average
        over pairs, with and without the effects of runs; fractions.
    n_grouped
        Models whose repeats are not in the order of runs, so that effects of runs cannot be told.
    """

    benchmark: Benchmark
    models: tuple[ModelNoise, ...]
    pairs: PairMoments
    noise: RunNoise
    criterion: Criterion
    floor_threshold: float
    floor: float
    floor_without_effect: float
    n_grouped: int

    @property
    def with_effect(self) -> tuple[str, ...]:
        """The models of which an effect of runs was found (Holm's test over the models at .05)."""
        known = sorted((row.run_effect_p, row.model) for row in self.models if row.run_effect_p is not None)
        found = []
        for rank, (p, model) in enumerate(known):
            if p > LEVEL / (len(known) - rank):
                break
            found.append(model)
        return tuple(sorted(found))

    def at(self, size: int, n_repeats: int = 1) -> SizeAndRepeats:
        """What `size` random items with `n_repeats` repeats of each order right.

        Raises
        ------
        ConfigError
            A size outside the benchmark, or fewer than one repeat.
        """
        check_size(size, self.benchmark.n_items)
        check_repeats(n_repeats)
        pairs = with_noise(self.pairs, with_draws(replace(self.noise, n_repeats=n_repeats), self.benchmark))
        counts = expected_counts(pairs, size)
        agree, ordered = expected_agreeing(counts, self.criterion.tie_policy)
        mdad = expected_mdad(counts, self.criterion.threshold, self.criterion.tie_policy)
        return SizeAndRepeats(
            size=size,
            n_repeats=n_repeats,
            answers=size * n_repeats,
            deviation=self.deviation(size, n_repeats),
            mdad=None if math.isnan(mdad) else mdad,
            mean_agreement=float(agree.sum() / ordered.sum()) if ordered.sum() else math.nan,
        )

    def deviation(self, size: int, n_repeats: int) -> float:
        """The root of the mean variance, over pairs, of the difference of two micro-scores; a fraction."""
        noise = replace(self.noise, n_repeats=n_repeats)
        return math.sqrt(float(noise.variance(with_noise(self.pairs, noise), size).mean()))

    def split(self, budget: int) -> Split:
        """The best split of a budget of answers.

        Raises
        ------
        ConfigError
            A budget below 1.
        """
        if budget < 1:
            raise ConfigError("A budget is a number of answers.", where="budget", got=str(budget), hint="budget=[1000]")
        sizes = {r: min(self.benchmark.n_items, budget // r) for r in range(1, min(budget, MAX_REPEATS) + 1)}
        if budget > self.benchmark.n_items:  # fewer repeats than would fit use less of the budget
            sizes = {r: size for r, size in sizes.items() if r >= budget // self.benchmark.n_items}
        deviations = {r: self.deviation(size, r) for r, size in sizes.items() if size * r > budget - r}
        deviations = deviations or {r: self.deviation(size, r) for r, size in sizes.items()}
        best = min(deviations, key=lambda r: (deviations[r], r))
        equal = [(sizes[r], r) for r, own in deviations.items() if own <= deviations[best] * (1 + EQUAL) and r != best]
        return Split(budget=budget, best=self.at(sizes[best], best), equal=tuple(equal))


def measure_noise(benchmark: Benchmark, criterion: Criterion) -> BenchmarkNoise:
    """Measure the noise of a benchmark.

    The floor is that of the threshold, or of `FLOOR_THRESHOLD` where it is not between 0.5 and 1.

    Raises
    ------
    DataError
        The benchmark has no repeats.
    """
    noise = run_noise_of(benchmark)
    if noise is None:
        raise DataError(
            "The benchmark has no repeats, so its noise is not known.",
            where="benchmark",
            got=benchmark.name,
            hint="several answers of a model to an item: epochs, repeats, or a long table with a column of repeats",
        )
    threshold = criterion.threshold if 0.5 < criterion.threshold < 1 else FLOOR_THRESHOLD
    pairs = board_moments(benchmark)
    single = with_noise(pairs, noise)
    floors = [
        noise_floor(np.sqrt(replace(noise, with_runs=effect).variance(single, benchmark.n_items)), threshold)
        for effect in (True, False)
    ]
    return BenchmarkNoise(
        benchmark=benchmark,
        models=tuple(_rows(benchmark, noise)),
        pairs=pairs,
        noise=noise,
        criterion=criterion,
        floor_threshold=threshold,
        floor=floors[0],
        floor_without_effect=floors[1],
        n_grouped=int(noise.components.is_grouped.sum()),
    )


def _rows(benchmark: Benchmark, noise: RunNoise) -> list[ModelNoise]:
    parts = noise.components
    total: FloatArray = parts.items + parts.within + parts.runs_used
    n_answered = np.maximum(1.0, parts.answered * benchmark.n_items)
    independent = np.sqrt(parts.within / n_answered)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [np.nan_to_num(part / total) for part in (parts.items, parts.within, parts.runs_used)]
    return [
        ModelNoise(
            model=str(model),
            accuracy=float(parts.accuracy[k]),
            n_repeats=int(parts.n_runs[k]),
            share_between_items=float(shares[0][k]),
            share_within_items=float(shares[1][k]),
            share_runs=float(shares[2][k]),
            run_effect=math.sqrt(float(parts.runs_used[k])),
            run_effect_p=None if math.isnan(parts.p_runs[k]) else float(parts.p_runs[k]),
            run_deviation=math.sqrt(float(independent[k] ** 2 + parts.runs_used[k])),
            run_deviation_without_effect=float(independent[k]),
        )
        for k, model in enumerate(benchmark.model_ids)
    ]


def table_rows(sizes: Sequence[int], repeats: Sequence[int], noise: BenchmarkNoise) -> list[SizeAndRepeats]:
    """`BenchmarkNoise.at` for every size and number of repeats."""
    return [noise.at(size, n_repeats) for size in sizes for n_repeats in repeats]


def split_row(split: Split) -> dict[str, Any]:
    """A split as plain values."""
    best = split.best
    return {
        "budget": split.budget,
        "size": best.size,
        "n_repeats": best.n_repeats,
        "deviation": best.deviation,
        "mdad": best.mdad,
        "mean_agreement": best.mean_agreement,
        "equal": [list(each) for each in split.equal],
    }


def summary(found: BenchmarkNoise) -> dict[str, Any]:
    """The noise of a benchmark as plain values; shares and differences are fractions."""
    within = np.array([row.share_within_items + row.share_runs for row in found.models])
    n_repeats = [row.n_repeats for row in found.models if row.n_repeats]
    return {
        "n_items": found.benchmark.n_items,
        "n_models": len(found.models),
        "repeats_low": min(n_repeats),
        "repeats_high": max(n_repeats),
        "share_within_low": float(within.min()),
        "share_within_median": float(np.median(within)),
        "share_within_high": float(within.max()),
        "threshold": found.floor_threshold,
        "floor": found.floor,
        "floor_without_effect": found.floor_without_effect,
        "with_effect": list(found.with_effect),
        "largest_effect": max(row.run_effect for row in found.models),
        "n_grouped": found.n_grouped,
    }
