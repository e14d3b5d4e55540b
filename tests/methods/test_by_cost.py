"""Choosing by information per cost, against its definition; what it does not change; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.auto import AutoFit, fit_auto
from microbench_ray.methods.kernels.auto_cost import best_for_budget, held_out_variance, orders_by_cost
from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.forward import ForwardSelection
from microbench_ray.methods.kernels.guided import Guidance, affordable
from microbench_ray.methods.kernels.irt import p_irt
from microbench_ray.methods.kernels.pairs_forward import PairsForward, pair_form
from microbench_ray.methods.kernels.ridge import predict_rest
from microbench_ray.methods.kernels.sources import SourceAccuracies, source_accuracies
from microbench_ray.micro.builder import Builder
from tests.helpers.errors import refuses

BY_COST: dict[str, Any] = {"by_cost": True}


def drawn(n_models: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(rng.normal(0, 1, n_items) - rng.normal(0, 1, (n_models, 1))))
    return (rng.random((n_models, n_items)) < chance).astype(np.float64)


def known(n_models: int, n_items: int) -> SourceAccuracies:
    responses = drawn(n_models, n_items)
    return SourceAccuracies(responses, responses.mean(axis=1))


def seen(n_models: int, n_items: int, costs: np.ndarray | None) -> SeenItems:
    ids = np.array([f"q{k}" for k in range(n_items)], object)
    return SeenItems(ids, np.zeros(n_items, np.int32), drawn(n_models, n_items).astype(np.float32), costs=costs)


def board(cost: np.ndarray | None = None) -> Benchmark:
    return mb.benchmark(drawn(24, 60), name="drawn", cost=cost)


COSTS = 10 ** np.random.default_rng(3).random(60)


def test_every_step_lowers_the_error_most_per_cost() -> None:
    sources, costs = known(20, 10), 10 ** np.random.default_rng(1).random(10)
    x, y = sources.responses - sources.responses.mean(axis=0), sources.accuracy - sources.accuracy.mean()
    penalty = float(np.square(x).sum(axis=0).mean())

    def error(items: list[int]) -> float:
        chosen = x[:, items]
        beta = np.linalg.solve(chosen.T @ chosen + penalty * np.eye(len(items)), chosen.T @ y)
        return float(np.sum((y - chosen @ beta) ** 2) + penalty * np.sum(beta**2))

    order = ForwardSelection(sources, 1.0, costs).first(10).tolist()
    for step in range(9):
        before = error(order[:step]) if step else float(y @ y)
        gains = {k: (before - error([*order[:step], k])) / costs[k] for k in range(10) if k not in order[:step]}
        assert gains[order[step]] == pytest.approx(max(gains.values()), rel=1e-6)
    assert order != ForwardSelection(sources, 1.0).first(10).tolist()


@pytest.mark.parametrize(
    "selection",
    [lambda of, c: ForwardSelection(of, 1.0, c), lambda of, c: PairsForward(of, pair_form(of.accuracy, 0.1), 0.5, None, c)],
)
def test_of_two_equal_items_the_cheap_one_is_first(selection: Any) -> None:
    sources = known(20, 12)
    twice = sources._replace(responses=np.concatenate([sources.responses, sources.responses], axis=1))
    costs = np.concatenate([np.full(12, 2.0), np.full(12, 1.0)])
    order = selection(twice, costs).first(24).tolist()
    assert all(order.index(k + 12) < order.index(k) for k in range(12))
    assert selection(sources, np.ones(12)).first(12).tolist() == selection(sources, None).first(12).tolist()


def test_random_items_come_with_a_probability_of_one_by_their_cost() -> None:
    costs, first = np.array([1.0, 2.0, 4.0, 4.0]), np.zeros(4)
    for seed in range(4000):
        order = balanced_order(np.arange(4), np.arange(4) / 4, np.zeros(4, np.int32), np.random.default_rng(seed), costs)
        assert sorted(order.tolist()) == [0, 1, 2, 3]
        first[order[0]] += 1
    assert first / 4000 == pytest.approx([1 / 2, 1 / 4, 1 / 8, 1 / 8], abs=0.03)  # four standard errors


def test_how_many_items_a_budget_buys() -> None:
    costs = np.array([2.0, 1.0, 4.0, 0.5])
    assert [affordable(costs, budget) for budget in (0.5, 2, 3, 6.9, 7, 7.5, 100)] == [1, 1, 2, 2, 3, 4, 4]


def test_orders_hold_every_item_and_the_first_ones_are_cheap() -> None:
    rng, relative = np.random.default_rng, COSTS / COSTS.mean()
    given = seen(24, 60, COSTS)
    for order in (
        fit_auto(given, rng(0), by_cost=True).learned.order,
        Guidance().order(source_accuracies(given), given.subtask, rng(0), costs=relative).order,
    ):
        assert sorted(order.tolist()) == list(range(60))
        assert relative[order[:20]].mean() < 0.7
    folds = fit_auto(given, rng(0), by_cost=True).folds
    assert all(relative[fold.others.order[:20]].mean() < 0.85 for fold in folds)


@pytest.mark.parametrize("name", ["greedy", "mdad_guided", "auto"])
def test_costs_change_nothing_unless_they_are_read(name: str) -> None:
    plain, costly = seen(24, 60, None), seen(24, 60, COSTS)
    selector, by_cost = mb.method(name).selector, mb.method(name, selector=BY_COST).selector
    assert selector.fit_key != by_cost.fit_key
    orders = []
    for part, given in ((selector, plain), (selector, costly), (by_cost, costly)):
        fit = part.fit(given, np.random.default_rng(0))
        orders.append(part.select(given, fit, 30, np.random.default_rng(0)).items.tolist())
    assert orders[0] == orders[1] != orders[2]


def test_a_method_that_reads_no_costs_is_the_one_of_before() -> None:
    assert "by_cost" not in mb.method("greedy").identity()["selector"]
    assert mb.method("greedy", selector=BY_COST).identity()["selector"]["by_cost"] is True
    auto = mb.method("auto", selector=BY_COST, estimator=BY_COST)
    assert auto.selector.fit_key == auto.estimator.fit_key != mb.method("auto").selector.fit_key


def test_without_a_budget_auto_reads_no_costs() -> None:
    plain, left_open = (mb.method("auto", selector={"by_cost": value}, estimator={"by_cost": value}) for value in (False, "auto"))
    assert left_open == mb.method("auto")
    assert left_open.identity() == plain.identity()
    assert left_open.selector.fit_key == plain.selector.fit_key
    given = seen(24, 60, COSTS)
    fits = [method.selector.fit(given, np.random.default_rng(0)) for method in (plain, left_open)]
    assert fits[0].learned.order.tolist() == fits[1].learned.order.tolist()
    assert fits[1].cost_power == 0


def error_on_held_out(fit: AutoFit, budget: float) -> float:
    """Variance of the errors of the mean of both predictors, in every fold on the first items that the budget allows."""
    errors, shares = [], []
    for fold in fit.folds:
        order, known = fold.others.order, fold.others.known
        items = [item for item, total in zip(order, np.cumsum(COSTS[order]), strict=True) if total <= budget]
        rest = known.accuracy - known.responses[:, items].sum(axis=1) / 60
        line = predict_rest(known.responses[:, items], rest, fold.others.groups)
        scores = fold.responses[:, items]
        assert fold.others.irt is not None
        by_ridge = scores.sum(axis=1) / 60 + line.intercept + scores @ line.coefficients
        errors.append((by_ridge + p_irt(fold.others.irt, scores, np.array(items))) / 2 - fold.accuracy)
        shares.append(fold.share)
    return float(np.cov(np.concatenate(errors), aweights=np.concatenate(shares), ddof=0))


def test_a_budget_is_spent_in_the_order_that_estimates_held_out_models_best() -> None:
    for budget in (60.0, 120.0):
        given = replace(seen(24, 60, COSTS), budget=budget)
        fits = orders_by_cost(fit_auto(given, np.random.default_rng(0)), given, np.random.default_rng(1))
        assert [fit.cost_power for fit in fits] == [0, 0.5, 1]
        assert [COSTS[fit.learned.order[:20]].mean() for fit in fits] == sorted(
            (COSTS[fit.learned.order[:20]].mean() for fit in fits), reverse=True
        )
        errors = [error_on_held_out(fit, budget) for fit in fits]
        assert [held_out_variance(fit, COSTS, budget) for fit in fits] == pytest.approx(errors)
        assert best_for_budget(fits, COSTS, budget) is fits[int(np.argmin(errors))]
    few = replace(seen(6, 60, COSTS), budget=60.0)  # none is held out
    assert mb.method("auto").selector.fit(few, np.random.default_rng(0)).cost_power == 0.5


def test_an_export_for_a_budget_decides_by_itself() -> None:
    costs = COSTS[:30]
    small = mb.benchmark(drawn(12, 30), name="drawn", cost=costs)
    chosen = mb.method("auto", estimator={"signal": "correctness"})
    micro = mb.export(small, method=chosen, cost=40, folds=2)
    models = np.arange(12)
    builder = Builder(small, chosen, micro.size, 0, models, 40)
    with one_thread():
        order, power = builder.order(models)
        of_fold, (order_of_fold, _) = builder.select_and_read(models[:9])[0].items, builder.order(models[:9])
    assert micro.benchmark["cost_power"] == power
    assert list(micro.item_ids) == small.item_ids[order[: micro.size]].tolist()
    for items, every in ((order[: micro.size], order), (of_fold, order_of_fold)):  # every build spends the budget
        assert items.tolist() == every[: len(items)].tolist()
        assert costs[items].sum() <= 40 < costs[every[: len(items) + 1]].sum()


def test_a_sweep_with_costs_has_the_tables_of_one_without() -> None:
    assert board().digest != board(COSTS).digest
    settings: dict[str, Any] = {"sizes": [10], "n_source": [12], "n_target": 8, "runs": 2}
    plain, costly = (mb.sweep(each, ["random", "greedy"], **settings) for each in (board(), board(COSTS)))
    assert plain.frame("cells").equals(costly.frame("cells"))
    assert plain.mdad.drop(columns="cost").equals(costly.mdad.drop(columns="cost"))


def test_an_export_by_cost_costs_less() -> None:
    costly = board(COSTS)
    cost_of = dict(zip(costly.item_ids, COSTS, strict=True))
    totals = []
    for changes in (None, BY_COST):
        micro = mb.export(costly, 15, mb.method("greedy", selector=changes))
        totals.append(sum(cost_of[item.id] for item in micro.items))
    assert totals[1] < 0.8 * totals[0]


def test_what_cannot_choose_by_cost_is_refused() -> None:
    with refuses(ConfigError, "cost", got="greedy", hint="benchmark.columns"):
        mb.sweep(board(), mb.method("greedy", selector=BY_COST), sizes=[10], n_source=[12], n_target=8, runs=1)
    with refuses(ConfigError, "cost", got="without costs"):
        mb.export(board(), 10, mb.method("greedy", selector=BY_COST))
    with refuses(ConfigError, "both", where="auto", hint="by_cost"):
        mb.export(board(COSTS), 10, mb.method("auto", selector=BY_COST))
    for name in ("greedy", "mdad_guided", "auto"):
        with refuses(ConfigError, "by_cost", got="'yes'"):
            mb.method(name, selector={"by_cost": "yes"})
    assert replace(seen(4, 6, None)).relative_costs(True) is None
