"""The bootstrap over models against a loop over the drawn models."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import bootstrap_models, count_pairs, pairs, true_pairs
from tests.helpers.errors import refuses

RIGHT = np.array([3, 5, 5, 8, 0, 2, 8, 6])
ANSWERED = np.array([10, 10, 8, 9, 0, 10, 9, 10])
ESTIMATES = np.array([0.3, 0.5, 0.5 + 2e-13, 0.2, 0.9, math.nan, 0.7, 0.5])


@pytest.mark.parametrize("per_block", [1, 6, 1 << 17])
def test_resamples_are_those_of_a_loop(monkeypatch: pytest.MonkeyPatch, per_block: Any) -> None:
    monkeypatch.setattr(pairs, "PAIRS_PER_BLOCK", per_block)
    resampled = bootstrap_models(RIGHT, ANSWERED, 1, ESTIMATES, 20, np.random.default_rng(4))
    answering = np.flatnonzero(ANSWERED)
    drawn = answering[np.random.default_rng(4).integers(0, answering.size, (20, answering.size))]
    for resample, models in enumerate(drawn):
        # Sorted, so that i comes before j as in the stored order; a model and its copy form no pair.
        models = np.sort(models)
        expected = count_pairs(true_pairs([], []), [])
        for j in range(models.size):
            for i in range(j):
                pair = models[[i, j]]
                if pair[0] != pair[1]:
                    expected += count_pairs(true_pairs(RIGHT[pair], ANSWERED[pair]), ESTIMATES[pair])
        assert resampled[resample].equals(expected)


def test_no_pairs() -> None:
    resampled = bootstrap_models([1, 0], [4, 0], 1, [0.5, 0.5], 3, np.random.default_rng(0))
    assert resampled.n_pairs.shape == (3, 201)
    assert resampled.n_pairs.sum() == resampled.n_true_tied.sum() == 0
    with refuses(ConfigError, "resample", where="n_resamples", got="0"):
        bootstrap_models([1, 0], [4, 4], 1, [0.5, 0.5], 0, np.random.default_rng(0))
