"""Accuracy by ability alone."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.irt import IrtAbility, PIrt
from microbench_ray.methods.kernels.irt import IrtFit, abilities, sigmoid
from tests.helpers.errors import refuses

GAP = np.nan
FIT = IrtFit(
    np.array([[1.0], [2.0], [0.5], [1.5]]),
    np.array([0.0, 1.0, -1.0, 0.5]),
    np.zeros((1, 1)),
    np.zeros(2),
    np.eye(2),
    0.0,
    0.0,
    1,
    True,
)
SEEN = SeenItems(np.arange(4).astype(str).astype(object), np.zeros(4, np.int32), np.zeros((1, 4), np.float32))


def test_it_is_the_mean_probability_at_the_targets_ability() -> None:
    responses = np.array([[1.0, 0.0], [0.5, GAP], [GAP, GAP]])
    items = np.array([1, 3])
    found = IrtAbility(1).estimate(responses, Selection(items), SEEN, FIT)
    for row in range(2):
        (theta,) = abilities(FIT, responses[row : row + 1], items)[0]
        # Where the log posterior is flat: slope × (response − probability), summed, is the ability.
        there = ~np.isnan(responses[row])
        slopes, difficulty = FIT.discrimination[items[there], 0], FIT.difficulty[items[there]]
        slope = float(slopes @ (responses[row, there] - sigmoid(slopes * theta - difficulty)))
        assert slope == pytest.approx(theta, abs=1e-6)
        assert found[row] == pytest.approx(sigmoid(FIT.discrimination[:, 0] * theta - FIT.difficulty).mean())
    assert np.isnan(found[2])


def test_responses_do_not_stand_for_themselves() -> None:
    # p-IRT counts the three right answers as they are; by ability alone no accuracy is 1.
    responses, all_items = np.ones((1, 4)), Selection(np.arange(4))
    assert PIrt(1).estimate(responses, all_items, SEEN, FIT) == pytest.approx([1])
    assert IrtAbility(1).estimate(responses, all_items, SEEN, FIT)[0] < 0.9


def test_invalid_dims_are_refused() -> None:
    with refuses(ConfigError, "irt_ability: dims", got="0"):
        IrtAbility(0)
