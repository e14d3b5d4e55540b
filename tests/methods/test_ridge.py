"""Ridge regression against its definition: by the normal equations, and by leaving one model out after the other."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.methods.base import SeenItems, Selection
from microbench_ray.methods.estimators.ridge import Ridge
from microbench_ray.methods.kernels.ridge import PENALTIES, fit_regression
from microbench_ray.methods.readout import filled_responses

NAN = np.nan


def world(n_models: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ability = rng.normal(0, 1, (n_models, 1))
    return (rng.random((n_models, n_items)) < 1 / (1 + np.exp(rng.normal(0, 1, n_items) - ability))).astype(np.float64)


def solved(x: np.ndarray, y: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    """The intercept and coefficients that minimise squared errors and penalty × squared coefficients."""
    design = np.column_stack([np.ones(len(x)), x])
    ridge = penalty * np.eye(design.shape[1])
    ridge[0, 0] = 0.0
    solution = np.linalg.solve(design.T @ design + ridge, design.T @ y)
    return float(solution[0]), solution[1:]


@pytest.mark.parametrize(("n_models", "size"), [(12, 5), (12, 30)])
def test_it_is_ridge_regression_with_the_best_penalty_by_leave_one_out(n_models: int, size: int) -> None:
    responses = world(n_models, 60)
    x, y = responses[:, :size], responses.mean(axis=1)
    line = fit_regression(x, y)
    intercept, coefficients = solved(x, y, line.dual.penalty)
    assert line.intercept == pytest.approx(intercept, abs=1e-8)
    assert line.coefficients == pytest.approx(coefficients, abs=1e-8)
    centred = x - x.mean(axis=0)
    scale = np.maximum(np.linalg.eigvalsh(centred @ centred.T), 0).mean()
    errors, residuals = [], []
    for penalty in scale * PENALTIES:
        left_out = []
        for k in range(n_models):
            others = np.arange(n_models) != k
            start, slopes = solved(x[others], y[others], penalty)
            left_out.append(y[k] - start - x[k] @ slopes)
        errors.append(np.sqrt(np.mean(np.square(left_out))))
        residuals.append(left_out)
    assert line.dual.loo_error == pytest.approx(min(errors), rel=1e-6)
    assert line.dual.penalty == pytest.approx(scale * PENALTIES[int(np.argmin(errors))])
    assert line.dual.loo_residuals == pytest.approx(np.array(residuals[int(np.argmin(errors))]), abs=1e-8)


def test_items_that_all_answer_alike_say_nothing() -> None:
    line = fit_regression(np.ones((6, 4)), np.linspace(0, 1, 6))
    assert line.intercept == 0.5
    assert line.coefficients.tolist() == [0, 0, 0, 0]
    assert line.dual.loo_error == pytest.approx(np.sqrt(np.mean((np.linspace(0, 1, 6) - 0.5) ** 2)) * 6 / 5)


def test_it_beats_the_mean_where_items_differ() -> None:
    responses = world(260, 400, seed=1)
    sources, targets, items = responses[:200], responses[200:], np.arange(0, 400, 20)
    seen = SeenItems(np.arange(400).astype(str).astype(object), np.zeros(400, np.int32), sources.astype(np.float32), None)
    ridge = Ridge()
    estimates = ridge.estimate(targets[:, items], Selection(items), seen, ridge.fit(seen, np.random.default_rng(0)))
    truth = targets.mean(axis=1)
    assert np.abs(estimates - truth).mean() < 0.9 * np.abs(targets[:, items].mean(axis=1) - truth).mean()


def test_few_source_models_leave_the_mean() -> None:
    responses = world(3, 40)
    seen = SeenItems(np.arange(40).astype(str).astype(object), np.zeros(40, np.int32), responses.astype(np.float32), None)
    ridge, items = Ridge(), np.arange(10)
    fit = ridge.fit(seen, np.random.default_rng(0))
    assert ridge.estimate(responses[:, items], Selection(items), seen, fit).tolist() == responses[:, items].mean(axis=1).tolist()


def test_gaps_are_filled_by_hand() -> None:
    means = np.array([0.5, 0.25, 0.75])
    filled = filled_responses(np.array([[1.0, NAN, 1.0], [NAN, NAN, NAN], [0.0, 0.0, 0.0]]), means)
    assert filled.tolist() == [[1.0, 0.25 + (0.5 + 0.25) / 2, 1.0], means.tolist(), [0.0, 0.0, 0.0]]


def test_a_target_that_answered_nothing_has_no_estimate() -> None:
    responses = world(20, 40)
    seen = SeenItems(np.arange(40).astype(str).astype(object), np.zeros(40, np.int32), responses.astype(np.float32), None)
    ridge, items = Ridge(), np.arange(10)
    fit = ridge.fit(seen, np.random.default_rng(0))
    estimates = ridge.estimate(np.full((1, 10), NAN), Selection(items), seen, fit)
    assert np.isnan(estimates).tolist() == [True]
