"""What the method `auto` learns from the source models: an order of the items, and predictors with their held-out errors."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.methods.base import SeenItems, Selection, Signal
from microbench_ray.methods.kernels.auto_order import auto_order
from microbench_ray.methods.kernels.copies import compared_items, groups_of_copies, random_parts, shares
from microbench_ray.methods.kernels.guided import JUDGED_SIZES, PER_SOURCE
from microbench_ray.methods.kernels.irt import IrtFit, fit_irt, p_irt
from microbench_ray.methods.kernels.irt_fit import irt_bytes, irt_seconds
from microbench_ray.methods.kernels.ridge import Regression, predict_rest
from microbench_ray.methods.kernels.sources import MIN_SOURCES, SourceAccuracies, read_items, source_accuracies
from microbench_ray.methods.readout import FloatArray, filled_responses

Positions = NDArray[np.intp]

DIMS = 5
"""Maximum number of dimensions of the IRT model."""
TOLERANCE, FOLD_TOLERANCE = 2e-6, 1e-4
"""Gain of a pass at which the IRT model has converged (`irt.fit_irt`): of all sources, and of those of a fold."""
FOLDS, MANY_SOURCES = 5, 100
"""Folds in which sources are held out, copies of one another together; with more than `MANY_SOURCES`, half of the sources are held
out once, and at most as many of them are judged."""
MIN_FOLDED = 8
"""With fewer source models, copies counted once, none is held out, and both predictors have the same weight."""
PRIOR_WEIGHT, PRIOR_DEVIATION = 0.5, 0.3
"""Prior mean and standard deviation of the weight of each predictor."""


class Learned(NamedTuple):
    """What a set of source models teaches.

    Attributes
    ----------
    known
        Responses and accuracies.
    groups
        (n_source,) labels: source models of one label are copies of one another.
    irt
        The IRT model of the scores; None with fewer than `sources.MIN_SOURCES` models.
    order
        (n_items,) all items, in the order in which they are chosen.
    per_source
        How many guided items they support, by the number of models, copies counted once.
    weights
        (n_items,) the share of each item in the accuracy; None where they are equal.
    """

    known: SourceAccuracies
    groups: Positions
    irt: IrtFit | None
    order: Positions
    per_source: float
    weights: FloatArray | None = None

    def observed(self, scores: FloatArray, items: Positions) -> FloatArray:
        """(n,) the part of the accuracy that scores on some items, (n, size), are."""
        if self.weights is None:
            part: FloatArray = scores.sum(axis=1) / self.known.responses.shape[1]
        else:
            part = (scores * self.weights[items]).sum(axis=1)
        return part


class Fold(NamedTuple):
    """Source models that were held out, and what the others teach."""

    others: Learned
    responses: FloatArray
    """(n_held, n_items) scores; (n_held, n_items, 2) scores and confidences. NaN where missing."""
    accuracy: FloatArray
    """(n_held,)"""
    share: FloatArray
    """(n_held,) how much each counts: one by the number of source models that are its copies, itself included."""


class AutoFit(NamedTuple):
    """What all source models teach, and how well what some of them teach holds for the others."""

    learned: Learned
    folds: tuple[Fold, ...]
    cost_power: float = 0.0
    """What an item tells is divided by its cost raised to this power."""


class Predictors(NamedTuple):
    """Two predictors of the sum of a model's scores on the items that were not selected, over the number of all items.

    Attributes
    ----------
    ridge
        A ridge regression on the responses to the selected items.
    irt
        The IRT model.
    items
        (size,) the selected items.
    means
        Means of the responses to them, in the shape of a model's responses: missing responses are filled from them.
    learned
        What they were learned from.
    """

    ridge: Regression
    irt: IrtFit
    items: Positions
    means: FloatArray
    learned: Learned

    def observed_and_rest(self, responses: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The share of the accuracy that is observed, (n,), and both predictions of the rest, (n, 2).

        Each row is summed separately and in one order, so that models with the same responses get the same bits.
        """
        scores = responses if responses.ndim == 2 else responses[:, :, 0]
        filled = filled_responses(responses.reshape(len(responses), -1), self.means.ravel())
        of_scores = filled.reshape(responses.shape) if responses.ndim == 2 else filled.reshape(responses.shape)[:, :, 0]
        observed = self.learned.observed(of_scores, self.items)
        by_ridge = self.ridge.intercept + (filled * self.ridge.coefficients).sum(axis=1)
        return observed, np.stack([by_ridge, p_irt(self.irt, scores, self.items, self.learned.weights) - observed], axis=1)


def fit_auto(seen: SeenItems, rng: np.random.Generator, by_cost: bool = False) -> AutoFit:
    """Learn from all source models, and from those of each fold.

    Parameters
    ----------
    seen
        Responses (n_source, n_items), or (n_source, n_items, 2) where scores and confidences are read.
    rng
        Draws the folds, the halves of nested splits, and the items that are not guided.
    by_cost
        Whether items are chosen by what they tell per cost.
    """
    assert seen.responses is not None
    responses = np.asarray(seen.responses, np.float64)
    answered = ~np.isnan(responses if responses.ndim == 2 else responses[:, :, 0]).all(axis=1)
    responses = responses[answered]
    scores = responses if responses.ndim == 2 else responses[:, :, 0]
    groups = groups_of_copies(scores[:, compared_items(scores.shape[1])].astype(np.float32))
    n_source, n_groups, share = len(groups), np.unique(groups).size, shares(groups)
    costs = seen.relative_costs(by_cost)
    learned = _learn(responses, groups, seen, rng, costs)
    held_out: list[Positions] = []
    if n_groups >= MIN_FOLDED:
        many = n_source > MANY_SOURCES
        held_out = random_parts(groups, [n_groups // 2], rng)[:1] if many else random_parts(groups, FOLDS, rng)
    folds = []
    for part in held_out:
        others = np.setdiff1d(np.arange(n_source), part)
        taught = _learn(responses[others], groups[others], seen, rng, costs, FOLD_TOLERANCE, per_source=learned.per_source)
        judged = part[:MANY_SOURCES]
        folds.append(Fold(taught, responses[judged], learned.known.accuracy[judged], share[judged]))
    return AutoFit(learned, tuple(folds), float(costs is not None))


def _learn(
    responses: FloatArray,
    groups: Positions,
    seen: SeenItems,
    rng: np.random.Generator,
    costs: FloatArray | None,
    tolerance: float = TOLERANCE,
    per_source: float | None = None,
) -> Learned:
    """`groups` are labels of copies; `per_source` guided items per group, as all sources support, None for these."""
    known = source_accuracies(replace(seen, responses=responses.astype(np.float32)))
    scores = responses if responses.ndim == 2 else responses[:, :, 0]
    irt = fit_irt(scores.astype(np.float32), DIMS, tolerance=tolerance) if len(scores) >= MIN_SOURCES else None
    nothing = Learned(known=known, groups=groups, irt=irt, order=np.empty(0, np.intp), per_source=0.0, weights=seen.weights)
    return with_order(nothing, seen, rng, costs, per_source)


def with_order(
    learned: Learned, seen: SeenItems, rng: np.random.Generator, costs: FloatArray | None, per_source: float | None
) -> Learned:
    """The same, with the order of all items by these costs; `per_source` as for `_learn`."""
    order, n_guided = auto_order(learned.known, learned.groups, seen.subtask, rng, per_source, costs)
    return learned._replace(order=order, per_source=n_guided / max(1, np.unique(learned.groups).size))


def predictors(learned: Learned, selection: Selection, signal: Signal) -> Predictors:
    """The predictors of the rest for selected items; there is an IRT model."""
    assert learned.irt is not None
    known = read_items(learned.known, selection, signal)
    scores = learned.known.responses[:, selection.items]
    rest = learned.known.accuracy - learned.observed(scores, selection.items)
    return Predictors(
        ridge=predict_rest(known.reshape(len(known), -1), rest, learned.groups),
        irt=learned.irt,
        items=selection.items,
        means=known.mean(axis=0),
        learned=learned,
    )


class Stack(NamedTuple):
    """The rest ≈ level + (both predictions − level) @ weights.

    `error` is the root mean square of what is left, over the models that were held out; None if none was.
    """

    level: float
    weights: FloatArray
    error: float | None = None


def fit_stack(fit: AutoFit, selection: Selection, signal: Signal) -> Stack:
    """The weights of both predictors, from the models that were held out.

    They are the posterior means of a linear regression of the rest on both predictions, with independent normal priors and the
    variance of the residuals that the prior means leave (a form of stacking, Breiman 1996). Copies of a model count once together.
    In every fold the items are those that its other models choose, unless the selection is not that of the order, whose items are
    then read.
    """
    learned = fit.learned
    size = len(selection.items)
    nested = np.array_equal(selection.items, learned.order[:size])
    scores = learned.known.responses[:, selection.items]
    level = float((learned.known.accuracy - learned.observed(scores, selection.items)).mean())
    found = []
    for fold in fit.folds:
        if fold.others.irt is not None:
            items = fold.others.order[:size] if nested else selection.items
            own = Selection(items, selection.weights)
            observed, rest = predictors(fold.others, own, signal).observed_and_rest(_read(fold.responses, items, signal))
            known = fold.others.known
            own_level = float((known.accuracy - fold.others.observed(known.responses[:, items], items)).mean())
            found.append(np.column_stack([fold.accuracy - observed - own_level, rest - own_level, fold.share]))
    prior = np.full(2, PRIOR_WEIGHT)
    if not found:
        return Stack(level, prior)
    rows = np.concatenate(found)
    rows = rows[~np.isnan(rows).any(axis=1)]  # of models that answered a selected item
    outcome, predictions, share = rows[:, 0], rows[:, 1:3], rows[:, 3]
    if not outcome.size:
        return Stack(level, prior)
    residuals = outcome - predictions @ prior
    variance = max(float(np.average(np.square(residuals), weights=share)), 1e-8)
    weighted = predictions * share[:, None]
    precision = weighted.T @ predictions + np.eye(2) * variance / PRIOR_DEVIATION**2
    weights = prior + np.linalg.solve(precision, weighted.T @ residuals)
    return Stack(level, weights, float(np.sqrt(np.average(np.square(outcome - predictions @ weights), weights=share))))


def _read(responses: FloatArray, items: Positions, signal: Signal) -> FloatArray:
    """The responses to some items, in the signal that an estimator reads of the targets."""
    read: FloatArray = responses[:, items]
    return read[:, :, 0] if read.ndim == 3 and signal == "correctness" else read


def auto_seconds(n_source: int, n_items: int) -> float:
    """Expected CPU seconds of `fit_auto`, for a plan."""
    times = FOLDS if n_source <= MANY_SOURCES else 0.5
    steps = min(max(JUDGED_SIZES), max(PER_SOURCE) * n_source, n_items)
    return (1 + times) * (irt_seconds(DIMS, n_source, n_items) + 1.6e-9 * steps * n_source * n_items)


def auto_bytes(n_source: int, n_items: int, size: int) -> int:
    """Expected bytes of `fit_auto`, for a plan."""
    folds = FOLDS if n_source <= MANY_SOURCES else 1
    return (1 + folds) * 16 * n_source * n_items + irt_bytes(DIMS, n_source, n_items) + 24 * n_source * (n_items + size)
