"""Micro-benchmarks built on any of a benchmark's models, and estimates of the others by them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core import seeding
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from microbench_ray.data.model_groups import best_models
from microbench_ray.data.shifted_groups import shifted_groups
from microbench_ray.methods import Method, SeenItems, Selection
from microbench_ray.methods.kernels.guided import affordable
from microbench_ray.methods.readout import Readout, WithReadout
from microbench_ray.methods.selectors.random import Random
from microbench_ray.micro.held_out_pairs import compare_pairs
from microbench_ray.micro.intervals import Calibration, binomial_scale, calibration, errors_interval, errors_of
from microbench_ray.micro.novelty import MAX_DEVIATION, MIN_GROUPS, KnownModels, better_from, largest, novelty_limit
from microbench_ray.micro.records import HeldOut, Item
from microbench_ray.sweeps.evaluate import Draw, Truth, check_selection, responses_to, seen_items, true_accuracies
from microbench_ray.sweeps.fits import signal_used

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]

BEST = 0.2
"""Share of the models, the best ones, held out together to measure errors for models better than the known ones."""
BEST_HELD, MAX_CHANCE = 0.9, 0.05
"""Share of the best models' intervals that must be shown to hold the truth, and the probability that a smaller share looks so. Else
models that may be like them need random items. At least 29 intervals are needed, all of which hold."""
MAX_COMPARED = 1000
"""Models of more are drawn at random: the cost of comparing pairs in every resample grows with the square of the models."""


class Place(NamedTuple):
    """Where an item is found in the tool that runs it: its task, and its number or name there."""

    task: str
    position: str


@dataclass(frozen=True)
class Origin:
    """Where a benchmark's responses come from.

    Attributes
    ----------
    source
        `source`, `metric` and `filter` of the `microbench ingest` that read the logs; empty for other benchmarks.
    places
        Place of each item in the tool, by item id; empty where unknown.
    """

    source: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)


class CrossValidation(NamedTuple):
    """Estimates of models by micro-benchmarks built on the other folds."""

    folds: list[Positions]
    """The models of each fold, ascending."""
    estimates: FloatArray
    """(n_models,), NaN for models in none of the folds."""
    novelty: FloatArray
    """(n_models,) how unlike the models of the other folds each is; NaN for models in none of the folds, and where these are
    few."""


class BestHeldOut(NamedTuple):
    """The best models, held out together."""

    targets: Positions
    line: Calibration
    """The line that cross-validated estimates of the others follow."""
    estimates: FloatArray
    """(n,) not calibrated."""
    better: FloatArray
    """(n,) how much better than the others they look (`novelty.KnownModels`)."""
    held: NDArray[np.bool_]
    """(n_judged,) whether the interval holds the truth, of one model of each group that is not called unlike the others."""


class Builder:
    """Builds a micro-benchmark on any subset of the models, always from the same random streams.

    Parameters
    ----------
    benchmark, method, size, seed
        As for `build`.
    groups
        (n_models,) position of the first model of each model's group; by default each model is by itself.
    cost
        A budget: each micro-benchmark has the first items of its order that cost no more together, and `size` is the number that
        all models' has. The selector's choices nest.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        method: Method,
        size: int,
        seed: int,
        groups: Positions | None = None,
        cost: float | None = None,
    ) -> None:
        self.groups = np.arange(benchmark.n_models) if groups is None else groups
        self.benchmark, self.method, self.size, self.seed, self.cost = benchmark, method, size, seed, cost
        self.signal = signal_used(benchmark, method.estimator.signal)
        if self.signal == "both":
            raise ConfigError(
                "An exported micro-benchmark can read only one signal.",
                where=f"methods, {method.label}, estimator.signal",
                got="both scores and confidences",
                hint=f"'method={{method: {method.label}, estimator: {{signal: correctness}}}}'",
            )
        self._items = np.arange(benchmark.n_items)

    def select_and_read(self, sources: Positions) -> tuple[Selection, Readout]:
        """The items selected and the readout fitted on these source models."""
        method, name, estimator = self.method, self.benchmark.name, self.method.estimator
        assert isinstance(estimator, WithReadout)
        (selector_seen, selector_fit), (estimator_seen, estimator_fit) = self._fits(sources)
        size = self.size if self.cost is None else self._affordable(selector_seen, selector_fit, self.cost)
        size_key = "" if method.selector.nested else f" {size}"
        rng = seeding.export_stream(self.seed, name, f"select {method.label}{size_key}")
        selection = method.selector.select(selector_seen, selector_fit, size, rng)
        check_selection(method, selection, size, self.benchmark.n_items)
        return selection, estimator.readout(selection, estimator_seen, estimator_fit)

    def order(self, sources: Positions) -> tuple[Positions, float | None]:
        """(n_items,) the items in the order in which a selector whose choices nest chooses them, and the power of costs in it where
        the selector decided on one."""
        seen, fit = self._fits(sources)[0]
        return self._order(seen, fit), getattr(fit, "cost_power", None)

    def _order(self, seen: SeenItems, fit: Any) -> Positions:
        rng = seeding.export_stream(self.seed, self.benchmark.name, f"select {self.method.label}")
        return self.method.selector.select(seen, fit, self.benchmark.n_items, rng).items

    def _affordable(self, seen: SeenItems, fit: Any, cost: float) -> int:
        """How many of the first items cost no more than the budget together; at least one."""
        assert seen.costs is not None
        return affordable(seen.costs[self._order(seen, fit)], cost * (1 + 1e-12))

    def _fits(self, sources: Positions) -> list[tuple[SeenItems, Any]]:
        """What the selector and the estimator see, and their fits to it."""
        method, name = self.method, self.benchmark.name
        draw = Draw(np.empty(0, np.intp), sources, self._items, None)
        inputs: list[tuple[SeenItems, Any]] = []
        fits: dict[tuple[str | int, Any], Any] = {}
        for part, part_signal in ((method.selector, method.selector.signal), (method.estimator, method.estimator.source_signal)):
            signal = signal_used(self.benchmark, part_signal)
            seen = replace(seen_items(self.benchmark, draw, signal), budget=self.cost)
            key = part.fit_key or id(part), signal  # without a key, a fit is not shared
            if key not in fits:
                fits[key] = part.fit(seen, seeding.export_stream(self.seed, name, f"fit {part.fit_key}/{signal}"))
            inputs.append((seen, fits[key]))
        return inputs

    def responses(self, models: Positions, selection: Selection) -> FloatArray:
        """(n, size) responses of these models to the selected items, NaN where missing."""
        responses: FloatArray = responses_to(self.benchmark, models, selection.items, self.signal)
        return responses

    def estimates_and_novelty(self, sources: Positions, targets: Positions) -> tuple[FloatArray, dict[str, FloatArray]]:
        """(n_targets,) estimates by the micro-benchmark built on `sources`, and how unlike these each target is, by reason."""
        selection, readout = self.select_and_read(sources)
        responses = self.responses(targets, selection)
        estimates = readout.estimate(responses)
        _, first = np.unique(self.groups[sources], return_index=True)
        of_known = self.responses(sources[first], selection)
        if np.count_nonzero(~np.isnan(of_known).all(axis=1)) < MIN_GROUPS:
            return estimates, dict.fromkeys(("better", "worse", "pattern"), np.full(targets.size, np.nan))
        means = item_means(self.responses(sources, selection)) if readout.means is None else readout.means
        known = KnownModels(of_known, means, self._truth(sources[first]).accuracy)
        return estimates, known.novelty(responses, estimates)

    def cross_validate(self, models: Positions, folds: int) -> CrossValidation:
        """Estimate each of these models by the micro-benchmark built on the other folds; the models of a group are in one fold."""
        groups = np.unique(self.groups[models])
        folds = max(2, min(folds, groups.size // 2))
        order = seeding.export_stream(self.seed, self.benchmark.name, "folds").permutation(groups)
        estimates = np.full(self.benchmark.n_models, np.nan)
        parts = [models[np.isin(self.groups[models], order[k::folds])] for k in range(folds)]
        novelty = np.full(self.benchmark.n_models, np.nan)
        for part in parts:
            estimates[part], by_reason = self.estimates_and_novelty(np.setdiff1d(models, part), part)
            novelty[part] = largest(by_reason)
        return CrossValidation(folds=parts, estimates=estimates, novelty=novelty)

    def held_out(self, validated: CrossValidation) -> HeldOut:
        """Every model, estimated by the micro-benchmark built on the other folds."""
        all_models, parts, estimates = np.arange(self.benchmark.n_models), validated.folds, validated.estimates
        compared = all_models
        if compared.size > MAX_COMPARED:
            rng = seeding.export_stream(self.seed, self.benchmark.name, "compared")
            compared = np.sort(rng.choice(all_models, MAX_COMPARED, replace=False))
        rng = seeding.export_stream(self.seed, self.benchmark.name, "resamples")
        pairs = compare_pairs(self._truth(compared), estimates[compared], self.groups[compared], rng)
        n_groups = np.unique(self.groups).size
        of_groups = f" of {n_groups} groups" if n_groups < self.benchmark.n_models else ""
        return HeldOut(
            label=f"models drawn like the known ones: {len(parts)} folds{of_groups}",
            models=all_models,
            estimates=estimates,
            mdad=pairs.mdad,
            agreement=pairs.agreement,
        )

    def best_held_out(self, truth: Truth, folds: int) -> BestHeldOut | None:
        """The best models, estimated by the micro-benchmark built on the others; None where too few others are left."""
        targets = best_models(self.benchmark, BEST)
        others = np.setdiff1d(np.arange(self.benchmark.n_models), targets)
        if np.unique(self.groups[others]).size < MIN_GROUPS:
            return None
        validated = self.cross_validate(others, folds)
        estimates, novelty = self.estimates_and_novelty(others, targets)
        known = others[~np.isnan(validated.estimates[others])]
        of_known = validated.estimates[known]
        errors = errors_of((of_known - truth.accuracy[known]) / binomial_scale(of_known, self.size), self.groups[known])
        _, first = np.unique(self.groups[known], return_index=True)
        limit = novelty_limit(validated.novelty[known[first]])
        held = [
            interval is not None and interval.low <= accuracy <= interval.high
            for estimate, accuracy in zip(estimates, truth.accuracy[targets], strict=True)
            for interval in (errors_interval(estimate, errors, float(binomial_scale(np.array([estimate]), self.size)[0])),)
        ]
        _, first_of_best = np.unique(self.groups[targets], return_index=True)
        judged = first_of_best[largest(novelty)[first_of_best] <= limit]
        return BestHeldOut(
            targets=targets,
            line=calibration(validated.estimates[others], truth.accuracy[others]),
            estimates=estimates,
            better=novelty["better"],
            held=np.array(held, bool)[judged],
        )

    def extrapolated(self, best: BestHeldOut | None) -> HeldOut | None:
        """The best models, their estimates calibrated by the line of the others; None where there are too few of either."""
        (group,) = shifted_groups(self.benchmark, best=BEST)
        if group.skipped or best is None:
            return None
        estimates = best.line.accuracy(best.estimates)
        rng = seeding.export_stream(self.seed, self.benchmark.name, "resamples of the best")
        truth = self._truth(best.targets)
        pairs = compare_pairs(truth, estimates, self.groups[best.targets], rng)
        return HeldOut(
            label=f"the {group.label} of the models, by a micro-benchmark built on the others",
            models=best.targets,
            estimates=estimates,
            mdad=pairs.mdad,
            agreement=pairs.agreement,
        )

    def better_from(self, best: BestHeldOut | None) -> float | None:
        """`MicroBenchmark.better_from`."""
        if best is None:
            return -MAX_DEVIATION
        return None if is_shown(best.held) else better_from(best.better[~np.isnan(best.better)])

    def reserve(self, origin: Origin) -> tuple[Item, ...]:
        """A uniform random sample of `size` items; empty where the method's items are one, whose mean serves as well.

        Empty as well for micro-benchmarks that read confidences, and where items count differently: a plain mean is then not an
        estimate of the accuracy.
        """
        if self.signal != "correctness" or self.benchmark.truth != "micro":
            return ()
        if isinstance(self.method.selector, Random):
            return ()
        rng = seeding.export_stream(self.seed, self.benchmark.name, "reserve")
        drawn = rng.choice(self.benchmark.n_items, self.size, replace=False)
        responses = self.responses(np.arange(self.benchmark.n_models), Selection(drawn))
        return tuple(
            item_of(self.benchmark, origin, item, weight=1 / self.size, coefficient=1 / self.size, mean=float(mean))
            for item, mean in zip(drawn, item_means(responses), strict=True)
        )

    def _truth(self, models: Positions) -> Truth:
        return true_accuracies(self.benchmark, "seen", models, self._items)


def is_shown(held: NDArray[np.bool_]) -> bool:
    """Whether intervals, (n,), show that a share of `BEST_HELD` of such ones holds the truth, by the exact binomial test."""
    n, probability = held.size, 0.0
    for k in range(int(held.sum()), n + 1):
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        probability += math.exp(ways + k * math.log(BEST_HELD) + (n - k) * math.log(1 - BEST_HELD))
    return probability <= MAX_CHANCE


def item_of(benchmark: Benchmark, origin: Origin, item: int, *, weight: float, coefficient: float, mean: float) -> Item:
    """The record of an item, given its position in the benchmark."""
    name = str(benchmark.item_ids[item])
    place = origin.places.get(name)
    return Item(
        id=name,
        subtask=benchmark.subtask_names[benchmark.subtask_codes[item]],
        weight=weight,
        coefficient=coefficient,
        mean=mean,
        task=None if place is None else place.task,
        position=None if place is None else place.position,
    )


def item_means(responses: FloatArray) -> FloatArray:
    """(size,) means of the non-missing responses; 0 for an item without any."""
    answered = ~np.isnan(responses)
    means: FloatArray = np.where(answered, responses, 0.0).sum(axis=0) / np.maximum(answered.sum(axis=0), 1)
    return means


def response_variance(benchmark: Benchmark) -> FloatArray:
    """(n_models,) variance of each model's responses to the items that it answered, by their number."""
    answered = benchmark.scores != benchmark.missing
    n = answered.sum(axis=1)
    scores = np.where(answered, benchmark.scores, 0).astype(np.float64) / benchmark.units
    mean = scores.sum(axis=1) / n
    variance: FloatArray = np.where(answered, np.square(scores - mean[:, None]), 0).sum(axis=1) / n
    return variance
