"""All items in an order in which those that decide the pairs of source models come first, and random ones follow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.kernels.copies import random_parts
from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.pairs_forward import PairsForward, pair_form
from microbench_ray.methods.kernels.ridge import predict_rest
from microbench_ray.methods.kernels.sources import SourceAccuracies
from microbench_ray.methods.readout import FloatArray

PER_SOURCE = (1, 2, 4, 8)
"""Candidate numbers of guided items per source model, among which the nested split chooses."""
JUDGED_SIZES = (25, 50, 100, 250, 500, 1000)
"""Sizes at which the nested split compares them."""
MIN_SOURCES = 8
"""Fewer source models are not split: the second of `PER_SOURCE` is used."""


@dataclass(frozen=True)
class GuidedOrder:
    """All items in the order in which they are chosen, and the number of guided ones among them."""

    order: NDArray[np.intp]
    n_guided: int


@dataclass(frozen=True)
class Guidance:
    """How items are guided: the parameters of `selectors.mdad_guided.MdadGuided`."""

    difference: float = 0.05
    shrink: float = 0.5
    per_source: float | None = None
    balance: bool = False

    def order(
        self,
        known: SourceAccuracies,
        subtask: NDArray[np.int32],
        rng: np.random.Generator,
        groups: NDArray[np.intp] | None = None,
        costs: FloatArray | None = None,
    ) -> GuidedOrder:
        """Order all items.

        Parameters
        ----------
        known
            Responses and accuracies of the source models.
        subtask
            (n_items,) codes.
        rng
            Draws the halves of the nested split, and the items that are not guided.
        groups
            (n_source,) labels of source models that count as one, and are of one half; None where each is its own.
        costs
            (n_items,) positive, 1 on average: items are chosen by what they tell per cost. None where all cost the same.
        """
        n_guided = self.count(known, subtask, rng, np.arange(len(known.responses)) if groups is None else groups, costs)
        guided = self._forward(known, subtask, costs).first(n_guided)
        return GuidedOrder(with_balanced_rest(guided, known, subtask, rng, costs), n_guided)

    def count(
        self,
        known: SourceAccuracies,
        subtask: NDArray[np.int32],
        rng: np.random.Generator,
        groups: NDArray[np.intp],
        costs: FloatArray | None,
    ) -> int:
        """How many items are guided; the parameters are those of `order`."""
        n_source = np.unique(groups).size
        per_source = self.per_source
        if per_source is None:
            per_source = self._best_multiple(known, subtask, rng, groups, costs) if n_source >= MIN_SOURCES else PER_SOURCE[1]
        return min(round(per_source * n_source), max(JUDGED_SIZES), int(known.responses.shape[1]))

    def _forward(self, known: SourceAccuracies, subtask: NDArray[np.int32], costs: FloatArray | None) -> PairsForward:
        form = pair_form(known.accuracy, self.difference)
        return PairsForward(known, form, self.shrink, subtask if self.balance else None, costs)

    def _best_multiple(
        self,
        known: SourceAccuracies,
        subtask: NDArray[np.int32],
        rng: np.random.Generator,
        groups: NDArray[np.intp],
        costs: FloatArray | None,
    ) -> int:
        """The multiple whose choices by one half of the sources give the smallest errors on the pairs of the other half.

        They are compared at equal sizes or, with costs, at the cost of as many average items.
        """
        n_items = known.responses.shape[1]
        sizes = [size for size in JUDGED_SIZES if size < n_items]
        losses = np.zeros(len(PER_SOURCE))
        halves = random_parts(groups, 2, rng)
        for chosen_by, judged_by in (halves, halves[::-1]):
            train, test = source_subset(known, np.sort(chosen_by)), source_subset(known, np.sort(judged_by))
            forward = self._forward(train, subtask, costs)
            n_train = np.unique(groups[chosen_by]).size
            form = pair_form(test.accuracy, self.difference)
            errors: dict[tuple[int, int], float] = {}
            for k, multiple in enumerate(PER_SOURCE):
                n_guided = min(multiple * n_train, max(sizes, default=0))
                order = None if costs is None else with_balanced_rest(forward.first(n_guided), train, subtask, rng, costs)
                for budget in sizes:
                    size = budget if order is None or costs is None else affordable(costs[order], budget)
                    key = min(n_guided, size), size
                    if key not in errors:
                        if order is None:
                            order = with_balanced_rest(forward.first(n_guided), train, subtask, rng)
                        items = forward.first(size) if size <= n_guided else order[:size]
                        errors[key] = _pair_error(train, test, items, form, groups[np.sort(chosen_by)])
                    losses[k] += math.log(max(errors[key], 1e-12))
        return PER_SOURCE[int(np.argmin(losses))]


def affordable(costs: FloatArray, budget: float) -> int:
    """How many items, taken in order, cost at most `budget` together; at least one."""
    return max(1, int(np.searchsorted(np.cumsum(costs), budget, side="right")))


def source_subset(known: SourceAccuracies, models: NDArray[np.intp]) -> SourceAccuracies:
    """The source models at these positions."""
    confidence = None if known.confidence is None else known.confidence[models]
    return known._replace(responses=known.responses[models], accuracy=known.accuracy[models], confidence=confidence)


def with_balanced_rest(
    guided: NDArray[np.intp],
    known: SourceAccuracies,
    subtask: NDArray[np.int32],
    rng: np.random.Generator,
    costs: FloatArray | None = None,
) -> NDArray[np.intp]:
    """The guided items, followed by all others in balanced order."""
    rest = np.setdiff1d(np.arange(known.responses.shape[1]), guided)
    means = known.responses.mean(axis=0, dtype=np.float64) if len(known.responses) else np.zeros(known.responses.shape[1])
    return np.concatenate([guided, balanced_order(rest, means, subtask, rng, costs, known.weights)])


def _pair_error(
    train: SourceAccuracies, test: SourceAccuracies, items: NDArray[np.intp], form: FloatArray, groups: NDArray[np.intp]
) -> float:
    """Mean squared error of pair differences of the test models, from a regression on these items fitted to the train models."""
    scores = train.responses[:, items].astype(np.float64, copy=False)
    share = 1 / train.responses.shape[1]
    weights = np.ones(len(items)) if train.weights is None else train.weights[items]
    line = predict_rest(scores, train.accuracy - share * (scores * weights).sum(axis=1), groups)
    errors = line.intercept + test.responses[:, items] @ (line.coefficients + share * weights) - test.accuracy
    return float(errors @ form @ errors)
