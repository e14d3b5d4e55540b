"""Choosing by information per cost, against its definition; what it does not change; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.auto import fit_auto
from microbench_ray.methods.kernels.filling import balanced_order
from microbench_ray.methods.kernels.forward import ForwardSelection
from microbench_ray.methods.kernels.guided import Guidance, affordable
from microbench_ray.methods.kernels.pairs_forward import PairsForward
from microbench_ray.methods.kernels.sources import SourceAccuracies, source_accuracies
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
    "selection", [lambda of, c: ForwardSelection(of, 1.0, c), lambda of, c: PairsForward(of, 0.1, 0.5, None, c)]
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
