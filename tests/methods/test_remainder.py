"""The observed sum and the predicted rest: by its parts, at its ends, and beside the plain mean."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import Selection
from microbench_ray.methods.estimators.ridge import Ridge
from microbench_ray.methods.estimators.ridge_remainder import RidgeRemainder
from microbench_ray.methods.kernels.ridge import predict_rest
from tests.helpers.errors import refuses
from tests.helpers.logistic_world import seen_items, world

RNG = np.random.default_rng(0)
NAN = np.nan


def estimates(responses: np.ndarray, targets: np.ndarray, items: np.ndarray, estimator: RidgeRemainder | Ridge) -> np.ndarray:
    seen = seen_items(responses)
    return estimator.estimate(targets[:, items].astype(np.float64), Selection(items), seen, estimator.fit(seen, RNG))


def test_with_all_items_it_is_the_accuracy() -> None:
    responses = world(60, 40)
    found = estimates(responses[:30], responses[30:], np.arange(40), RidgeRemainder())
    assert found == pytest.approx(responses[30:].mean(axis=1), abs=1e-6)


def test_what_is_observed_counts_in_full() -> None:
    """Sources that say nothing of the rest leave the order of the plain mean."""
    rng = np.random.default_rng(3)
    sources = (rng.random((5, 400)) < 0.5).astype(np.float32)
    sources[:, 200:] = 1.0  # every source has the rest right: there is nothing to learn of it
    targets = (rng.random((8, 400)) < 0.5).astype(np.float32)
    items = np.arange(200)
    found = estimates(sources, targets, items, RidgeRemainder())
    assert found == pytest.approx(0.5 * targets[:, items].mean(axis=1) + 0.5, abs=1e-6)


def test_the_regression_is_the_one_of_its_penalised_sum_of_squares() -> None:
    """With a penalty on coefficients around a common one: the normal equations, at the penalties that were chosen."""
    x = world(20, 6, seed=2).astype(np.float64)
    rest = x @ np.array([0.02, 0.01, 0.03, 0.0, 0.02, 0.01]) + np.random.default_rng(1).normal(0, 0.01, 20)
    intercept, coefficients, _ = predict_rest(x, rest)
    assert intercept == pytest.approx(float(rest.mean() - x.mean(axis=0) @ coefficients))
    residual = rest - intercept - x @ coefficients
    assert np.std(residual) < np.std(rest)
    # Stationary: the gradient of the squares lies in the span of the penalty's, scales × coefficients and the common one.
    gradient = (x - x.mean(axis=0)).T @ residual
    scales = 1 / np.maximum(x.var(axis=0), 1e-3)
    design = np.stack([coefficients / scales, 1 / scales], axis=1)
    explained = design @ np.linalg.lstsq(design, gradient, rcond=None)[0]
    assert explained == pytest.approx(gradient, abs=1e-8)


def test_few_sources_and_many_items_do_not_lose_to_the_mean() -> None:
    """Where the classical ridge does: 12 sources, half of the items."""
    lost, won = [], []
    for seed in range(12):
        responses = world(72, 200, seed)
        items = np.random.default_rng(seed).permutation(200)[:100]
        truth = responses[12:].mean(axis=1)
        off = {
            estimator: np.corrcoef(estimates(responses[:12], responses[12:], items, estimator), truth)[0, 1]
            for estimator in (RidgeRemainder(), Ridge())
        }
        mean = np.corrcoef(responses[12:, items].mean(axis=1), truth)[0, 1]
        won.append(off[RidgeRemainder()] - mean)
        lost.append(off[Ridge()] - mean)
    assert np.mean(won) > -0.001
    assert np.mean(lost) < -0.01


@pytest.mark.parametrize("n_source", [0, 1, 3])
def test_too_few_sources_give_the_mean(n_source: int) -> None:
    responses = world(10, 30)
    items = np.array([3, 7, 9])
    found = estimates(responses[:n_source], responses[3:], items, RidgeRemainder())
    assert found == pytest.approx(responses[3:, items].mean(axis=1))


def test_both_signals_are_read_where_there_are_both() -> None:
    """Confidences that are the abilities themselves: the estimate reads them off, and the scores count as observed."""
    rng = np.random.default_rng(5)
    scores = world(80, 100, seed=5)
    level = scores.mean(axis=1, keepdims=True)
    both = np.stack([scores, np.broadcast_to(level, scores.shape).astype(np.float32)], axis=2)
    items = rng.permutation(100)[:5]
    seen = seen_items(both[:60])
    estimator = RidgeRemainder()
    read = estimator.readout(Selection(items), seen, estimator.fit(seen, RNG))
    assert read.coefficients.shape == (5, 2)
    found = read.estimate(both[60:, items].astype(np.float64))
    alone = estimates(scores[:60], scores[60:], items, RidgeRemainder())
    truth = scores[60:].mean(axis=1)
    assert np.abs(found - truth).mean() < 0.3 * np.abs(alone - truth).mean()


def test_missing_responses_are_filled_and_models_without_any_have_no_estimate() -> None:
    responses = world(40, 50)
    responses[:3, 5] = NAN
    responses[0] = NAN
    targets = responses[30:].copy()
    targets[0, 7] = NAN
    targets[1] = NAN
    items = np.array([5, 7, 20])
    found = estimates(responses[:30], targets, items, RidgeRemainder())
    assert np.isnan(found).tolist() == [False, True] + [False] * 8
    assert 0 < found[0] < 1


def test_items_that_all_answer_alike_and_graded_scores() -> None:
    graded = np.round(np.random.default_rng(0).random((30, 20)) * 2).astype(np.float32) / 2
    graded[:, :4] = 1.0
    assert np.isfinite(estimates(graded[:20], graded[20:], np.arange(4), RidgeRemainder())).all()
    assert estimates(graded[:20], graded[20:], np.arange(20), RidgeRemainder()) == pytest.approx(graded[20:].mean(axis=1))


def test_other_signals_are_refused() -> None:
    with refuses(ConfigError, "ridge_remainder: unknown signal", got="confidence", hint="both"):
        RidgeRemainder("confidence")
    with refuses(ConfigError, "ridge: unknown signal", got="answers", hint="both"):
        Ridge("answers")
