"""The order of the method `auto` for a budget: by what items tell, or by what they tell per cost, judged on held-out models."""

from __future__ import annotations

import numpy as np

from microbench_ray.methods.base import ByCost, SeenItems, Selection
from microbench_ray.methods.kernels.auto import AutoFit, fit_auto, predictors, with_order
from microbench_ray.methods.kernels.guided import affordable
from microbench_ray.methods.readout import FloatArray

POWERS = (0.0, 0.5, 1.0)
"""What an item tells is divided by its cost raised to one of these."""
UNJUDGED = 0.5
"""The power where too few source models are known to hold some out."""


def fit_for_costs(seen: SeenItems, rng: np.random.Generator, by_cost: ByCost) -> AutoFit:
    """`fit_auto`, where `by_cost` may be left to the data: it is then decided for a budget, and false without one."""
    if by_cost != "auto":
        return fit_auto(seen, rng, by_cost)
    fit = fit_auto(seen, rng)
    if seen.budget is None or seen.costs is None:
        return fit
    return best_for_budget(orders_by_cost(fit, seen, rng), seen.costs, seen.budget)


def orders_by_cost(fit: AutoFit, seen: SeenItems, rng: np.random.Generator) -> list[AutoFit]:
    """The fit without costs, and the same with the orders for every other one of `POWERS`."""
    assert seen.costs is not None
    fits = [fit]
    for power in POWERS[1:]:
        costs = seen.costs**power
        costs = costs / costs.mean()
        learned = with_order(fit.learned, seen, rng, costs, None)
        folds = tuple(fold._replace(others=with_order(fold.others, seen, rng, costs, learned.per_source)) for fold in fit.folds)
        fits.append(AutoFit(learned, folds, power))
    return fits


def best_for_budget(fits: list[AutoFit], costs: FloatArray, budget: float) -> AutoFit:
    """The one of `orders_by_cost` whose affordable items have the smallest error on the models held out.

    In every fold, the first items of the other models' order that cost no more than the budget are read by both predictors, with
    equal weights. The error is the variance of the errors over all models held out, of which copies count once together: what all
    estimates have in common orders no models.
    """
    if not fits[0].folds:
        return fits[POWERS.index(UNJUDGED)]
    return min(fits, key=lambda fit: held_out_variance(fit, costs, budget))


def held_out_variance(fit: AutoFit, costs: FloatArray, budget: float) -> float:
    """The variance of the errors on the models that are held out, with items for a budget."""
    errors, shares = [], []
    for fold in fit.folds:
        order = fold.others.order
        items = order[: affordable(costs[order], budget)]
        responses = fold.responses if fold.responses.ndim == 2 else fold.responses[:, :, 0]
        read = predictors(fold.others, Selection(items), "correctness").observed_and_rest(responses[:, items])
        errors.append(read[0] + read[1].mean(axis=1) - fold.accuracy)
        shares.append(fold.share)
    error, share = np.concatenate(errors), np.concatenate(shares)
    answered = ~np.isnan(error)  # a model that answered none of the items has no estimate
    if not answered.any():
        return float("inf")
    error, share = error[answered], share[answered]
    return float(np.average(np.square(error - np.average(error, weights=share)), weights=share))
