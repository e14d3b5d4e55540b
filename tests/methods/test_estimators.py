"""Estimators by hand."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import ESTIMATORS, SeenItems, Selection
from microbench_ray.methods.estimators.means import HorvitzThompson, Mean, WeightedMean
from microbench_ray.methods.readout import weighted_mean
from tests.helpers.errors import refuses

GAP = np.nan


def estimate(estimator: Any, responses: Any, selection: Any) -> Any:
    """What an estimator says that knows nothing of source models."""
    size = responses.shape[1]
    seen = SeenItems(np.arange(size).astype(object), np.zeros(size, dtype=np.int32))
    return estimator.estimate(responses, selection, seen, estimator.fit(seen, np.random.default_rng(0)))


def test_the_mean_is_over_the_items_that_were_answered() -> None:
    responses = np.array([[1, 0, 1, 1], [1, GAP, GAP, 0], [GAP] * 4])
    estimates = estimate(Mean(), responses, Selection(np.arange(4), np.array([1.0, 2, 3, 4])))
    assert estimates == pytest.approx([0.75, 0.5, GAP], nan_ok=True)


def test_the_weighted_mean_scales_the_weights_of_what_was_answered() -> None:
    selection = Selection(np.arange(3), np.array([0.5, 0.25, 0.25]))
    responses = np.array([[1, 0, 1], [GAP, 1, 0], [0, GAP, 1], [1, GAP, GAP], [GAP] * 3])
    # .75; .25/.5; .25/.75; .5/.5.
    assert estimate(WeightedMean(), responses, selection) == pytest.approx([0.75, 0.5, 1 / 3, 1, GAP], nan_ok=True)
    assert estimate(WeightedMean(), responses, Selection(np.arange(3)))[:3] == pytest.approx([2 / 3, 0.5, 0.5])


def test_an_item_without_weight_says_nothing() -> None:
    responses = np.array([[1, 0.5], [GAP, 0.5], [1, GAP]])
    # Who answered only what has no weight has no estimate.
    assert weighted_mean(responses, np.array([0.0, 1.0])) == pytest.approx([0.5, 0.5, GAP], nan_ok=True)


def test_horvitz_thompson_is_unbiased_for_strata_sampled_unequally() -> None:
    # 2 of 3 items and 1 of 7: probabilities 2/3 and 1/7, weights 1 / (10 · 2/3) = .15 and 1 / (10 · 1/7) = .7. All 21 samples
    # are equally likely, and their estimates average to the truth.
    truth = np.random.default_rng(0).random((4, 10))
    weights = np.array([0.15, 0.15, 0.7])
    samples = [[*pair, one] for pair, one in product(combinations(range(3), 2), range(3, 10))]
    estimates = [estimate(HorvitzThompson(), truth[:, items], Selection(np.array(items), weights)) for items in samples]
    assert len(samples) == 21
    assert np.mean(estimates, axis=0) == pytest.approx(truth.mean(axis=1), abs=1e-14)


def test_horvitz_thompson_is_unbiased_where_weights_do_not_add_up_to_one() -> None:
    # Items 0 and 1 in three samples of four, 1 and 2 in the fourth: probabilities 3/4, 1, 1/4, weights 4/9, 1/3, 4/3.
    rng, truth = np.random.default_rng(5), np.array([[0.9, 0.2, 0.4], [0.0, 1.0, 1.0]])
    samples = {
        True: Selection(np.array([0, 1]), np.array([4 / 9, 1 / 3])),
        False: Selection(np.array([1, 2]), np.array([1 / 3, 4 / 3])),
    }
    of = {former: estimate(HorvitzThompson(), truth[:, chosen.items], chosen) for former, chosen in samples.items()}
    assert 0.75 * of[True] + 0.25 * of[False] == pytest.approx(truth.mean(axis=1), abs=1e-15)
    drawn = np.array([of[bool(former)] for former in rng.random(20_000) < 0.75])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - truth.mean(axis=1)) < 4 * error).all()


def test_horvitz_thompson_with_gaps_is_hajeks_ratio() -> None:
    weights = np.array([0.2, 0.3, 0.5, 0.25])
    # Answered weights .2 + .5 + .25 = .95, right ones .45; scaled to the total of all, 1.25.
    estimates = estimate(HorvitzThompson(), np.array([[1, GAP, 0, 1], [1, 0, 0, 1]]), Selection(np.arange(4), weights))
    assert estimates == pytest.approx([0.45 / 0.95 * 1.25, 0.45])


def test_horvitz_thompson_without_weights_is_the_mean() -> None:
    responses = np.array([[1, 0, 1, GAP], [1, 1, 1, 1]])
    assert estimate(HorvitzThompson(), responses, Selection(np.arange(4))) == pytest.approx([2 / 3, 1])


@pytest.mark.parametrize("name", ["horvitz_thompson", "mean", "weighted_mean"])
def test_signals_are_checked(name: str) -> None:
    assert ESTIMATORS[name](signal="confidence").signal == "confidence"
    with refuses(ConfigError, f"{name}: unknown signal", got="colour", hint="correctness, confidence"):
        ESTIMATORS[name](signal="colour")
