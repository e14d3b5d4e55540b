"""The error rates of sequential tests, by a small run of the study."""

from __future__ import annotations

import numpy as np
import pytest

from studies.sequential_errors import drawn_models, lists, predicted_rates, rates, streams_of, wrong_best

ALPHA, STREAMS = 0.05, 1500
LIMIT = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / STREAMS)


def test_ties_and_lists_in_which_everything_is_known_are_never_wrong() -> None:
    rng = np.random.default_rng(0)
    assert rates(streams_of(np.zeros(50), 20, rng), ALPHA) == (0, 0, 0)


@pytest.mark.slow
def test_no_share_is_above_alpha() -> None:
    rng = np.random.default_rng(0)
    for values in lists(120, rng).values():
        found = rates(streams_of(values, STREAMS, rng), ALPHA)
        assert max(found) <= LIMIT
    assert max(rates(streams_of(lists(120, rng)["a/a"], STREAMS, rng), ALPHA)) > 0.02  # not for want of sharpness


@pytest.mark.slow
def test_predictions_and_races() -> None:
    rng = np.random.default_rng(1)
    scores = (rng.random((40, 120)) < rng.random(120)).astype(float)
    assert max(predicted_rates(scores, STREAMS, ALPHA, rng)) <= LIMIT
    assert wrong_best(drawn_models(3, 60, 1, rng), ALPHA, 0.0, STREAMS, rng) <= LIMIT
    assert wrong_best(drawn_models(3, 60, 6, rng), ALPHA, 0.1, STREAMS, rng) <= LIMIT
