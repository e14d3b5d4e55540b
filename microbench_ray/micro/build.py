"""Building a micro-benchmark on all models and items, and estimating held-out models by ones built without them."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import item_shares
from microbench_ray.methods import ESTIMATORS, Fixed, Method
from microbench_ray.methods.readout import Readout, WithReadout
from microbench_ray.methods.registry import check_costs, check_weighted
from microbench_ray.micro.affordable import first_affordable, known_costs
from microbench_ray.micro.artifact import VERSION, VERSION_3, VERSION_4, MicroBenchmark
from microbench_ray.micro.builder import Builder, Origin, item_means, item_of, response_variance
from microbench_ray.micro.groups import grouping_of
from microbench_ray.sweeps.evaluate import true_accuracies

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]

FOLDS = 10
MIN_MODELS = 4
PACKAGES = ("microbench-ray", "numpy")


def build(
    benchmark: Benchmark,
    method: Method,
    size: int | None = None,
    seed: int = 0,
    *,
    folds: int = FOLDS,
    origin: Origin | None = None,
    cost: float | None = None,
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
        Its estimator must have a readout (`methods.readout.WithReadout`).
    size
        Number of items; None for a given list (the selector `fixed`), which has a size already.
    seed
        Root seed of the method's draws, the folds and the resamples.
    folds
        Number of folds; fewer where a fold would have fewer than two models.
    origin
        The logs that the benchmark was read from, if any.
    cost
        A budget in the place of `size`: the first items of the selector's order that cost no more together, for a selector whose
        choices nest.

    Raises
    ------
    ConfigError
        An estimator without a readout or that reads two signals, or that cannot estimate the benchmark's `truth`; no size, fewer
        than two folds, or a budget that is below any item's cost, without costs, or for a selector whose choices do not nest.
    GridError
        More items than the benchmark or the list has.
    DataError
        Too few models, models of one group only, or a model without a response to any item.
    """
    check_method(method)
    check_weighted([method], benchmark.truth)
    check_costs([method], known=benchmark.costs is not None)
    if folds < 2:
        raise ConfigError("Holding out models needs at least two folds.", where="folds", got=str(folds), hint="folds=10")
    if cost is not None:
        _check_spending(benchmark, method, size)
    size = checked_size(benchmark, method, size if cost is None else benchmark.n_items)
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
        grouping = grouping_of(benchmark)
        for note in grouping.notes:
            logger.info("%s: %s", benchmark.name, note)
        builder, cost_power = Builder(benchmark, method, size, seed, grouping.first, cost), None
        if cost is not None:
            order, cost_power = builder.order(all_models)
            size = first_affordable(benchmark, order, cost)
            builder = Builder(benchmark, method, size, seed, grouping.first, cost)
        selection, readout = builder.select_and_read(all_models)
        responses = builder.responses(all_models, selection)
        truth = true_accuracies(benchmark, "seen", all_models, np.arange(benchmark.n_items))
        validated = builder.cross_validate(all_models, folds)
        held_out, best = builder.held_out(validated), builder.best_held_out(truth, folds)
        extrapolated = builder.extrapolated(best)
    weights = np.full(size, 1 / size) if selection.weights is None else selection.weights
    shares = item_shares(benchmark, np.arange(benchmark.n_items))
    if shares is not None and selection.weights is None:
        weights = shares[selection.items] * benchmark.n_items / size
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
            **({} if benchmark.truth == "micro" else {"truth": benchmark.truth}),
            **({} if benchmark.costs is None else _costs(benchmark.costs, selection.items)),
            **({} if cost is None else {"budget": float(cost)}),
            **({} if cost_power is None else {"cost_power": cost_power}),
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
        better_from=builder.better_from(best),
        version=VERSION if readout.term is not None else VERSION_3 if benchmark.truth == "micro" else VERSION_4,
    )


def _costs(costs: FloatArray, items: Positions) -> dict[str, float]:
    """What all items of a benchmark cost, and the selected ones."""
    return {"cost": float(costs.sum()), "selected_cost": float(costs[items].sum())}


def _check_spending(benchmark: Benchmark, method: Method, size: int | None) -> None:
    """Raise ConfigError where a budget cannot be spent along the order of the selector."""
    costs = known_costs(benchmark)
    if size is not None:
        raise ConfigError(
            "An export is for a size or for a budget.", where="cost", got=f"size={size}, and a cost", hint="leave out one"
        )
    if not method.selector.nested:
        raise ConfigError(
            "Only a method whose choices nest can spend a budget.",
            where=f"cost, method {method.label}",
            got=method.identity()["selector"]["name"],
            hint=f"size=… in the place of cost (an item costs {costs.mean():.4g} on average), or method=auto",
        )


def check_method(method: Method) -> None:
    """Raise ConfigError unless the method's estimator has a readout, so that it can be exported as numbers."""
    if isinstance(method.estimator, WithReadout):
        return
    exportable = ", ".join(sorted(name for name, kind in ESTIMATORS.items() if issubclass(kind, WithReadout)))
    raise ConfigError(
        "The estimator cannot be exported: it has no readout.",
        where=f"methods, {method.label}, estimator",
        got=method.identity()["estimator"]["name"],
        hint=f"one of {exportable}: 'method={{method: {method.label}, estimator: {{name: …}}}}'",
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
