"""Pairs of targets that are read item by item, in a method's order, until there is a verdict: the rows of the table `stops`.

Only methods with an order of the items can be read so: the order of the smaller sizes is the start of that of the larger ones, or
is random.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method
from microbench_ray.methods.selectors.random import Random
from microbench_ray.metrics import PairCounts
from microbench_ray.metrics.counts import N_BINS
from microbench_ray.metrics.pairs import TIE_TOLERANCE, TruePairs
from microbench_ray.metrics.stopping import fixed_verdicts, stop_pairs

logger = logging.getLogger(__name__)

ALPHA = 0.05
"""Level of a verdict, half of it in each direction: a verdict on equal models is false, too."""
SECONDS_PER_VALUE = 1e-6
"""CPU seconds per pair and item."""
FloatArray = NDArray[np.float64]


def has_order(method: Method) -> bool:
    """Whether a method's items have an order in which they can be read one by one."""
    return bool(method.selector.nested) or isinstance(method.selector, Random)


def check_verdicts(methods: Sequence[Method], benchmarks: Sequence[Benchmark]) -> None:
    """Raise ConfigError where no method has an order, or a benchmark is not ranked by means over items.

    Methods without an order are named in one warning.
    """
    without = [method.label for method in methods if not has_order(method)]
    if len(without) == len(methods):
        raise ConfigError(
            "Verdicts need a method whose items have an order.",
            where="verdicts",
            got=", ".join(without),
            hint="random, auto, greedy, mdad_guided and others have one: microbench methods",
        )
    for benchmark in benchmarks:
        if benchmark.truth != "micro":
            raise ConfigError(
                "Verdicts are about plain means over items.",
                where="verdicts",
                got=f"{benchmark.name} with truth={benchmark.truth}",
                hint="verdicts=false, or benchmark.truth=micro",
            )
    if without:
        logger.warning("verdicts: %s have no order of items to read, and are left out of these tables", ", ".join(without))


def reading_seconds(methods: Sequence[Method], sizes: Sequence[tuple[int, float | None]], n_target: int) -> float:
    """Expected CPU seconds of reading all pairs of a run."""
    n_values = sum(size for size, _ in sizes) * n_target * (n_target - 1) // 2
    return SECONDS_PER_VALUE * n_values * sum(map(has_order, methods))


class PairOutcomes(NamedTuple):
    """(n_target, n_target) of each pair: items read and their costs (None if unknown), and signs, 1 where the row is better.

    `leader` is the verdict, or the order of the estimates where there is none; `fixed` the verdict of a test after all items.
    """

    n_items: NDArray[np.int64]
    cost: FloatArray | None
    verdict: NDArray[np.int8]
    leader: NDArray[np.int8]
    fixed: NDArray[np.int8]


def read_pairs(scores: FloatArray, estimates: FloatArray, costs: FloatArray | None, n_listed: int) -> PairOutcomes:
    """Read every pair of targets.

    Parameters
    ----------
    scores
        (n_target, size) of the selected items, in their order; NaN where missing.
    estimates
        (n_target,) of the method from all of them.
    costs
        (size,) of these items; None if unknown.
    n_listed
        Number of items among which they were selected.
    """
    first, second = np.triu_indices(len(scores), 1)
    stopped = stop_pairs(scores, first, second, n_listed, ALPHA / 2)
    fixed = fixed_verdicts(scores, first, second, n_listed, ALPHA / 2)
    difference = estimates[first] - estimates[second]
    order = (difference > TIE_TOLERANCE).astype(np.int8) - (difference < -TIE_TOLERANCE)
    n_items, verdict = np.zeros((len(scores),) * 2, np.int64), np.zeros((len(scores),) * 2, np.int8)
    n_items[first, second] = n_items[second, first] = stopped.n_items
    verdict[first, second], verdict[second, first] = stopped.verdict, -stopped.verdict
    leader, of_test = np.zeros_like(verdict), np.zeros_like(verdict)
    leading = np.where(stopped.verdict != 0, stopped.verdict, order)
    leader[first, second], leader[second, first] = leading, -leading
    of_test[first, second], of_test[second, first] = fixed, -fixed
    cost = None if costs is None else np.concatenate([[0.0], np.cumsum(costs)])[n_items]
    return PairOutcomes(n_items, cost, verdict, leader, of_test)


SUMS = ("items_read", "cost_read", "n_decided", "n_false", "n_fixed", "n_fixed_false")
"""Columns of lists: of pairs with equal true accuracies first, then by bin."""


def stop_row(read: PairOutcomes, truth: TruePairs) -> tuple[dict[str, Any], PairCounts]:
    """The sums of a cell against the truth on one half of the items, and the counts of the leaders.

    Any verdict on a pair with equal true accuracies is a false one.
    """
    sums = {name: np.zeros(1 + N_BINS) for name in SUMS}
    n_agree, n_tied = np.zeros((2, N_BINS), np.int64)
    true_tied_up = 0
    for block in truth.blocks():
        higher, lower = block.higher, block.lower
        if block.bins.size:
            values = _values(read, higher, lower, false=-1)
            for name, each in values.items():
                sums[name][1 + block.bins] += np.add.reduceat(each, block.starts)
            leader = read.leader[higher, lower]
            n_agree[block.bins] += np.add.reduceat(leader == 1, block.starts, dtype=np.int64)
            n_tied[block.bins] += np.add.reduceat(leader == 0, block.starts, dtype=np.int64)
        if block.tied_first.size:
            for name, each in _values(read, block.tied_first, block.tied_second, false=None).items():
                sums[name][0] += each.sum()
            true_tied_up += int((read.leader[block.tied_first, block.tied_second] == 1).sum())
    n_classes = 1 + int(np.flatnonzero(truth.n_pairs).max(initial=-1)) + 1
    row: dict[str, Any] = {name: values[:n_classes].tolist() for name, values in sums.items()}
    for name in SUMS:
        if name != "cost_read":
            row[name] = [int(value) for value in row[name]]
    if read.cost is None:
        row["cost_read"] = None
    counts = PairCounts(
        n_pairs=truth.n_pairs,
        n_agree=n_agree,
        n_tied=n_tied,
        n_tied_agree=np.zeros(N_BINS, np.int64),
        n_true_tied=np.asarray(truth.n_true_tied),
        n_true_tied_up=np.asarray(true_tied_up),
    )
    return row, counts


def _values(read: PairOutcomes, one: NDArray[np.intp], other: NDArray[np.intp], *, false: int | None) -> dict[str, FloatArray]:
    """What is summed, per pair; a verdict is false if it has this sign, or for None always."""
    verdict, fixed = read.verdict[one, other], read.fixed[one, other]
    values = {
        "items_read": read.n_items[one, other],
        "cost_read": np.zeros(one.size) if read.cost is None else read.cost[one, other],
        "n_decided": verdict != 0,
        "n_false": verdict != 0 if false is None else verdict == false,
        "n_fixed": fixed != 0,
        "n_fixed_false": fixed != 0 if false is None else fixed == false,
    }
    return {name: np.asarray(each, np.float64) for name, each in values.items()}
