"""Paired differences against their definition, at thresholds that are never reached, and narrower than unpaired ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from microbench_ray.metrics import (
    PairCounts,
    TiePolicy,
    bootstrap_crossings,
    mdad,
    mean_agreement,
    paired_differences,
    paired_run_weights,
)
from microbench_ray.metrics.paired import MIN_RUNS
from microbench_ray.metrics.ties import doubled

N_RESAMPLES = 60


def drawn(rng: np.random.Generator, chances: np.ndarray, n_pairs: np.ndarray) -> PairCounts:
    """Counts of (n_runs, n_bins) with `n_pairs` pairs, each agreeing with the chance of its run and bin."""
    agree = rng.binomial(n_pairs, np.clip(chances, 0, 1))
    tied = rng.binomial(n_pairs - agree, 0.3)
    nothing = np.zeros_like(agree)
    true_tied = rng.integers(0, 3, len(agree))
    return PairCounts(n_pairs, agree, tied, rng.binomial(tied, 0.5), true_tied, np.minimum(true_tied, nothing[:, 0] + 1))


def by_definition(counts: PairCounts, runs: np.ndarray, threshold: float, policy: TiePolicy) -> tuple[float, float, float]:
    """MDAD, monotone MDAD and mean agreement of some runs, with repeated runs counted repeatedly."""
    found = mdad(counts[runs], threshold, tie_policy=policy, n_resamples=1)
    reached = [math.inf if math.isnan(value) else value for value in (found.mdad, found.mdad_monotone)]
    return reached[0], reached[1], mean_agreement(counts[runs], policy)


def bounds(values: np.ndarray, level: float) -> tuple[float, float]:
    """Order statistics, with undefined values at the outer end of either bound."""
    low, high = (np.sort(np.where(np.isnan(values), stand_in, values)) for stand_in in (-np.inf, np.inf))
    n = values.size
    return low[max(0, math.ceil(n * (1 - level) / 2 - 1e-9) - 1)], high[max(0, math.ceil(n * (1 + level) / 2 - 1e-9) - 1)]


def student(one: PairCounts, other: PairCounts, policy: TiePolicy, level: float) -> tuple[float, float]:
    """Student's interval of the difference, by the derivative of each mean agreement with respect to a run's weight."""
    runs = np.arange(len(one.n_pairs))
    with np.errstate(invalid="ignore"):
        value = mean_agreement(one, policy) - mean_agreement(other, policy)
        if math.isnan(value):
            return -math.inf, math.inf
        often = 10**5  # a run counted this much more often than the others changes the mean by its derivative
        derivatives = []
        for run in runs:
            changes = []
            for counts in (one, other):
                agree, pairs = doubled(counts, policy)
                weights = np.where(runs == run, often + 1, often)
                before, after = (agree.sum() / pairs.sum(), (weights @ agree.sum(axis=1)) / (weights @ pairs.sum(axis=1)))
                changes.append((after - before) * often * len(runs))
            derivatives.append(changes[0] - changes[1])
    error = np.std(derivatives, ddof=1) / math.sqrt(len(runs))
    half_width = stats.t.ppf((1 + level) / 2, len(runs) - 1) * error
    return value - half_width, value + half_width


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 4)  # each is seconds of resampling one by one
@given(
    seed=st.integers(0, 2**32 - 1),
    n_runs=st.sampled_from([2, 3, 7, 9, 10, 13]),
    n_bins=st.integers(1, 12),
    policy=st.sampled_from(["wrong", "half", "drop", "paper"]),
    threshold=st.sampled_from([0.6, 0.8, 1.0]),
)
def test_differences_are_those_of_the_definition(seed: int, n_runs: int, n_bins: int, policy: TiePolicy, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    n_pairs = rng.integers(0, 6, (n_runs, n_bins))
    rising = np.linspace(0.4, 1, n_bins)
    one, other = (drawn(rng, rising + rng.normal(0, 0.2, (n_runs, 1)), n_pairs) for _ in range(2))
    weights = paired_run_weights(n_runs, N_RESAMPLES, np.random.default_rng(seed))
    assert (weights[0] == 1).all()
    assert (weights.sum(axis=1) == n_runs).all()
    ours, theirs = (bootstrap_crossings(each, [threshold], weights, policy) for each in (one, other))
    (found,) = paired_differences(ours, theirs, weights, level=0.9)
    with np.errstate(invalid="ignore"):
        expected = np.array(
            [
                np.subtract(by_definition(one, runs, threshold, policy), by_definition(other, runs, threshold, policy))
                for runs in (np.repeat(np.arange(n_runs), row.astype(int)) for row in weights)
            ]
        )
    for name, difference, values in zip(found._fields, found, expected.T, strict=True):
        assert difference.value == pytest.approx(values[0], abs=1e-12, nan_ok=True)
        if name == "mean_agreement":
            interval = student(one, other, policy, 0.9)
        else:
            interval = bounds(values[1:], 0.9) if n_runs >= MIN_RUNS else (math.nan, math.nan)
        assert (difference.ci_lo, difference.ci_hi) == pytest.approx(interval, abs=1e-4, nan_ok=True)


def constant(n_agree: int) -> PairCounts:
    """Ten runs of ten pairs in bin 2."""
    pairs = np.zeros((10, 3), np.int64)
    pairs[:, 2] = 10
    nothing, none = np.zeros_like(pairs), np.zeros(10, np.int64)
    return PairCounts(pairs, np.where(pairs > 0, n_agree, 0), nothing, nothing, none, none)


@pytest.mark.parametrize(
    ("method", "baseline", "value", "low", "high"),
    [
        (9, 9, 0.0, 0.0, 0.0),
        (5, 9, math.inf, math.inf, math.inf),
        (9, 5, -math.inf, -math.inf, -math.inf),
        (5, 5, math.nan, -math.inf, math.inf),
    ],
)
def test_a_threshold_never_reached_is_an_infinite_difference(method: int, baseline: int, value: Any, low: Any, high: Any) -> None:
    weights = paired_run_weights(10, 100, np.random.default_rng(0))
    (found,) = paired_differences(
        bootstrap_crossings(constant(method), [0.8], weights), bootstrap_crossings(constant(baseline), [0.8], weights), weights
    )
    for difference in (found.mdad, found.mdad_monotone):
        assert difference == pytest.approx((value, low, high), nan_ok=True)
    assert found.mean_agreement == pytest.approx(3 * ((method - baseline) / 10,))


def test_a_single_run_has_differences_without_an_interval() -> None:
    weights = paired_run_weights(1, 100, np.random.default_rng(0))
    (found,) = paired_differences(
        bootstrap_crossings(constant(9)[:1], [0.8], weights), bootstrap_crossings(constant(8)[:1], [0.8], weights), weights
    )
    for difference, value in zip(found, (0, 0, 0.1), strict=True):
        assert difference == pytest.approx((value, math.nan, math.nan), nan_ok=True)


def test_sharing_runs_narrows_the_interval() -> None:
    """Two methods that agree more in the same runs: their difference varies less than that of independent resamples."""
    rng = np.random.default_rng(5)
    shared = rng.normal(0, 0.08, (40, 1))
    n_pairs = np.full((40, 30), 40)
    rising = np.linspace(0.55, 1, 30)
    one, other = (drawn(rng, rising + shared + shift, n_pairs) for shift in (0.0, 0.02))
    together, apart = (paired_run_weights(40, 1000, np.random.default_rng(seed)) for seed in (1, 2))
    ours = paired_differences(bootstrap_crossings(one, [0.8], together), bootstrap_crossings(other, [0.8], together), together)[0]
    a, b = bootstrap_crossings(one, [0.8], together), bootstrap_crossings(other, [0.8], apart)
    shares = [(w @ each.agree) / (w @ each.pairs) for each, w in ((a, together), (b, apart))]
    independent = np.quantile((shares[0] - shares[1])[1:], [0.025, 0.975])
    assert ours.mean_agreement.ci_hi - ours.mean_agreement.ci_lo < 0.5 * (independent[1] - independent[0])
    # The shift of .02 shows in the paired interval alone.
    assert ours.mean_agreement.ci_hi < 0 < independent[1]
    crossings = a.monotone[0].astype(float) - b.monotone[0].astype(float)
    low, high = np.quantile(crossings[1:] / 200, [0.025, 0.975])
    assert ours.mdad_monotone.ci_hi - ours.mdad_monotone.ci_lo < 0.7 * (high - low)


@pytest.mark.parametrize("n_runs", [2, 10, *(pytest.param(each, marks=pytest.mark.slow) for each in (3, 5, 9, 20))])
def test_chance_is_seldom_called_a_win(n_runs: int) -> None:
    """Two methods that agree equally often: an interval excludes 0 in about 5 % of comparisons at most, at any number of runs."""
    rng = np.random.default_rng(n_runs)
    n, wins = 300, np.zeros(3)
    n_pairs = np.full((n_runs, 30), 4)
    for _ in range(n):
        shared = np.linspace(0.55, 1, 30) + rng.normal(0, 0.05, (n_runs, 1))
        weights = paired_run_weights(n_runs, 200, rng)
        ours, theirs = (
            bootstrap_crossings(drawn(rng, shared + rng.normal(0, 0.03, (n_runs, 1)), n_pairs), [0.8], weights) for _ in range(2)
        )
        (found,) = paired_differences(ours, theirs, weights)
        wins += [each.ci_lo > 0 or each.ci_hi < 0 for each in found]
        assert all(math.isnan(each.ci_lo) for each in found[:2]) == (n_runs < MIN_RUNS)
    # 5 % of 300 is 15, and more than 27 have a probability of .002.
    assert wins.max() <= 27
