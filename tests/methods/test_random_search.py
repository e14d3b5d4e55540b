"""The best of many random selections: the error by refitting, and that the best one is taken."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import SeenItems
from microbench_ray.methods.kernels.ridge import fit_dual
from microbench_ray.methods.selectors.random_search import RandomSearch, loo_error
from tests.helpers.errors import refuses


def seen_items(responses: np.ndarray) -> SeenItems:
    n_items = responses.shape[1]
    ids = np.array([f"q{k}" for k in range(n_items)], object)
    return SeenItems(ids, np.zeros(n_items, np.int32), responses.astype(np.float32))


def world(n_models: int, n_items: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(n_models, 1)) + rng.logistic(size=(n_models, n_items)) > 0).astype(float)


def refitted_error(x: np.ndarray, y: np.ndarray, penalty: float) -> float:
    """Each model predicted by a ridge regression with an intercept on the others."""
    residuals = []
    for k in range(len(y)):
        rest = np.delete(np.arange(len(y)), k)
        centre, level = x[rest].mean(axis=0), y[rest].mean()
        centred = x[rest] - centre
        coefficients = np.linalg.solve(centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y[rest] - level))
        residuals.append(y[k] - level - (x[k] - centre) @ coefficients)
    return float(np.sqrt(np.mean(np.square(residuals))))


@pytest.mark.parametrize("penalty", [0.03, 1.0, 50.0])
def test_the_error_is_that_of_refitting(penalty: float) -> None:
    x, y = world(15, 6), np.random.default_rng(2).random(15)
    centred = x - x.mean(axis=0)
    assert loo_error(centred @ centred.T, y - y.mean(), penalty) == pytest.approx(refitted_error(x, y, penalty), rel=1e-9)


def test_the_best_of_the_drawn_selections_is_chosen() -> None:
    responses = world(25, 40)
    seen = seen_items(responses)
    selector = RandomSearch(draws=30)
    fit = selector.fit(seen, np.random.default_rng(1))
    found = selector.select(seen, fit, 8, np.random.default_rng(1)).items
    rng = np.random.default_rng(1)
    drawn = [rng.choice(40, 8, replace=False) for _ in range(30)]
    y = responses.mean(axis=1)
    first = responses[:, drawn[0]] - responses[:, drawn[0]].mean(axis=0)
    penalty = fit_dual(first @ first.T, y - y.mean()).penalty
    errors = [refitted_error(responses[:, items], y, penalty) for items in drawn]
    assert found.tolist() == drawn[int(np.argmin(errors))].tolist()
    assert int(np.argmin(errors)) > 0


def test_more_draws_do_not_raise_the_error_on_the_sources() -> None:
    responses = world(25, 40)
    seen, y = seen_items(responses), responses.mean(axis=1)
    errors = []
    for draws in (1, 10, 100):
        selector = RandomSearch(draws)
        items = selector.select(seen, selector.fit(seen, np.random.default_rng(1)), 8, np.random.default_rng(1)).items
        errors.append(refitted_error(responses[:, items], y, 1.0))
    assert errors[2] < errors[0]


@pytest.mark.parametrize("responses", [np.ones((20, 10)), np.ones((3, 10)), np.zeros((0, 10))])
def test_sources_that_say_nothing_give_random_items(responses: np.ndarray) -> None:
    seen = seen_items(responses)
    selector = RandomSearch()
    found = {
        tuple(sorted(selector.select(seen, selector.fit(seen, rng), 3, rng).items.tolist()))
        for rng in map(np.random.default_rng, range(20))
    }
    assert len(found) > 10


@pytest.mark.parametrize("draws", [0, -3, 2.5])
def test_a_number_of_draws_below_one_is_refused(draws: float) -> None:
    with refuses(ConfigError, "draws", got=repr(draws)):
        RandomSearch(draws=draws)  # type: ignore[arg-type]
