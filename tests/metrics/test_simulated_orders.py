"""All pairs ordered by the same drawn items: against enumeration, and where the normal approximation is off."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from microbench_ray.metrics import closed_form as cf
from microbench_ray.metrics.counts import N_BINS
from microbench_ray.metrics.order_simulation import SimulatedOrders
from microbench_ray.metrics.pair_moments import pair_moments

MISSING = 255


def enumerated(scores: np.ndarray, size: int, missing: int | None) -> np.ndarray:
    """(n_models, n_models) share of all samples in which the first model has the higher mean."""
    n_models, n_items = scores.shape
    above = np.zeros((n_models, n_models))
    samples = list(combinations(range(n_items), size))
    for sample in samples:
        part = scores[:, sample].astype(float)
        if missing is not None:
            part[part == missing] = np.nan
        means = [np.nanmean(row) if not np.isnan(row).all() else np.nan for row in part]
        above += np.greater.outer(np.round(means, 9), np.round(means, 9))
    return above / len(samples)


@pytest.mark.parametrize("missing", [None, MISSING])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_shares_are_those_of_all_samples(missing: int | None, size: int) -> None:
    rng = np.random.default_rng(size)
    scores = rng.integers(0, 4, (5, 8)).astype(np.uint8)
    if missing is not None:
        scores[rng.random(scores.shape) < 0.3] = missing
    simulated = SimulatedOrders(scores, missing, np.random.default_rng(0))
    assert simulated.probabilities(size) == pytest.approx(enumerated(scores, size, missing), abs=0.025)


def test_a_larger_sample_holds_the_smaller_one() -> None:
    scores = np.random.default_rng(1).integers(0, 11, (6, 60))
    simulated = SimulatedOrders(scores, None, np.random.default_rng(0))
    steps = [simulated.probabilities(size) for size in range(20, 40)]
    changes = [np.abs(one - other).max() for one, other in zip(steps[1:], steps, strict=False)]
    assert max(changes) < 0.08
    assert simulated.probabilities(30) is simulated.probabilities(30)


def test_heavy_tails_are_ordered_as_drawn_items_order_them() -> None:
    rng = np.random.default_rng(2)
    # Grades of a judge: mostly near 0, some near 100, and models that differ in how often.
    often = rng.uniform(0.05, 0.2, 24)
    scores = np.where(rng.random((24, 400)) < often[:, None], rng.integers(80, 101, (24, 400)), rng.integers(0, 4, (24, 400)))
    pairs = pair_moments(scores, None, 100)
    simulated = replace(pairs, simulated=SimulatedOrders(scores, None, np.random.default_rng(0)))
    draws = np.array([rng.choice(400, 10, replace=False) for _ in range(4000)])
    means = scores[:, draws].sum(axis=2)
    right = (means[pairs.higher] > means[pairs.lower]).mean(axis=1)
    assert np.abs(cf.order_probabilities(simulated, 10).right - right).max() < 0.035
    by_bin, drawn = cf.expected_counts(simulated, 10), np.bincount(pairs.bins, right, minlength=N_BINS)
    many = by_bin.n_pairs >= 5
    assert np.abs(by_bin.n_agree - drawn)[many].max() / by_bin.n_pairs[many].max() < 0.01
    assert (
        np.abs(cf.order_probabilities(pairs, 10).right - right).mean()
        > 2 * np.abs(cf.order_probabilities(simulated, 10).right - right).mean()
    )


def test_large_samples_and_all_items_need_no_simulation() -> None:
    scores = np.random.default_rng(3).integers(0, 3, (4, 1000))
    pairs = pair_moments(scores, None, 2)
    simulated = replace(pairs, simulated=SimulatedOrders(scores, None, np.random.default_rng(0)))
    for size in (500, 1000):
        for one, other in zip(cf.order_probabilities(simulated, size), cf.order_probabilities(pairs, size), strict=True):
            assert np.array_equal(one, other)
