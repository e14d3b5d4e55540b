"""Building a micro-benchmark on all models and items, and estimating held-out models by ones built without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core import seeding
from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.data.shifted_groups import shifted_groups
from microbench_ray.methods import ESTIMATORS, Fixed, Method, Selection
from microbench_ray.methods.readout import Linear, Readout
from microbench_ray.methods.selectors.random import Random
from microbench_ray.micro.artifact import MicroBenchmark
from microbench_ray.micro.groups import grouping_of
from microbench_ray.micro.held_out_pairs import compare_pairs
from microbench_ray.micro.intervals import calibration
from microbench_ray.micro.novelty import MIN_GROUPS, KnownModels, largest
from microbench_ray.micro.records import HeldOut, Item
from microbench_ray.sweeps.evaluate import Draw, Truth, check_selection, responses_to, seen_items, true_accuracies
from microbench_ray.sweeps.fits import signal_used

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]

FOLDS = 10
MIN_MODELS = 4
BEST = 0.2
"""Share of the models, the best ones, held out together to measure errors for models better than the known ones."""
MAX_COMPARED = 1000
"""Models of more are drawn at random: the cost of comparing pairs in every resample grows with the square of the models."""
PACKAGES = ("microbench-ray", "numpy")


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


def build(
    benchmark: Benchmark,
    method: Method,
    size: int | None = None,
    seed: int = 0,
    *,
    folds: int = FOLDS,
    origin: Origin | None = None,
) -> MicroBenchmark:
    """Build a micro-benchmark on all models and all items.

    Its errors on new models are measured by cross-validation: the models are divided into folds, and each fold is estimated by a
    micro-benchmark built in the same way on the other folds. Runs and copies of a model are in one fold (`groups.grouping_of`).
    Where there are enough models, the best fifth are also estimated by a micro-benchmark built on the rest. All these builds draw
    from the same random streams.

    Parameters
    ----------
    benchmark
        The benchmark, of at least four models.
    method
        Its estimator must be linear (`methods.readout.Linear`).
    size
        Number of items; None for a given list (the selector `fixed`), which has a size already.
    seed
        Root seed of the method's draws, the folds and the resamples.
    folds
        Number of folds; fewer where a fold would have fewer than two models.
    origin
        The logs that the benchmark was read from, if any.

    Raises
    ------
    ConfigError
        An estimator that is not linear or reads two signals, no size, or fewer than two folds.
    GridError
        More items than the benchmark or the list has.
    DataError
        Too few models, models of one group only, or a model without a response to any item.
    """
    check_method(method)
    if folds < 2:
        raise ConfigError("Holding out models needs at least two folds.", where="folds", got=str(folds), hint="folds=10")
    size = checked_size(benchmark, method, size)
    if benchmark.n_models < MIN_MODELS:
        raise DataError(
            "The benchmark has too few models to build a micro-benchmark and hold some out.",
            where=benchmark.name,
            got=f"{benchmark.n_models} models",
            hint=f"a benchmark with at least {MIN_MODELS} models",
        )
    origin = origin or Origin()
    all_models = np.arange(benchmark.n_models)
    with one_thread():
        builder = Builder(benchmark, method, size, seed, grouping_of(benchmark).first)
        selection, readout = builder.select_and_read(all_models)
        responses = builder.responses(all_models, selection)
        truth = true_accuracies(benchmark, "seen", all_models, np.arange(benchmark.n_items))
        validated = builder.cross_validate(all_models, folds)
        held_out, extrapolated = builder.held_out(validated), builder.extrapolated(truth, folds)
    weights = np.full(size, 1 / size) if selection.weights is None else selection.weights
    scale = coefficient_scale(readout)
    means = item_means(responses) if readout.means is None else readout.means
    coefficients = readout.coefficients * scale
    items = tuple(
        item_of(benchmark, origin, item, weight=float(weights[k]), coefficient=float(coefficients[k]), mean=float(means[k]))
        for k, item in enumerate(selection.items)
    )
    return MicroBenchmark(
        benchmark={
            "name": benchmark.name,
            "digest": benchmark.digest,
            "n_models": benchmark.n_models,
            "n_items": benchmark.n_items,
        },
        method=method.identity(),
        seed=seed,
        signal=builder.signal,
        source=dict(origin.source),
        versions={package: version(package) for package in PACKAGES},
        items=items,
        readout=replace(readout, coefficients=coefficients),
        models=tuple(str(name) for name in benchmark.model_ids),
        accuracy=truth.accuracy,
        responses=responses,
        held_out=held_out,
        extrapolated=extrapolated,
        reserve=builder.reserve(origin),
        variance=response_variance(benchmark),
        groups=builder.groups,
        novelty=validated.novelty,
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


def check_method(method: Method) -> None:
    """Raise ConfigError unless the method's estimator is linear, so that it can be exported as coefficients."""
    if isinstance(method.estimator, Linear):
        return
    linear = ", ".join(sorted(name for name, kind in ESTIMATORS.items() if issubclass(kind, Linear)))
    raise ConfigError(
        "The estimator cannot be exported: it is not linear in the responses.",
        where=f"methods, {method.label}, estimator",
        got=method.identity()["estimator"]["name"],
        hint=f"one of {linear}: method={{method: {method.label}, estimator: {{name: …}}}}",
    )


def checked_size(benchmark: Benchmark, method: Method, size: int | None) -> int:
    """The number of items: `size`, or the length of the list for `fixed`.

    Raises
    ------
    ConfigError
        No size.
    GridError
        A size below 1, above the number of items, or other than the length of the list.
    """
    length = len(method.selector.items) if isinstance(method.selector, Fixed) else None
    if size is None and length is None:
        raise ConfigError("A micro-benchmark needs a size.", where="size", got="nothing", hint="size=100")
    if length is not None and size not in (None, length):
        raise GridError(
            "The size differs from the length of the list.", where="size", got=f"{size} for {length} items", hint=f"size={length}"
        )
    checked = length or size or 0
    if not 1 <= checked <= benchmark.n_items:
        raise GridError(
            "The size is outside the benchmark's number of items.",
            where="size",
            got=f"{checked} of {benchmark.n_items} items",
            hint=f"size=1 to {benchmark.n_items}",
        )
    return checked


def coefficient_scale(readout: Readout) -> float:
    """The factor that turns a weighted mean's weights into the coefficients for a model that answered every item."""
    if readout.means is not None:
        return 1.0
    weight = float(readout.coefficients.sum())
    return readout.total / weight if weight else 1.0


class CrossValidation(NamedTuple):
    """Estimates of models by micro-benchmarks built on the other folds."""

    folds: list[Positions]
    """The models of each fold, ascending."""
    estimates: FloatArray
    """(n_models,), NaN for models in none of the folds."""
    novelty: FloatArray
    """(n_models,) how unlike the models of the other folds each is; NaN for models in none of the folds, and where these are few."""


class Builder:
    """Builds a micro-benchmark on any subset of the models, always from the same random streams.

    Parameters
    ----------
    benchmark, method, size, seed
        As for `build`.
    groups
        (n_models,) position of the first model of each model's group; by default each model is by itself.
    """

    def __init__(self, benchmark: Benchmark, method: Method, size: int, seed: int, groups: Positions | None = None) -> None:
        self.groups = np.arange(benchmark.n_models) if groups is None else groups
        self.benchmark, self.method, self.size, self.seed = benchmark, method, size, seed
        self.signal = signal_used(benchmark, method.estimator.signal)
        if self.signal == "both":
            raise ConfigError(
                "An exported micro-benchmark can read only one signal.",
                where=f"methods, {method.label}, estimator.signal",
                got="both scores and confidences",
                hint=f"method={{method: {method.label}, estimator: {{signal: correctness}}}}",
            )
        self._items = np.arange(benchmark.n_items)

    def select_and_read(self, sources: Positions) -> tuple[Selection, Readout]:
        """The items selected and the readout fitted on these source models."""
        method, name, no_models = self.method, self.benchmark.name, np.empty(0, np.intp)
        draw, estimator = Draw(no_models, sources, self._items, None), method.estimator
        assert isinstance(estimator, Linear)
        inputs, fits = [], {}
        for part, part_signal in ((method.selector, method.selector.signal), (method.estimator, method.estimator.source_signal)):
            signal = signal_used(self.benchmark, part_signal)
            seen = seen_items(self.benchmark, draw, signal)
            key = part.fit_key or id(part), signal  # without a key, a fit is not shared
            if key not in fits:
                fits[key] = part.fit(seen, seeding.export_stream(self.seed, name, f"fit {part.fit_key}/{signal}"))
            inputs.append((seen, fits[key]))
        (selector_seen, selector_fit), (estimator_seen, estimator_fit) = inputs
        size_key = "" if method.selector.nested else f" {self.size}"
        rng = seeding.export_stream(self.seed, name, f"select {method.label}{size_key}")
        selection = method.selector.select(selector_seen, selector_fit, self.size, rng)
        check_selection(method, selection, self.size, self.benchmark.n_items)
        return selection, estimator.readout(selection, estimator_seen, estimator_fit)

    def responses(self, models: Positions, selection: Selection) -> FloatArray:
        """(n, size) responses of these models to the selected items, NaN where missing."""
        responses: FloatArray = responses_to(self.benchmark, models, selection.items, self.signal)
        return responses

    def estimates_and_novelty(self, sources: Positions, targets: Positions) -> tuple[FloatArray, FloatArray]:
        """(n_targets,) estimates by the micro-benchmark built on `sources`, and how unlike these each target is."""
        selection, readout = self.select_and_read(sources)
        responses = self.responses(targets, selection)
        estimates = readout.estimate(responses)
        _, first = np.unique(self.groups[sources], return_index=True)
        of_known = self.responses(sources[first], selection)
        if np.count_nonzero(~np.isnan(of_known).all(axis=1)) < MIN_GROUPS:
            return estimates, np.full(targets.size, np.nan)
        means = item_means(self.responses(sources, selection)) if readout.means is None else readout.means
        known = KnownModels(of_known, means, self._truth(sources[first]).accuracy)
        return estimates, largest(known.novelty(responses, estimates))

    def cross_validate(self, models: Positions, folds: int) -> CrossValidation:
        """Estimate each of these models by the micro-benchmark built on the other folds; the models of a group are in one fold."""
        groups = np.unique(self.groups[models])
        folds = max(2, min(folds, groups.size // 2))
        order = seeding.export_stream(self.seed, self.benchmark.name, "folds").permutation(groups)
        estimates = np.full(self.benchmark.n_models, np.nan)
        parts = [models[np.isin(self.groups[models], order[k::folds])] for k in range(folds)]
        novelty = np.full(self.benchmark.n_models, np.nan)
        for part in parts:
            estimates[part], novelty[part] = self.estimates_and_novelty(np.setdiff1d(models, part), part)
        return CrossValidation(folds=parts, estimates=estimates, novelty=novelty)

    def held_out(self, validated: CrossValidation) -> HeldOut:
        """Every model, estimated by the micro-benchmark built on the other folds."""
        all_models, parts, estimates = np.arange(self.benchmark.n_models), validated.folds, validated.estimates
        compared = all_models
        if compared.size > MAX_COMPARED:
            rng = seeding.export_stream(self.seed, self.benchmark.name, "compared")
            compared = np.sort(rng.choice(all_models, MAX_COMPARED, replace=False))
        rng = seeding.export_stream(self.seed, self.benchmark.name, "resamples")
        pairs = compare_pairs(self._truth(compared), estimates[compared], self.groups[compared], self.benchmark.units, rng)
        n_groups = np.unique(self.groups).size
        of_groups = f" of {n_groups} groups" if n_groups < self.benchmark.n_models else ""
        return HeldOut(
            label=f"models drawn like the known ones: {len(parts)} folds{of_groups}",
            models=all_models,
            estimates=estimates,
            mdad=pairs.mdad,
            agreement=pairs.agreement,
        )

    def extrapolated(self, truth: Truth, folds: int) -> HeldOut | None:
        """The best models, estimated by the micro-benchmark built on the others; None where there are too few of either.

        Their estimates are calibrated by the line that cross-validation of the others gives.
        """
        (best,) = shifted_groups(self.benchmark, best=BEST)
        if best.skipped:
            return None
        targets, others = best.targets, np.setdiff1d(np.arange(self.benchmark.n_models), best.targets)
        line = calibration(self.cross_validate(others, folds).estimates[others], truth.accuracy[others])
        estimates = line.accuracy(self.estimates_and_novelty(others, targets)[0])
        rng = seeding.export_stream(self.seed, self.benchmark.name, "resamples of the best")
        pairs = compare_pairs(self._truth(targets), estimates, self.groups[targets], self.benchmark.units, rng)
        return HeldOut(
            label=f"the {best.label} of the models, by a micro-benchmark built on the others",
            models=targets,
            estimates=estimates,
            mdad=pairs.mdad,
            agreement=pairs.agreement,
        )

    def reserve(self, origin: Origin) -> tuple[Item, ...]:
        """A uniform random sample of `size` items; empty where the method's items are one, whose mean serves as well.

        Empty as well for micro-benchmarks that read confidences.
        """
        if self.signal != "correctness":
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
