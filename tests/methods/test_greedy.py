"""Forward selection against its definition: every step by solving the regression anew for every item that is left."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.kernels.forward import ForwardSelection
from microbench_ray.methods.kernels.sources import SourceAccuracies
from microbench_ray.methods.selectors.greedy import Greedy
from tests.helpers.errors import refuses


def known(n_models: int, n_items: int, seed: int = 0) -> SourceAccuracies:
    rng = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(rng.normal(0, 1, n_items) - rng.normal(0, 1, (n_models, 1))))
    responses = (rng.random((n_models, n_items)) < chance).astype(np.float64)
    return SourceAccuracies(responses, responses.mean(axis=1))


def penalised_error(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """The least of ‖y − xβ‖² + penalty × ‖β‖²."""
    beta = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return float(np.sum((y - x @ beta) ** 2) + penalty * np.sum(beta**2))


@pytest.mark.parametrize(("n_models", "n_items"), [(30, 12), (8, 25)])
@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_every_step_takes_the_item_that_leaves_the_least_error(n_models: int, n_items: int, penalty: float) -> None:
    sources = known(n_models, n_items)
    order = ForwardSelection(sources, penalty).first(8).tolist()
    x, y = sources.responses - sources.responses.mean(axis=0), sources.accuracy - sources.accuracy.mean()
    scaled = penalty * float(np.square(x).sum(axis=0).mean())
    for step in range(8):
        left = [item for item in range(n_items) if item not in order[:step]]
        errors = {item: penalised_error(x[:, [*order[:step], item]], y, scaled) for item in left}
        assert errors[order[step]] == pytest.approx(min(errors.values()), rel=1e-9)


def test_sizes_nest_however_they_are_asked_for() -> None:
    sources = known(40, 60)
    one, other = ForwardSelection(sources, 1.0), ForwardSelection(sources, 1.0)
    assert one.first(5).tolist() == other.first(30)[:5].tolist()
    assert one.first(30).tolist() == other.first(30).tolist()
    assert sorted(one.first(60).tolist()) == list(range(60))


def test_the_inverse_stays_one_after_many_steps() -> None:
    sources = known(50, 200)
    chosen = ForwardSelection(sources, 1.0)
    items = chosen.first(150)
    x = (sources.responses - sources.responses.mean(axis=0))[:, items]
    scale = float(np.square(sources.responses - sources.responses.mean(axis=0)).sum(axis=0).mean())
    assert chosen._m == pytest.approx(np.linalg.inv(x @ x.T + scale * np.eye(50)), abs=1e-9)


def test_models_that_are_all_alike_leave_the_order_of_the_items() -> None:
    sources = SourceAccuracies(np.ones((5, 6)), np.ones(5))
    assert ForwardSelection(sources, 1.0).first(6).tolist() == list(range(6))


@pytest.mark.parametrize("penalty", [0.0, -1.0, float("inf"), float("nan")])
def test_a_penalty_must_be_finite_and_above_0(penalty: float) -> None:
    with refuses(ConfigError, "greedy: penalty", got=repr(penalty), hint="1.0"):
        Greedy(penalty)
