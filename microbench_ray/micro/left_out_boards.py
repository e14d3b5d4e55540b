"""Which boards of a suite can be left out: how well its average is estimated when a board gets none of the items.

Held-out models are estimated by a micro-benchmark built on the others: once with items of all boards, and for each board with as
many items, or for the same budget, of the other boards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.core.seeding import plan_stream
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import item_shares, weighted_accuracies
from microbench_ray.methods import Method, SeenItems, Selection, build_method
from microbench_ray.methods.readout import Readout, WithReadout
from microbench_ray.micro.affordable import first_affordable
from microbench_ray.micro.groups import grouping_of
from microbench_ray.sweeps.evaluate import Draw, responses_to, seen_items
from microbench_ray.sweeps.fits import signal_used

FloatArray = NDArray[np.float64]
Positions = NDArray[np.intp]

DRAWS, FOLDS = 10, 5
MIN_GROUPS = 10
"""Groups of models below which nothing is said."""
MAX_MODELS = 500
"""Models of more are drawn at random: the cost of the predictions grows with their cube."""
NEGLIGIBLE = 1e-15
"""Share of an item in the accuracy on other items: methods are given positive shares."""
NORMAL_95 = 1.959964
DECIMALS = 12
"""Decimal places to which accuracies are compared: sums of floats differ by less."""


class LeftOutBoard(NamedTuple):
    """What leaving out a board does; errors and their changes are fractions.

    Attributes
    ----------
    board
        Its name.
    n_items
        Number of its items.
    weight
        What it counts in the suite's average.
    size
        Mean number of items of the other boards.
    own_rmse, own_tau
        Root mean square error and Kendall's tau of the accuracies on the board, predicted from the items of the others.
    rmse, tau
        Those of the suite's average, estimated from the items of the others.
    rmse_change, rmse_low, rmse_high
        By how much the error is larger than with items of all boards, with its 95 % interval over models.
    tau_change, tau_low, tau_high
        The same of Kendall's tau, negative where models are ordered worse.
    """

    board: str
    n_items: int
    weight: float
    size: float
    own_rmse: float
    own_tau: float
    rmse: float
    tau: float
    rmse_change: float
    rmse_low: float
    rmse_high: float
    tau_change: float
    tau_low: float
    tau_high: float


class LeftOutBoards(NamedTuple):
    """The answers for all boards, and what they are compared with: `size`, `rmse` and `tau` with items of all boards.

    `cost` is the budget; None where a size was given.
    """

    method: str
    cost: float | None
    n_models: int
    size: float
    rmse: float
    tau: float
    boards: tuple[LeftOutBoard, ...]


def default_method(*, by_cost: bool) -> Method:
    """Random items from every board by Neyman allocation, read with a prediction of the rest."""
    selector = {"name": "random_subtask_neyman", "by_cost": by_cost}
    return build_method("neyman", selector, {"name": "ridge_remainder", "signal": "correctness"})


def leave_out_boards(
    benchmark: Benchmark,
    size: int | None,
    cost: float | None = None,
    *,
    method: Method | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> LeftOutBoards:
    """Estimate the suite's average with items of all boards, and without those of each board.

    Arguments and errors as for `mb.leave_out_boards`; with a budget, the items are the method's first that cost no more together.

    Returns
    -------
    LeftOutBoards
        Intervals are over models, by the jackknife (Efron and Stein 1981) with copies of a model left out together. They leave out
        what another draw of folds and items would change.

    References
    ----------
    Efron, B. and Stein, C. (1981). The jackknife estimate of variance. Ann. Stat. 9, 586-596.
    """
    method = method or default_method(by_cost=cost is not None)
    _check(benchmark, method, size, cost)
    models = np.arange(benchmark.n_models)
    if models.size > MAX_MODELS:
        models = np.sort(plan_stream(seed, benchmark.name, "leave out, models").choice(models, MAX_MODELS, replace=False))
    groups = np.unique(grouping_of(benchmark).first[models], return_inverse=True)[1]
    n_groups = int(groups.max()) + 1
    if n_groups < MIN_GROUPS:
        got, hint = f"{n_groups} models that are not copies of one another", f"at least {MIN_GROUPS}"
        raise DataError("There are too few models to hold some out.", where=benchmark.name, got=got, hint=hint)
    items = np.arange(benchmark.n_items)
    shares = item_shares(benchmark, items)
    assert shares is not None  # of at least two subtasks
    weights = np.bincount(benchmark.subtask_codes, shares)
    trial = _Trial(benchmark, method, models, groups, size, cost, seed)
    with one_thread():
        of_all = trial.errors(draws, items, items)
        boards = []
        for code, name in enumerate(benchmark.subtask_names):
            own, others = (np.flatnonzero(mask) for mask in (benchmark.subtask_codes == code, benchmark.subtask_codes != code))
            left_out, board = trial.errors(draws, others, items), trial.errors(draws, others, own)
            boards.append(
                LeftOutBoard(
                    name,
                    len(own),
                    float(weights[code]),
                    left_out.size,
                    *(board.rmse[0], board.tau[0], left_out.rmse[0], left_out.tau[0]),
                    *_change(left_out.rmse, of_all.rmse),
                    *_change(left_out.tau, of_all.tau),
                )
            )
    return LeftOutBoards(method.label, cost, len(models), of_all.size, float(of_all.rmse[0]), float(of_all.tau[0]), tuple(boards))


def _check(benchmark: Benchmark, method: Method, size: int | None, cost: float | None) -> None:
    if benchmark.truth != "macro":
        got, hint = f"truth={benchmark.truth}", "benchmark=suite, or benchmark.truth=macro"
        raise ConfigError("A board is left out of a mean over boards or subtasks.", where="leave_out", got=got, hint=hint)
    if not isinstance(method.estimator, WithReadout):
        hint = "method=auto, or the default"
        raise ConfigError("The estimator has no readout.", where="method", got=method.label, hint=hint)
    if cost is not None and not method.selector.nested:
        hint = "method=auto, or the default"
        raise ConfigError("Only a method whose choices nest can spend a budget.", where="method", got=method.label, hint=hint)
    counts = np.bincount(benchmark.subtask_codes)
    most = benchmark.n_items - int(counts.max())
    if size is not None and not 1 <= size <= most:
        got = f"{size} items, of {most} without {benchmark.subtask_names[int(counts.argmax())]}"
        raise GridError("The other boards have too few items.", where="size", got=got, hint=f"size={min(100, most)}")


class _Errors(NamedTuple):
    """Errors of estimates, with their jackknife: the first element is that of all models, the others lack one group each."""

    size: float
    rmse: FloatArray
    """(1 + n_groups,)"""
    tau: FloatArray
    """(1 + n_groups,)"""


@dataclass(frozen=True)
class _Trial:
    """Estimates of held-out models, and their errors."""

    benchmark: Benchmark
    method: Method
    models: Positions
    groups: Positions
    """(n_models,) from 0 on."""
    size: int | None
    cost: float | None
    seed: int

    def errors(self, draws: int, allowed: Positions, items: Positions) -> _Errors:
        """The errors of the accuracy on some items, estimated from a selection of the allowed ones."""
        truth = weighted_accuracies(self.benchmark, self.models, items)
        of_items = item_shares(self.benchmark, items)
        shares = np.full(self.benchmark.n_items, NEGLIGIBLE)
        shares[items] = 1 / len(items) if of_items is None else of_items
        n = len(truth)
        square, order, sizes = np.zeros(n), np.zeros((n, n)), []
        for draw in range(draws):
            estimates = np.empty(n)
            shuffled = plan_stream(self.seed, self.benchmark.name, "leave out, folds", draw).permutation(self.groups.max() + 1)
            for fold in range(FOLDS):
                targets = np.isin(self.groups, shuffled[fold::FOLDS])
                selection, readout = self._built(self.models[~targets], allowed, shares, draw)
                signal = signal_used(self.benchmark, self.method.estimator.signal)
                answers = responses_to(self.benchmark, self.models[targets], selection.items, signal)
                estimated = readout.estimate(answers)
                estimates[targets] = np.where(np.isnan(estimated), truth[~targets].mean(), estimated)  # without any answer
                sizes.append(len(selection.items))
            square += np.square(estimates - truth) / draws
            order += _signs(estimates) * _signs(truth) / draws
        member = np.eye(self.groups.max() + 1)[self.groups]
        decided = np.abs(_signs(truth))
        ratio = _without_groups(order, member) / np.maximum(_without_groups(decided, member), 1.0)
        mean_square = (square.sum() - np.r_[0.0, square @ member]) / (n - np.r_[0.0, member.sum(axis=0)])
        return _Errors(float(np.mean(sizes)), np.sqrt(mean_square), ratio)

    def _built(self, sources: Positions, allowed: Positions, shares: FloatArray, draw: int) -> tuple[Selection, Readout]:
        """The items selected on these source models, and their readout."""
        selector, estimator = self.method.selector, self.method.estimator
        assert isinstance(estimator, WithReadout)
        seen, fit = self._fitted(selector, selector.signal, sources, allowed, None, draw)
        size = len(allowed) if self.size is None else self.size
        rng = plan_stream(self.seed, self.benchmark.name, "leave out, select", draw)
        items = allowed[selector.select(seen, fit, size, rng).items]
        if self.cost is not None:
            items = items[: first_affordable(self.benchmark, items, self.cost)]
        selection = Selection(items)  # its weights are of the mean over the allowed items
        all_items = np.arange(self.benchmark.n_items)
        seen, fit = self._fitted(estimator, estimator.source_signal, sources, all_items, shares, draw)
        return selection, estimator.readout(selection, seen, fit)

    def _fitted(
        self, part: Any, preferred: Any, sources: Positions, items: Positions, shares: FloatArray | None, draw: int
    ) -> tuple[SeenItems, Any]:
        """What a part of the method sees, and its fit to it."""
        signal = signal_used(self.benchmark, preferred)
        seen = seen_items(self.benchmark, Draw(self.models[:0], sources, items, None), signal)
        seen = replace(seen, budget=self.cost) if shares is None else replace(seen, weights=shares)
        rng = plan_stream(self.seed, self.benchmark.name, "leave out, fit", part.fit_key, draw)
        return seen, part.fit(seen, rng)


def _signs(values: FloatArray) -> FloatArray:
    """(n, n) sign of each model's value less that of each other."""
    signs: FloatArray = np.sign(np.round(values[:, None] - values, DECIMALS))
    return signs


def _without_groups(matrix: FloatArray, member: FloatArray) -> FloatArray:
    """(1 + n_groups,) the sum of a symmetric matrix over all pairs, and over those without the models of each group."""
    within = ((matrix @ member) * member).sum(axis=0)
    sums: FloatArray = matrix.sum() - np.r_[0.0, 2 * (matrix.sum(axis=1) @ member) - within]
    return sums


def _change(of_board: FloatArray, of_all: FloatArray) -> tuple[float, float, float]:
    """By how much the first is larger, with its 95 % interval."""
    change = of_board - of_all
    left = change[1:]
    margin = NORMAL_95 * float(np.sqrt((len(left) - 1) / len(left) * np.square(left - left.mean()).sum()))
    return float(change[0]), float(change[0]) - margin, float(change[0]) + margin
