"""Augmented inverse probability weighting: what is unbiased is, over all samples; and intervals hold the truth."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.aipw import CANDIDATE_PENALTIES, Aipw
from microbench_ray.methods.selectors.random import Random
from tests.helpers.errors import refuses

GAP = np.nan


def drawn(n_models: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    slopes, difficulty = rng.uniform(0.3, 2.5, n_items), rng.normal(0, 1, n_items)
    chance = 1 / (1 + np.exp(difficulty - slopes * rng.normal(0, 1, (n_models, 1))))
    return (rng.random((n_models, n_items)) < chance).astype(np.float64)


def seen_of(sources: np.ndarray) -> SeenItems:
    n_items = sources.shape[1]
    return SeenItems(np.arange(n_items).astype(str).astype(object), np.zeros(n_items, np.int32), sources.astype(np.float32))


class Asked:
    """An estimator that has read these source models."""

    def __init__(self, sources: np.ndarray, folds: int = 5) -> None:
        self.estimator, self.seen = Aipw(folds), seen_of(sources)
        self.fit = self.estimator.fit(self.seen, np.random.default_rng(0))

    def estimate(self, targets: np.ndarray, selection: Selection) -> np.ndarray:
        return self.estimator.estimate(targets[:, selection.items], selection, self.seen, self.fit)

    def errors(self, targets: np.ndarray, selection: Selection) -> np.ndarray:
        return self.estimator.standard_errors(targets[:, selection.items], selection, self.seen, self.fit)


@pytest.mark.parametrize("n_source", [8, 3, 1])
@pytest.mark.parametrize(("size", "folds"), [(1, 2), (2, 2), (3, 2), (3, 5), (4, 3)])
def test_over_all_samples_the_mean_estimate_is_the_accuracy(n_source: int, size: int, folds: int) -> None:
    sources = drawn(n_source, 6)
    # Targets that no source resembles, graded ones among them, and one beyond the range of scores.
    targets = np.array([[0, 0, 0, 1, 1, 1], [1, 0, 0.25, 0.5, 0, 1], [1] * 6, [0] * 6, [7, -3, 0, 0, 2, 5]], float)
    asked = Asked(sources, folds)
    found = [asked.estimate(targets, Selection(np.array(order))) for order in permutations(range(6), size)]
    assert np.mean(found, axis=0) == pytest.approx(targets.mean(axis=1), abs=1e-12)
    # Not because there is nothing to correct: the estimates are not the means.
    means = [targets[:, list(order)].mean(axis=1) for order in permutations(range(6), size)]
    assert np.abs(np.array(found) - np.array(means)).max() > 0.01


def test_all_items_give_the_accuracy_itself_without_an_error() -> None:
    targets, asked = drawn(5, 30, seed=1), Asked(drawn(20, 30))
    selection = Selection(np.random.default_rng(0).permutation(30))
    assert asked.estimate(targets, selection) == pytest.approx(targets.mean(axis=1), abs=1e-12)
    assert asked.errors(targets, selection).tolist() == [0] * 5


def solved(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """The slopes of the ridge regressions of the columns of y on x, both centred."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)


def penalty_of(x: np.ndarray, y: np.ndarray) -> float:
    """The one with the least variance over the columns of y of what is missed on a left-out model, by leaving each out."""
    centred = x - x.mean(axis=0)
    scale = np.linalg.eigvalsh(centred @ centred.T).mean()
    errors = []
    for penalty in scale * CANDIDATE_PENALTIES:
        missed = []
        for k in range(len(x)):
            others = np.arange(len(x)) != k
            slopes = solved(x[others], y[others], penalty)
            missed.append(y[k] - y[others].mean(axis=0) - (x[k] - x[others].mean(axis=0)) @ slopes)
        errors.append(np.var(missed, axis=1).sum())
    return scale * CANDIDATE_PENALTIES[int(np.argmin(errors))]


def predictions(sources: np.ndarray, row: np.ndarray, items: np.ndarray, folds: int) -> Any:
    """Per fold: its items, the other folds' items, and the prediction of every item from the responses to these."""
    for k in range(folds):
        own, others = items[k::folds], items[np.arange(len(items)) % folds != k]
        rest = np.setdiff1d(np.arange(sources.shape[1]), others)
        slopes = solved(sources[:, others], sources, penalty_of(sources[:, others], sources[:, rest]))
        yield own, others, sources.mean(axis=0) + (row[others] - sources[:, others].mean(axis=0)) @ slopes


def test_it_is_prediction_plus_correction() -> None:
    sources, targets = drawn(12, 30), drawn(3, 30, seed=2)
    items = np.random.default_rng(3).permutation(30)[:10]
    expected = []
    for row in targets:
        estimate = 0.0
        for own, others, predicted in predictions(sources, row, items, 4):
            rest = np.setdiff1d(np.arange(30), others)
            corrected = row[others].sum() + predicted[rest].sum() + len(rest) * (row[own] - predicted[own]).mean()
            estimate += len(own) / 10 * corrected / 30
        expected.append(estimate)
    assert Asked(sources, 4).estimate(targets, Selection(items)) == pytest.approx(expected, abs=1e-9)


def test_errors_are_those_of_the_residuals_of_the_folds_predictions() -> None:
    sources, target = drawn(12, 30), drawn(1, 30, seed=2)
    items = np.random.default_rng(3).permutation(30)[:10]
    missed = np.concatenate([target[0, own] - predicted[own] for own, _, predicted in predictions(sources, target[0], items, 2)])
    expected = np.sqrt((1 - 10 / 30) * missed.var(ddof=1) / 10)
    assert Asked(sources, 2).errors(target, Selection(items)) == pytest.approx([expected])


@pytest.mark.slow
def test_it_is_nearer_than_the_mean_and_its_intervals_hold_the_accuracy() -> None:
    board = drawn(100, 200, seed=4)
    sources, targets = board[:60], board[60:]
    truth, asked = targets.mean(axis=1), Asked(sources)
    inside, errors, plain = [], [], []
    with threadpool_limits(1):
        for seed in range(60):
            selection = Random().select(asked.seen, None, 40, np.random.default_rng(seed))
            found = asked.estimate(targets, selection)
            inside.append(np.abs(found - truth) <= 1.96 * asked.errors(targets, selection))
            errors.append(found - truth)
            plain.append(targets[:, selection.items].mean(axis=1) - truth)
    assert np.square(errors).mean() < 0.9 * np.square(plain).mean()
    # The targets of a draw share its items: they are fewer than 2,400 independent intervals.
    assert 0.92 <= np.mean(inside) <= 0.98


def test_weights_count_as_shares_and_an_item_without_weight_predicts_alone() -> None:
    # One source model: the difference is its own, a constant.
    asked = Asked(np.array([[1.0, 0, 0, 1, 1, 0]]), 2)
    selection = Selection(np.array([0, 1, 2]), np.array([0.3, 0.5, 0.2]))
    targets = np.array([[1.0, 1, 0, 0, 0, 0]])
    # Folds: items 0 and 2 with weights .6 and .4, share .5; item 1, share .5.
    # First: of 6 items 1 is known, 5 left: mean .6 of 0 2 3 4 5 less .6 × 1. Target: (1 + 5 (.6 + 0)) / 6.
    # Second: 2 are known, 4 left: mean .5 of 1 3 4 5 less 0. Target: (1 + 4 (1 + .5)) / 6.
    assert asked.estimate(targets, selection) == pytest.approx([(0.5 * (1 + 5 * 0.6) + 0.5 * (1 + 4 * 1.5)) / 6])
    none = Selection(np.array([0, 1, 2]), np.array([0.5, 0, 0.5]))
    assert asked.estimate(targets, none) == pytest.approx([(1 + 5 * (0.5 + 0.6 - 0.5)) / 6])


def test_missing_responses_are_filled_and_their_number_counts() -> None:
    sources = drawn(30, 50)
    sources[np.random.default_rng(0).random(sources.shape) < 0.2] = GAP
    targets = drawn(3, 50, seed=5)
    targets[0, ::2], targets[1, 1:] = GAP, GAP
    asked, selection = Asked(sources), Selection(np.arange(20))
    found, errors = asked.estimate(targets, selection), asked.errors(targets, selection)
    assert np.isfinite(found).all()
    assert np.isnan(errors).tolist() == [False, True, False]
    assert errors[0] > errors[2]


def test_without_any_source_model_it_is_the_mean() -> None:
    asked, targets = Asked(np.full((2, 6), GAP)), np.array([[1, 0, 1, 1, 0, 0.5]])
    assert asked.estimate(targets, Selection(np.arange(4))) == pytest.approx([0.75])
    assert asked.errors(targets, Selection(np.arange(4))) == pytest.approx([np.sqrt((1 - 4 / 6) * 0.25 / 4)])


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 6))
def test_it_is_affine_and_moves_with_all_responses(seed: int, size: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    sources, targets = rng.random((6, 12)), rng.random((2, 12))
    asked, selection = Asked(sources, folds), Selection(rng.permutation(12)[:size])
    one, other = asked.estimate(targets, selection)
    both = asked.estimate(targets.mean(axis=0, keepdims=True), selection)
    assert both == pytest.approx([(one + other) / 2])


@pytest.mark.parametrize(
    ("parameters", "word", "got"), [({"folds": 1}, "aipw: folds", "1"), ({"signal": "answers"}, "aipw: unknown signal", "answers")]
)
def test_invalid_parameters_are_refused(parameters: dict[str, Any], word: str, got: str) -> None:
    with refuses(ConfigError, word, got=got):
        Aipw(**parameters)
