"""Evaluate one shard: split, fit once, then for every size select, estimate and count. All numbers of the tables start here.

The same calls give the same bits on any worker: nothing here depends on the engine, on other shards or on the number of cores,
and the caller restricts numerical libraries to one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from microbench_ray.core import seeding
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.interrupts import kept_interrupts
from microbench_ray.data import Benchmark
from microbench_ray.data.split import draw_halves
from microbench_ray.data.truth import item_shares, weighted_accuracies
from microbench_ray.methods import SIGNALS, Estimator, Method, SeenItems, Selection, Selector, Signal
from microbench_ray.metrics import PairCounts, TruePairs, bootstrap_models, compare, mean_abs_error, true_pairs
from microbench_ray.metrics.pairs import Totals, totals_of
from microbench_ray.sweeps.fits import signal_used
from microbench_ray.sweeps.shards import Shard
from microbench_ray.sweeps.stops import has_order, read_pairs, stop_row
from microbench_ray.sweeps.tables import rows_table

Positions = NDArray[np.intp]


class Draw(NamedTuple):
    """The draw of a run: positions among the benchmark's models and items; `unseen` is None if all items are seen."""

    targets: Positions
    sources: Positions
    seen: Positions
    unseen: Positions | None


@dataclass(frozen=True)
class Truth:
    """The target models' true accuracies on one half of the items.

    Attributes
    ----------
    split
        `seen` or `unseen`.
    totals
        (n_target,) sums of scores, in the benchmark's units, and numbers of items answered; where items count differently, rounded
        accuracies (`metrics.pairs.totals_of`).
    accuracy
        (n_target,) fractions; NaN for a target that answered none of the items.
    pairs
        The true order of all pairs.
    """

    split: str
    totals: Totals
    accuracy: NDArray[np.float64]
    pairs: TruePairs


@kept_interrupts()
def evaluate_shard(shard: Shard, benchmark: Benchmark) -> dict[str, pa.Table]:
    """Compute the cells of a shard.

    Parameters
    ----------
    shard
        What to compute.
    benchmark
        The matrices; they are not modified.

    Returns
    -------
    dict of pyarrow.Table
        `cells`, with one row per cell and split, and the shard's companions: `estimates`, `resamples`, `costs` and `stops`.
    """
    rows: list[dict[str, Any]] = []
    counts: list[PairCounts] = []
    estimated: list[dict[str, Any]] = []
    resamples: list[pa.Table] = []
    costs: list[dict[str, Any]] = []
    stops: list[tuple[dict[str, Any], PairCounts]] = []
    for run in shard.runs:
        draw = draw_run(shard, benchmark, run)
        truths = [true_accuracies(benchmark, "seen", draw.targets, draw.seen)]
        if draw.unseen is not None:
            truths.append(true_accuracies(benchmark, "unseen", draw.targets, draw.unseen))
        for method, items, cell, estimates in estimate_run(shard, benchmark, draw, run):
            for truth in truths:
                comparison = compare(truth.pairs, estimates)
                counts.append(comparison.counts)
                rows.append(
                    cell
                    | {
                        "split": truth.split,
                        "mean_abs_error": mean_abs_error(truth.accuracy, estimates),
                        "kendall_tau": comparison.kendall_tau,
                    }
                )
            if shard.keep_estimates:
                estimated += target_rows(cell, benchmark, draw.targets, truths, estimates)
            if shard.model_resamples:
                resamples.append(resample_models(shard, cell, truths[0], estimates))
            item_costs = None if benchmark.costs is None else benchmark.costs[items]
            if item_costs is not None and shard.costs:
                costs.append(cell | {"cost": float(item_costs.sum())})
            if shard.verdicts and has_order(method):
                scores = responses_to(benchmark, draw.targets, items, "correctness")
                read = read_pairs(scores, estimates, item_costs, len(draw.seen))
                for truth in truths:
                    sums, leaders = stop_row(read, truth.pairs)
                    stops.append((cell | {"split": truth.split} | sums, leaders))
    tables = {"cells": rows_table("cells", rows, counts)}
    if shard.keep_estimates:
        tables["estimates"] = rows_table("estimates", estimated)
    if resamples:
        tables["resamples"] = pa.concat_tables(resamples)
    if shard.costs:
        tables["costs"] = rows_table("costs", costs)
    if shard.verdicts:
        tables["stops"] = rows_table("stops", [row for row, _ in stops], [counts for _, counts in stops])
    return tables


class Estimated(NamedTuple):
    """A cell of one run: its method, the selected items as positions in the benchmark, its key, and the (n_target,) estimates."""

    method: Method
    items: Positions
    key: dict[str, Any]
    estimates: NDArray[np.float64]


def estimate_run(shard: Shard, benchmark: Benchmark, draw: Draw, run: int) -> Iterator[Estimated]:
    """Yield the estimates of every cell of one run."""
    fits = RunFits(shard, benchmark, draw, run)
    for method in shard.methods:
        selector, estimator = method.selector, method.estimator
        estimator_signal = signal_used(benchmark, estimator.signal)
        selector_seen, selector_fit = fits.fit(selector, selector.signal)
        estimator_seen, estimator_fit = fits.fit(estimator, estimator.source_signal)
        for size, fraction in shard.sizes:
            stream_size = None if selector.nested else size  # nested choices share one stream
            rng = seeding.select_stream(shard.seed, shard.label, method.label, shard.n_source, run, stream_size)
            selection = selector.select(selector_seen, selector_fit, size, rng)
            check_selection(method, selection, size, selector_seen.n_items)
            items = draw.seen[selection.items]
            responses = responses_to(benchmark, draw.targets, items, estimator_signal)
            estimates = estimator.estimate(responses, selection, estimator_seen, estimator_fit)
            yield Estimated(
                method,
                items,
                {
                    "benchmark": shard.label,
                    "method": method.label,
                    "n_source": shard.n_source,
                    "size": size,
                    "fraction": fraction,
                    "targets": shard.targets,
                    "n_target": shard.n_target,
                    "unseen": shard.unseen,
                    "run": run,
                    "signal": f"{signal_used(benchmark, selector.signal) or '-'}/{estimator_signal}",
                },
                estimates,
            )


class RunFits:
    """The fits of one run: each is computed when first needed, and once for all selectors and estimators that share it."""

    def __init__(self, shard: Shard, benchmark: Benchmark, draw: Draw, run: int) -> None:
        self._shard, self._benchmark, self._draw, self._run = shard, benchmark, draw, run
        self._seen: dict[Signal | None, SeenItems] = {}
        self._fits: dict[tuple[str | int, Signal | None], Any] = {}

    def fit(self, part: Selector | Estimator, preferred: Signal | None) -> tuple[SeenItems, Any]:
        """The seen items as a selector or an estimator may know them, and its fit to them."""
        signal = signal_used(self._benchmark, preferred)
        if signal not in self._seen:
            self._seen[signal] = seen_items(self._benchmark, self._draw, signal)
        key = part.fit_key or id(part), signal  # without a key, a fit is not shared
        if key not in self._fits:
            shard = self._shard
            rng = seeding.fit_stream(shard.seed, f"{part.fit_key}/{signal}", shard.label, shard.n_source, self._run)
            self._fits[key] = part.fit(self._seen[signal], rng)
        return self._seen[signal], self._fits[key]


def draw_run(shard: Shard, benchmark: Benchmark, run: int) -> Draw:
    """Draw the target models, the source models and the halves of the items, each from a separate stream."""
    key = (shard.seed, shard.label, run)
    if shard.group is None:
        targets = seeding.target_stream(*key).permutation(benchmark.n_models)[: shard.n_target]
    else:
        targets = np.array(shard.group, dtype=np.intp)
    others = np.setdiff1d(np.arange(benchmark.n_models), targets)
    sources = seeding.source_stream(*key).permutation(others)[: shard.n_source]
    codes = benchmark.subtask_codes
    if shard.subtask is None:
        items = np.arange(benchmark.n_items)
    else:
        items = np.flatnonzero(codes == benchmark.subtask_names.index(shard.subtask))
        codes = np.zeros(len(items), dtype=np.int32)
    if shard.unseen == "none":
        return Draw(targets=targets, sources=sources, seen=items, unseen=None)
    seen, unseen = draw_halves(codes, seeding.split_stream(*key))
    return Draw(targets=targets, sources=sources, seen=items[seen], unseen=items[unseen])


def true_accuracies(benchmark: Benchmark, split: str, targets: Positions, items: Positions) -> Truth:
    """The targets' accuracies on `items`, each over the items that the target answered; NaN for a target that answered none.

    They are of the kind that ranks the benchmark's models (`Benchmark.truth`).
    """
    if item_shares(benchmark, items) is not None:
        accuracy = weighted_accuracies(benchmark, targets, items)
        return _truth(split, totals_of(accuracy), accuracy)
    scores = benchmark.scores[targets][:, items]
    if benchmark.has_missing:
        missing = scores == benchmark.missing
        scores = np.where(missing, 0, scores)
        answered = np.count_nonzero(~missing, axis=1)
    else:
        answered = np.full(len(targets), len(items))
    sums = scores.sum(axis=1, dtype=np.int64)
    accuracy = np.full(len(targets), np.nan)
    np.divide(sums, answered * benchmark.units, out=accuracy, where=answered > 0)
    return _truth(split, Totals(sums, answered, benchmark.units), accuracy)


def _truth(split: str, totals: Totals, accuracy: NDArray[np.float64]) -> Truth:
    pairs = true_pairs(totals.sums, totals.answered, totals.units, guard=totals.guard)
    return Truth(split=split, totals=totals, accuracy=accuracy, pairs=pairs)


def seen_items(benchmark: Benchmark, draw: Draw, signal: Signal | None) -> SeenItems:
    """The source models' responses to the seen items, and the names, subtasks, labels, weights and costs of these items."""
    responses = None if signal is None else responses_to(benchmark, draw.sources, draw.seen, signal, np.float32)
    labels = None if benchmark.labels is None else benchmark.labels[draw.seen]
    return SeenItems(
        item_ids=benchmark.item_ids[draw.seen],
        subtask=benchmark.subtask_codes[draw.seen],
        responses=responses,
        labels=labels,
        weights=item_shares(benchmark, draw.seen),
        costs=None if benchmark.costs is None else benchmark.costs[draw.seen],
    )


def responses_to(
    benchmark: Benchmark, models: Positions, items: Positions, signal: Signal, dtype: type[np.floating[Any]] = np.float64
) -> NDArray[Any]:
    """(n_models, n_items) responses in [0, 1], NaN where missing: scores, or confidences in the correct answer.

    The shape is (n_models, n_items, n_answers) for confidences in all answers, (n_models, n_items, 2) for scores and confidences.
    """
    if signal == "both":
        return np.stack([responses_to(benchmark, models, items, each, dtype) for each in SIGNALS], axis=2)
    if signal != "correctness":
        matrix = benchmark.answers if signal == "answers" else benchmark.confidence
        assert matrix is not None
        return _block(matrix, models, items).astype(dtype, copy=False)
    scores = _block(benchmark.scores, models, items)
    responses: NDArray[Any] = np.divide(scores, benchmark.units, dtype=dtype)
    if benchmark.has_missing:
        responses[scores == benchmark.missing] = np.nan
    return responses


def _block(matrix: NDArray[Any], models: Positions, items: Positions) -> NDArray[Any]:
    """The given rows and columns of a matrix; for many columns, whole rows are copied first, which is faster."""
    return matrix[models][:, items] if 8 * len(items) > matrix.shape[1] else matrix[models[:, None], items]


def check_selection(method: Method, selection: object, size: int, n_items: int) -> None:
    """Raise ConfigError unless the selector chose `size` distinct seen items: anything else is a bug in the method."""
    where = f"method {method.label}, {type(method.selector).__name__}.select"
    if not isinstance(selection, Selection):
        what, hint = "A selector must return a Selection.", "return mb.Selection(np.asarray(items))"
        raise ConfigError(what, where=where, got=type(selection).__name__, hint=hint)
    for name, values, kinds in (("items", selection.items, "iu"), ("weights", selection.weights, "f")):
        if name == "weights" and values is None:
            continue
        if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.shape != (size,):
            of = f" of {values.dtype}, shape {values.shape}" if isinstance(values, np.ndarray) else ""
            raise ConfigError(
                f"The {name} of a Selection must be an array of {size} {'positions' if name == 'items' else 'numbers'}.",
                where=where,
                got=f"{type(values).__name__}{of}",
                hint=f"np.asarray({name}, {'np.intp' if name == 'items' else 'np.float64'})",
            )
    items = selection.items
    n_distinct = len(np.unique(items))
    if n_distinct != size or items.min() < 0 or items.max() >= n_items:
        raise ConfigError(
            f"A selector must choose distinct positions, from 0 to {n_items - 1}.",
            where=where,
            got=f"{n_distinct} distinct positions for size {size}, from {items.min()} to {items.max()}",
            hint="choose among the items of `seen`, without replacement",
        )


def target_rows(
    cell: dict[str, Any], benchmark: Benchmark, targets: Positions, truths: list[Truth], estimates: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """One row per target: its true accuracies and its estimate."""
    unseen = truths[1].accuracy if len(truths) > 1 else np.full(len(targets), np.nan)
    columns = zip(benchmark.model_ids[targets], truths[0].accuracy, unseen, estimates, strict=True)
    return [
        cell | {"target": name, "accuracy_seen": accuracy_seen, "accuracy_unseen": accuracy_unseen, "estimate": estimate}
        for name, accuracy_seen, accuracy_unseen, estimate in columns
    ]


def resample_models(shard: Shard, cell: dict[str, Any], truth: Truth, estimates: NDArray[np.float64]) -> pa.Table:
    """The counts of each bootstrap resample of the models, for a fixed list, which has no runs to resample."""
    rng = seeding.model_bootstrap_stream(shard.seed, shard.label, cell["method"], cell["size"])
    totals = truth.totals
    counts = bootstrap_models(totals.sums, totals.answered, totals.units, estimates, shard.model_resamples, rng, guard=totals.guard)
    rows = [cell | {"split": truth.split, "resample": resample} for resample in range(shard.model_resamples)]
    return rows_table("resamples", rows, [counts[resample] for resample in range(shard.model_resamples)])
