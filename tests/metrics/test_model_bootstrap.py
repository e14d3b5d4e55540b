"""The bootstrap over models against a loop over the drawn models."""

from __future__ import annotations

import math

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import bootstrap_models, count_pairs, pairs, true_pairs

RIGHT = np.array([3, 5, 5, 8, 0, 2, 8, 6])
ANSWERED = np.array([10, 10, 8, 9, 0, 10, 9, 10])
ESTIMATES = np.array([0.3, 0.5, 0.5 + 2e-13, 0.2, 0.9, math.nan, 0.7, 0.5])


@pytest.mark.parametrize("per_block", [1, 6, 1 << 17])
def test_resamples_are_those_of_a_loop(monkeypatch, per_block):
    monkeypatch.setattr(pairs, "PAIRS_PER_BLOCK", per_block)
    resampled = bootstrap_models(RIGHT, ANSWERED, 1, ESTIMATES, 20, np.random.default_rng(4))
    present = np.flatnonzero(ANSWERED)
    drawn = present[np.random.default_rng(4).integers(0, present.size, (20, present.size))]
    for resample, models in enumerate(drawn):
        # Sorted, so that "i before j" is as in the stored order; a model and its copy make no pair.
        models = np.sort(models)
        expected = count_pairs(true_pairs([], []), [])
        for j in range(models.size):
            for i in range(j):
                pair = models[[i, j]]
                if pair[0] != pair[1]:
                    expected += count_pairs(true_pairs(RIGHT[pair], ANSWERED[pair]), ESTIMATES[pair])
        assert resampled[resample].equals(expected)


def test_no_pairs():
    resampled = bootstrap_models([1, 0], [4, 0], 1, [0.5, 0.5], 3, np.random.default_rng(0))
    assert resampled.n_pairs.shape == (3, 201)
    assert resampled.n_pairs.sum() == resampled.n_true_tied.sum() == 0
    with pytest.raises(ConfigError, match="at least one resample"):
        bootstrap_models([1, 0], [4, 4], 1, [0.5, 0.5], 0, np.random.default_rng(0))
