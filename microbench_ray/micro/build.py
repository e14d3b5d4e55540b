"""A micro-benchmark built on all models and items, and how far off it is of models that it was not built from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from microbench_ray.methods.estimators.means import Mean
from microbench_ray.methods.readout import Linear, Readout
from microbench_ray.methods.selectors.random import Random
from microbench_ray.metrics import Mdad, PairCounts, agreement_curve, bootstrap_models, compare, mdad
from microbench_ray.micro.artifact import HeldOut, Item, MicroBenchmark
from microbench_ray.micro.intervals import calibration
from microbench_ray.sweeps.evaluate import Draw, Truth, check_selection, responses_to, seen_items, true_accuracies
from microbench_ray.sweeps.fits import signal_used

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]

FOLDS = 10
MIN_MODELS = 4
BEST = 0.2
"""Share of the models that is held out together, as the best: what models better than the known ones are judged by."""
RESAMPLES = 1000
PACKAGES = ("microbench-ray", "numpy")


class Place(NamedTuple):
    """Where an item lies in the tool that runs it: its task, and its number or name there."""

    task: str
    position: str


@dataclass(frozen=True)
class Origin:
    """What is known of the logs that a benchmark was read from.

    Attributes
    ----------
    source
        `source`, `metric` and `filter` as `microbench ingest` was given them.
    places
        By item id.
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

    How far off it is of new models is measured on its own: the models are divided into folds, each is estimated by a
    micro-benchmark that was built in the same way on the others, and where there are enough models the best fifth are estimated by
    one that was built on the rest. What the method draws, it draws from the same stream every time.

    Parameters
    ----------
    benchmark
        The benchmark, of at least four models.
    method
        Its estimator must be linear (`methods.readout.Linear`).
    size
        Items; None for all of a given list (the selector `fixed`).
    seed
        Of what the method draws, and of the folds.
    folds
        Into which the models are divided; fewer where there are fewer than two models for each.
    origin
        What is known of the logs that the benchmark was read from.

    Raises
    ------
    ConfigError
        An estimator that is not linear, or folds below 2.
    GridError
        A size that the benchmark has not.
    DataError
        Too few models, or a model that answered none of the items.
    """
    check_method(method)
    if folds < 2:
        raise ConfigError("Models are held out in at least two folds.", where="folds", got=str(folds))
    size = checked_size(benchmark, method, size)
    if benchmark.n_models < MIN_MODELS:
        got, hint = (
            f"{benchmark.n_models} models",
            f"a benchmark of at least {MIN_MODELS}",
        )
        raise DataError("A micro-benchmark is built from models, and held-out ones.", where=benchmark.name, got=got, hint=hint)
    origin = origin or Origin()
    every = np.arange(benchmark.n_models)
    with one_thread():
        whole = Builder(benchmark, method, size, seed)
        selection, readout = whole.built(every)
        responses = whole.responses(every, selection)
        truth = true_accuracies(benchmark, "seen", every, np.arange(benchmark.n_items))
        held_out, extrapolated = whole.held_out(truth, folds), whole.extrapolated(truth, folds)
    chosen = selection.items
    weights = np.full(size, 1 / size) if selection.weights is None else selection.weights
    scale = coefficient_scale(readout)
    means = np.nanmean(responses, axis=0) if readout.means is None else readout.means
    coefficients = readout.coefficients * scale
    items = tuple(
        item_of(benchmark, origin, chosen[k], float(weights[k]), float(coefficients[k]), float(means[k])) for k in range(size)
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
        signal=whole.signal,
        source=dict(origin.source),
        versions={package: version(package) for package in PACKAGES},
        items=items,
        readout=Readout(readout.intercept, coefficients, readout.means, readout.total),
        models=tuple(str(name) for name in benchmark.model_ids),
        accuracy=truth.accuracy,
        responses=responses,
        held_out=held_out,
        extrapolated=extrapolated,
        reserve=whole.reserve(origin),
    )


def item_of(benchmark: Benchmark, origin: Origin, item: int, weight: float, coefficient: float, mean: float) -> Item:
    """An item as it is written down."""
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
    """ConfigError where a method's estimates cannot be written down as coefficients."""
    if isinstance(method.estimator, Linear):
        return
    names = ", ".join(sorted(name for name, kind in ESTIMATORS.items() if issubclass(kind, Linear)))
    got = method.identity()["estimator"]["name"]
    raise ConfigError(
        "This estimator cannot be exported: it is no linear readout of the responses.",
        where=f"methods, {method.label}, estimator",
        got=got,
        hint=f"one of {names}: method={{method: {method.label}, estimator: {{name: …}}}}",
    )


def checked_size(benchmark: Benchmark, method: Method, size: int | None) -> int:
    """The size; that of the list for `fixed`. GridError where there are not so many items."""
    given = len(method.selector.items) if isinstance(method.selector, Fixed) else None
    if size is None and given is None:
        raise ConfigError("A micro-benchmark has a size.", where="size", got="nothing", hint="size=100")
    if given is not None and size not in (None, given):
        raise GridError("The list has another size.", where="size", got=f"{size}; the list has {given} items", hint=f"size={given}")
    wanted = given or size or 0
    if not 1 <= wanted <= benchmark.n_items:
        got = f"{wanted} of {benchmark.n_items} items"
        raise GridError("The benchmark has not so many items.", where="size", got=got, hint=f"size=1 to {benchmark.n_items}")
    return wanted


def coefficient_scale(readout: Readout) -> float:
    """What the coefficients are divided by, so that they are those of a model that answered everything."""
    if readout.means is not None:
        return 1.0
    together = float(readout.coefficients.sum())
    return readout.total / together if together else 1.0


class Builder:
    """Builds a micro-benchmark on some of the models, in the same way every time.

    Parameters
    ----------
    benchmark, method, size, seed
        As for `build`.
    """

    def __init__(self, benchmark: Benchmark, method: Method, size: int, seed: int) -> None:
        self.benchmark, self.method, self.size, self.seed = benchmark, method, size, seed
        self.signal = signal_used(benchmark, method.estimator.signal)
        if self.signal == "both":
            raise ConfigError(
                "An exported micro-benchmark reads one signal.",
                where=f"methods, {method.label}, estimator.signal",
                got="both scores and confidences",
                hint=f"method={{method: {method.label}, estimator: {{signal: correctness}}}}",
            )
        self._items = np.arange(benchmark.n_items)

    def built(self, sources: Positions) -> tuple[Selection, Readout]:
        """The items, and how they are read, as these source models have it."""
        method, name, nothing = self.method, self.benchmark.name, np.empty(0, np.intp)
        draw, estimator = Draw(nothing, sources, self._items, None), method.estimator
        assert isinstance(estimator, Linear)
        parts, fits = [], {}
        for part, wanted in ((method.selector, method.selector.signal), (method.estimator, method.estimator.source_signal)):
            signal = signal_used(self.benchmark, wanted)
            seen = seen_items(self.benchmark, draw, signal)
            key = part.fit_key, signal
            if key not in fits:
                fits[key] = part.fit(seen, seeding.export_stream(self.seed, name, f"fit {part.fit_key}/{signal}"))
            parts.append((seen, fits[key]))
        (seen, fit), (known, model) = parts
        key_of_size = "" if method.selector.nested else f" {self.size}"
        rng = seeding.export_stream(self.seed, name, f"select {method.label}{key_of_size}")
        selection = method.selector.select(seen, fit, self.size, rng)
        check_selection(method, selection, self.size, self.benchmark.n_items)
        return selection, estimator.readout(selection, known, model)

    def responses(self, models: Positions, selection: Selection) -> FloatArray:
        """(n, size) of these models, NaN where missing."""
        found: FloatArray = responses_to(self.benchmark, models, selection.items, self.signal)
        return found

    def estimated(self, sources: Positions, targets: Positions) -> FloatArray:
        """(n_targets,) by the micro-benchmark that these sources build."""
        selection, readout = self.built(sources)
        return readout.estimate(self.responses(targets, selection))

    def across(self, models: Positions, folds: int) -> tuple[list[Positions], FloatArray]:
        """The folds of some models, and (n_models,) each one's estimate by those of the other folds; NaN for all other models."""
        folds = max(2, min(folds, len(models) // 2))
        order = seeding.export_stream(self.seed, self.benchmark.name, "folds").permutation(models)
        estimates = np.full(self.benchmark.n_models, np.nan)
        parts = [np.sort(order[k::folds]) for k in range(folds)]
        for out in parts:
            estimates[out] = self.estimated(np.setdiff1d(models, out), out)
        return parts, estimates

    def held_out(self, truth: Truth, folds: int) -> HeldOut:
        """Every model once, estimated by the models of the other folds."""
        every = np.arange(self.benchmark.n_models)
        parts, estimates = self.across(every, folds)
        pooled = PairCounts.stack([compare(self._truth(out).pairs, estimates[out]).counts for out in parts])
        rng = seeding.export_stream(self.seed, self.benchmark.name, "resamples")
        found = mdad(pooled, n_resamples=RESAMPLES, seed=rng) if pooled.n_pairs.any() else None
        label = f"models drawn like the known ones: {len(parts)} folds"
        return HeldOut(label, every, estimates, _mdad(found), _curve(pooled))

    def extrapolated(self, truth: Truth, folds: int) -> HeldOut | None:
        """The best models, estimated by the others, whose own folds say what estimates stand for; None where either are too few."""
        (best,) = shifted_groups(self.benchmark, best=BEST)
        if best.left_out:
            return None
        out, others = best.targets, np.setdiff1d(np.arange(self.benchmark.n_models), best.targets)
        line = calibration(self.across(others, folds)[1][others], truth.accuracy[others])
        estimates = line.truth(self.estimated(others, out))
        its = self._truth(out)
        rng = seeding.export_stream(self.seed, self.benchmark.name, "resamples of the best")
        again = bootstrap_models(its.sums, its.answered, self.benchmark.units, estimates, RESAMPLES, rng)
        counts = compare(its.pairs, estimates).counts
        label = f"the {best.label} of the models, by a micro-benchmark built on the others"
        found = mdad(counts, ci="models", resampled=again, seed=rng) if counts.n_pairs.any() else None
        return HeldOut(label, out, estimates, _mdad(found), _curve(counts))

    def reserve(self, origin: Origin) -> tuple[Item, ...]:
        """A uniform random sample of as many items; none where the method reads the mean of such a one, or reads no scores."""
        if self.signal != "correctness":
            return ()
        if isinstance(self.method.selector, Random) and isinstance(self.method.estimator, Mean):
            return ()
        rng = seeding.export_stream(self.seed, self.benchmark.name, "reserve")
        drawn = rng.choice(self.benchmark.n_items, self.size, replace=False)
        responses = self.responses(np.arange(self.benchmark.n_models), Selection(drawn))
        answered = ~np.isnan(responses)
        means = np.where(answered, responses, 0.0).sum(axis=0) / np.maximum(answered.sum(axis=0), 1)
        return tuple(
            item_of(self.benchmark, origin, item, 1 / self.size, 1 / self.size, float(mean))
            for item, mean in zip(drawn, means, strict=True)
        )

    def _truth(self, models: Positions) -> Truth:
        return true_accuracies(self.benchmark, "seen", models, self._items)


def _mdad(found: Mdad | None) -> dict[str, float | None]:
    names = {
        "mdad": "mdad",
        "mdad_monotone": "mdad_monotone",
        "ci_lo": "mdad_monotone_ci_lo",
        "ci_hi": "mdad_monotone_ci_hi",
    }
    values = {key: math.nan if found is None else float(getattr(found, name)) for key, name in names.items()}
    return {key: None if math.isnan(value) else value for key, value in values.items()}


def _curve(counts: PairCounts) -> list[dict[str, float]]:
    curve = agreement_curve(counts)
    return [
        {"diff_lo": float(curve.diff_lo[k]), "agreement": float(curve.agreement[k]), "n_pairs": int(curve.n_pairs[k])}
        for k in np.flatnonzero(curve.n_pairs)
    ]
