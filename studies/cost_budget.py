"""Choosing by information per cost: `python -m studies.cost_budget [FILE...] [--runs N] [--sources N] [--column NAME]`.

Costs are those of a column, or drawn onto the items of boards, log-uniform over tenfold: independent of the scores, or with a rank
correlation of about .7 to the items' difficulty or to how well they discriminate (their correlation with the models' accuracies).
At equal total costs, each method chooses by count and by cost (`by_cost`), for the same target and source models, and the MDAD and
the agreement over all pairs of targets are pooled over runs; `auto` also as it decides for each budget, its default. A budget is
given in average items: what so many cost on average.

The last columns are the share of the budget at which choosing by cost has the same MDAD, and the same agreement, as choosing by
count has with all of it: from budgets a fourth root of two apart, and the difference at which agreement crosses the threshold
between bins of half a point. Without FILE, the board is the synthetic one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.optimize import isotonic_regression

import microbench_ray as mb
from microbench_ray.core.errors import MicrobenchError
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.data.synthetic import synthetic
from microbench_ray.methods import Method, SeenItems, Selection
from microbench_ray.methods.base import Signal
from microbench_ray.methods.kernels.auto_cost import best_for_budget, orders_by_cost
from microbench_ray.methods.kernels.guided import affordable
from microbench_ray.methods.selectors.auto import AutoSelector
from microbench_ray.metrics import BINS_PER_UNIT, PairCounts, compare, mdad, mean_agreement
from microbench_ray.sweeps.evaluate import Draw, responses_to, seen_items, true_accuracies
from microbench_ray.sweeps.fits import signal_used
from studies.tournament_runs import named_method

FloatArray = np.ndarray
RATIO = 10.0
"""The largest cost over the smallest."""
CORRELATION = 0.7
KINDS = ("independent", "difficult", "discriminating")
"""What items are the expensive ones."""
OWN = "own"
"""Costs of a column of the board."""
METHODS = ("random", "greedy", "mdad_guided", "auto")
N_TARGET = 50
SMALLEST, STEP = 5, 2**0.25
SHOWN = (20, 40, 80, 160)
"""Budgets in the table, in average items."""
HEADER = (
    *("board", "expensive items", "method", "budget", "items", "MDAD", "agreement"),
    *("by cost: items", "MDAD", "agreement", "same MDAD", "same agreement"),
)


class Curve(NamedTuple):
    """A method's results by budget."""

    mdad: FloatArray
    """Monotone MDADs, fractions; infinite where no difference is detected."""
    crossing: FloatArray
    """The same between bins: see `crossing`."""
    agreement: FloatArray
    n_items: FloatArray
    """Mean numbers of items."""


def with_costs(board: Benchmark, kind: str, rng: np.random.Generator) -> Benchmark:
    """The board, with costs of its items that are log-uniform over `RATIO`."""
    scores = np.where(board.scores == board.missing, np.nan, board.scores / board.units)
    means = np.nanmean(scores, axis=0)
    value = rng.normal(size=board.n_items)
    if kind != "independent":
        filled = np.where(np.isnan(scores), means, scores) - means
        own = -means if kind == "difficult" else _correlation(filled, board.accuracies())
        value = CORRELATION * _normal_scores(own) + np.sqrt(1 - CORRELATION**2) * value
    uniform = (np.argsort(np.argsort(value)) + 0.5) / board.n_items
    return replace(board, items=board.items.append_column("cost", pa.array(RATIO**uniform)))


def _correlation(centred: FloatArray, accuracy: FloatArray) -> FloatArray:
    away = accuracy - accuracy.mean()
    scale = np.sqrt(np.square(centred).sum(axis=0) * np.square(away).sum())
    return np.divide(away @ centred, scale, out=np.zeros(centred.shape[1]), where=scale > 0)


def _normal_scores(values: FloatArray) -> FloatArray:
    from scipy.special import ndtri

    found: FloatArray = ndtri((np.argsort(np.argsort(values, kind="stable")) + 0.5) / len(values))
    return found


def budgets_of(board: Benchmark) -> FloatArray:
    """Budgets in average items: from `SMALLEST`, a fourth root of two apart, up to a third of the board."""
    n_steps = int(np.log(min(max(SHOWN), board.n_items / 3) / SMALLEST) / np.log(STEP) + 1e-9)
    return SMALLEST * STEP ** np.arange(n_steps + 1)


def curves(board: Benchmark, methods: Sequence[Method], n_source: int, runs: int, seed: int = 0) -> list[Curve]:
    """The results of all methods on a board with costs, pooled over runs."""
    assert board.costs is not None
    budgets, costs = budgets_of(board), board.costs / board.costs.mean()
    counts: list[list[list[PairCounts]]] = [[[] for _ in budgets] for _ in methods]
    sizes = np.zeros((len(methods), len(budgets)))
    for run in range(runs):
        models = np.random.default_rng([seed, run]).permutation(board.n_models)
        n_target = min(N_TARGET, board.n_models - n_source)
        draw = Draw(models[:n_target], models[n_target : n_target + n_source], np.arange(board.n_items), None)
        truth = true_accuracies(board, "seen", draw.targets, draw.seen)
        fits: dict[Any, Any] = {}
        for m, method in enumerate(methods):
            for b, (items, estimates) in enumerate(_estimates(board, method, draw, costs, budgets, [seed, run, 1], fits)):
                counts[m][b].append(compare(truth.pairs, estimates).counts)
                sizes[m, b] += items.size / runs
    found = []
    for of_method, n_items in zip(counts, sizes, strict=True):
        pooled = [PairCounts.stack(each) for each in of_method]
        mdads = [mdad(each, n_resamples=1).mdad_monotone for each in pooled]
        crossings = np.array([crossing(each.total()) for each in pooled])
        agreement = [float(mean_agreement(each.total())) for each in pooled]
        found.append(Curve(np.where(np.isnan(mdads), np.inf, mdads), crossings, np.array(agreement), n_items))
    return found


def _estimates(
    board: Benchmark,
    method: Method,
    draw: Draw,
    costs: FloatArray,
    budgets: FloatArray,
    seed: list[int],
    fits: dict[Any, Any],
) -> list[tuple[FloatArray, FloatArray]]:
    """The items and the targets' estimates for each budget: the first items of an order that cost no more together."""
    selector, estimator = method.selector, method.estimator
    (selector_seen, selector_fit), (seen, fit) = fitted(board, draw, method, seed, fits)
    n_needed = min(board.n_items, int(budgets.max() / costs.min()) + 1)
    decides = isinstance(selector, AutoSelector) and selector.by_cost == "auto"
    candidates = orders_by_cost(selector_fit, selector_seen, np.random.default_rng([*seed, 2])) if decides else []
    signal_of_targets = signal_used(board, estimator.signal)
    assert signal_of_targets is not None
    found = []
    for budget in budgets.tolist():
        if decides:
            selector_fit = fit = best_for_budget(candidates, costs, budget)
        order = selector.select(selector_seen, selector_fit, n_needed, np.random.default_rng([*seed, 1])).items
        items = order[: affordable(costs[order], budget)]
        responses = responses_to(board, draw.targets, items, signal_of_targets)
        found.append((items, estimator.estimate(responses, Selection(items), seen, fit)))
    return found


def fitted(
    board: Benchmark, draw: Draw, method: Method, seed: list[int], fits: dict[Any, Any]
) -> tuple[tuple[SeenItems, Any], tuple[SeenItems, Any]]:
    """What the selector and the estimator see, and their fits; `fits` are those that exist already, by their keys."""

    def seen_and_fit(part: Any, preferred: Signal | None) -> tuple[SeenItems, Any]:
        signal = signal_used(board, preferred)
        seen = seen_items(board, draw, signal)
        key = part.fit_key or id(part), signal
        if key not in fits:
            fits[key] = part.fit(seen, np.random.default_rng(seed))
        return seen, fits[key]

    return seen_and_fit(method.selector, method.selector.signal), seen_and_fit(method.estimator, method.estimator.source_signal)


def share_for_same(by_count: FloatArray, by_cost: FloatArray, budgets: FloatArray, k: int) -> float:
    """The share of budget k at which choosing by cost reaches what choosing by count has with all of it.

    Both curves, in whose values less is better, are first made to fall with the budget (least squares); between budgets, they are
    interpolated over the logarithm. Infinite if the largest budget does not do, and what the smallest one has where it does.
    """
    goal, falling = _falling(by_count)[k], _falling(by_cost)
    reached = np.flatnonzero(falling <= goal + 1e-12)
    if not reached.size:
        return float("inf")
    first = int(reached[0])
    if first == 0:
        return float(budgets[0] / budgets[k])
    part = (falling[first - 1] - goal) / (falling[first - 1] - falling[first])
    return float(budgets[first - 1] * (budgets[first] / budgets[first - 1]) ** part / budgets[k])


def _falling(values: FloatArray) -> FloatArray:
    return isotonic_regression(np.minimum(values, 1.0), increasing=False).x


def crossing(counts: PairCounts, threshold: float = 0.8) -> float:
    """The difference at which the increasing fit to the agreement crosses the threshold, between the middles of bins; or infinite.

    The MDAD is the lower edge of the bin where it is first above: half a point apart, too coarse for shares of a budget.
    """
    some = counts.n_pairs > 0
    middles = (np.flatnonzero(some) + 0.5) / BINS_PER_UNIT
    fit = isotonic_regression(counts.n_agree[some] / counts.n_pairs[some], weights=counts.n_pairs[some]).x
    above = np.flatnonzero(fit >= threshold)
    if not above.size:
        return float("inf")
    k = int(above[0])
    if k == 0:
        return float(middles[0])
    return float(middles[k - 1] + (threshold - fit[k - 1]) / (fit[k] - fit[k - 1]) * (middles[k] - middles[k - 1]))


def ways_of(name: str) -> list[Method]:
    """A method that chooses by count, the one that chooses by cost, and the one that decides where there is one; `random` has only
    the first. PRESET+ESTIMATOR reads a preset's items by another estimator."""
    default = named_method(name)
    preset, _, estimator = name.partition("+")
    costly = [part for part in ("selector", "estimator") if hasattr(getattr(default, part), "by_cost")]

    def way(by_cost: bool) -> Method:
        changes: dict[str, dict[str, Any]] = {"selector": {}, "estimator": {"name": estimator} if estimator else {}}
        for part in costly:
            changes[part]["by_cost"] = by_cost
        return mb.method(preset, label=f"{name}, by_cost: {str(by_cost).lower()}", **changes)

    if not costly:
        return [default]
    decides = getattr(default.selector, "by_cost", False) == "auto"
    return [way(False), way(True), *([default] if decides else [])]


def rows_of(board: Benchmark, kind: str, names: Sequence[str], n_source: int, runs: int, seed: int) -> list[str]:
    """Lines of the table, for one board and kind of costs."""
    costly = board if kind == OWN else with_costs(board, kind, np.random.default_rng([seed, KINDS.index(kind)]))
    budgets = budgets_of(costly)
    ways = {name: ways_of(name) for name in names}
    results = iter(curves(costly, [method for methods in ways.values() for method in methods], n_source, runs, seed))
    lines = []
    for name, methods in ways.items():
        plain = next(results)
        labels = [method.label if len(methods) > 2 else name for method in methods[1:]]
        others: list[tuple[str, Curve | None]] = [(label, next(results)) for label in labels] or [(name, None)]
        for shown, (label, by_cost) in product(SHOWN, others):
            if shown > budgets[-1] * 1.001:
                continue
            k = int(np.argmin(np.abs(budgets - shown)))
            cells = [
                board.name,
                kind,
                label,
                str(shown),
                f"{plain.n_items[k]:.0f}",
                _points(plain.mdad[k]),
                f"{plain.agreement[k]:.3f}",
            ]
            if by_cost is not None:
                same = share_for_same(plain.crossing, by_cost.crossing, budgets, k)
                like = share_for_same(-plain.agreement, -by_cost.agreement, budgets, k)
                cells += [
                    f"{by_cost.n_items[k]:.0f}",
                    _points(by_cost.mdad[k]),
                    f"{by_cost.agreement[k]:.3f}",
                    f"{same:.2f}",
                    f"{like:.2f}",
                ]
            lines.append("| " + " | ".join([*cells, *[""] * (12 - len(cells))]) + " |")
    return lines


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}" if np.isfinite(fraction) else "none"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--sources", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", nargs="+", default=list(METHODS))
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--column", help="the column of costs of the boards, in the place of drawn ones")
    given = parser.parse_args(argv)
    columns = None if given.column is None else {"cost": given.column}
    try:
        boards = [read_scores(file, confidence=None, columns=columns) for file in given.files] or [
            synthetic(n_models=200, n_items=2000)
        ]
        print("| " + " | ".join(HEADER) + " |\n" + "|---" * len(HEADER) + "|")
        with one_thread():
            for board in boards:
                for kind in [OWN] if board.costs is not None else given.kind:
                    print("\n".join(rows_of(board, kind, given.method, given.sources, given.runs, given.seed)), flush=True)
    except MicrobenchError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
