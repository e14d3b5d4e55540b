"""MDAD and its monotone form against oracles, exact thresholds, and the bootstrap against a loop."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from microbench_ray.core.errors import ConfigError
from microbench_ray.metrics import Mdad, PairCounts, TiePolicy, mdad, mdads, share_reliable
from microbench_ray.metrics.mdad import crossings, prefix_sums, threshold_fraction
from tests.helpers.errors import refuses


def counts_of(n_pairs: Any, n_agree: Any, n_tied: Any = None) -> PairCounts:
    pairs = np.asarray(n_pairs, np.int64)
    tied = np.zeros_like(pairs) if n_tied is None else np.asarray(n_tied, np.int64)
    lead = np.zeros(pairs.shape[:-1], np.int64)
    return PairCounts(pairs, np.asarray(n_agree, np.int64), tied, np.zeros_like(pairs), lead, lead)


def first_crossing(agree: np.ndarray, pairs: np.ndarray, threshold: Fraction) -> int:
    """The definition: the first bin that holds pairs and whose agreement reaches the threshold; n_bins if none."""
    for bin_, (k, n) in enumerate(zip(agree, pairs, strict=True)):
        if n and Fraction(int(k), int(n)) >= threshold:
            return bin_
    return len(pairs)


def monotone_crossing(agree: np.ndarray, pairs: np.ndarray, threshold: Fraction) -> int:
    """The same of the increasing fit, by pooling adjacent violators in exact fractions."""
    blocks: list[tuple[Fraction, int, int]] = []  # mean, pairs, first bin
    for bin_, (k, n) in enumerate(zip(agree, pairs, strict=True)):
        if n:
            block = Fraction(int(k), int(n)), int(n), bin_
            while blocks and blocks[-1][0] > block[0]:
                mean, weight, start = blocks.pop()
                total = weight + block[1]
                block = (mean * weight + block[0] * block[1]) / total, total, start
            blocks.append(block)
    return next((start for mean, _, start in blocks if mean >= threshold), len(pairs))


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 10))
    pairs = draw(st.lists(st.sampled_from([0, 0, 1, 2, 5, 10, 40]), min_size=n, max_size=n))
    return np.array([draw(st.integers(0, size)) for size in pairs], np.int64), np.array(pairs, np.int64)


@given(curves(), st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]))
def test_crossings_are_those_of_the_definition_and_of_pooled_violators(
    curve: tuple[np.ndarray, np.ndarray], threshold: float
) -> None:
    agree, pairs = curve
    ratio = Fraction(str(threshold))
    got = crossings(prefix_sums(2 * agree[None], 2 * pairs[None], ratio))
    assert got.first[0] == first_crossing(agree, pairs, ratio)
    assert got.monotone[0] == monotone_crossing(agree, pairs, ratio)


@given(curves(), st.floats(0.05, 0.95))
def test_monotone_mdad_is_that_of_sklearns_isotonic_fit(curve: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    agree, pairs = curve
    held = np.flatnonzero(pairs)
    result = mdad(counts_of(pairs, agree), threshold, n_resamples=1)
    if held.size == 0:
        assert math.isnan(result.mdad_monotone)
        return
    fit = IsotonicRegression().fit_transform(held, agree[held] / pairs[held], sample_weight=pairs[held])
    if np.abs(fit - threshold).min() < 2e-4:  # a threshold is taken to four decimals
        return
    reached = held[fit >= threshold]
    np.testing.assert_equal(result.mdad_monotone, reached[0] / 200 if reached.size else math.nan)


def test_one_lucky_sparse_bin_fools_the_first_crossing_only() -> None:
    # Agreement .5, 1 (2 pairs), .5, .9, .95: the fit pools the first three bins.
    result = mdad(counts_of([100, 2, 100, 100, 100], [50, 2, 50, 90, 95]))
    assert (result.mdad, result.mdad_monotone) == (0.005, 0.015)


@pytest.mark.parametrize(("agree", "pairs", "threshold"), [(4, 5, 0.8), (7, 10, 0.7), (9, 10, 0.9), (2, 3, 2 / 3)])
def test_agreement_just_at_the_threshold_reaches_it(agree: int, pairs: int, threshold: Any) -> None:
    for scale in (1, 3, 7, 1001):
        at = mdad(counts_of([pairs * scale], [agree * scale]), threshold)
        below = mdad(counts_of([pairs * scale], [agree * scale - 1]), threshold)
        assert (at.mdad, at.mdad_monotone) == (0.0, 0.0)
        assert math.isnan(below.mdad)
        assert math.isnan(below.mdad_monotone)
    assert threshold_fraction(threshold) == Fraction(agree, pairs)


def test_half_ties_reach_a_threshold_exactly() -> None:
    # 7 agree and 2 are tied of 10: exactly .8 under half, .7 under wrong, .875 under drop.
    counts = counts_of([10], [7], [2])
    assert mdad(counts, 0.8, tie_policy="half").mdad == 0
    assert math.isnan(mdad(counts, 0.8, tie_policy="wrong").mdad)
    assert mdad(counts, 0.875, tie_policy="drop").mdad == 0


def test_never_reached_is_nan_and_unbounded() -> None:
    runs = counts_of([[10, 10]] * 5, [[5, 6]] * 5)
    result = mdad(runs)
    for value in (result.mdad, result.ci_lo, result.ci_hi, result.mdad_monotone, result.mdad_monotone_ci_hi):
        assert math.isnan(value)
    assert (result.reached_share, result.n_runs, result.threshold) == (0.0, 5, 0.8)
    assert share_reliable(runs, result.mdad_monotone) == 0
    # Empty bins, and no pairs at all.
    assert math.isnan(mdad(PairCounts.zeros((3,))).mdad)
    assert math.isnan(share_reliable(PairCounts.zeros((3,)), 0.1))


def test_an_interval_may_be_unbounded_above_only() -> None:
    # Half of the runs reach .8 in bin 1, in the others nothing does: resamples with many of those never reach it.
    runs = counts_of([[10, 10]] * 8, [[5, 10]] * 4 + [[5, 5]] * 4)
    result = mdad(runs, 0.75)
    assert (result.mdad, result.ci_lo) == (0.005, 0.005)
    assert math.isnan(result.ci_hi)
    assert 0.5 < result.reached_share < 0.8  # P(Binomial(8, 1/2) >= 4) = .637
    assert result.reached_share == pytest.approx(163 / 256, abs=0.06)


def random_runs(seed: int, n_runs: int = 12, n_bins: int = 15) -> PairCounts:
    rng = np.random.default_rng(seed)
    pairs = rng.poisson(np.linspace(12, 0.3, n_bins), (n_runs, n_bins))
    agree = rng.binomial(pairs, np.linspace(0.5, 1, n_bins))
    return counts_of(pairs, agree, rng.binomial(pairs - agree, 0.3))


@pytest.mark.parametrize("policy", ["wrong", "half", "drop"])
@pytest.mark.parametrize("seed", range(4))
def test_interval_by_runs_is_that_of_a_resampling_loop(seed: int, policy: TiePolicy) -> None:
    runs = random_runs(seed)
    n_runs, n_bins = runs.n_pairs.shape
    agree = 2 * runs.n_agree + (runs.n_tied if policy == "half" else 0)
    pairs = 2 * (runs.n_pairs - (runs.n_tied if policy == "drop" else 0))
    # The same runs, sorted in the same way, drawn by the same generator.
    order = np.argsort([row.tobytes() for row in prefix_sums(agree, pairs, Fraction(4, 5), n_runs)])
    drawn = np.random.default_rng(7).integers(0, n_runs, (300, n_runs))
    first, monotone = [], []
    for rows in drawn:
        sums = agree[order[rows]].sum(axis=0), pairs[order[rows]].sum(axis=0)
        first.append(first_crossing(*sums, Fraction(4, 5)))
        monotone.append(monotone_crossing(*sums, Fraction(4, 5)))
    first.sort()
    monotone.sort()
    expected = [value / 200 if value < n_bins else math.nan for value in (first[7], first[292])]
    expected += [value / 200 if value < n_bins else math.nan for value in (monotone[7], monotone[292])]
    got = mdad(runs, 0.8, tie_policy=policy, n_resamples=300, seed=7)
    # 2.5 % of 300 is 7.5: the 8th value; 97.5 % the 293rd.
    np.testing.assert_equal([got.ci_lo, got.ci_hi, got.mdad_monotone_ci_lo, got.mdad_monotone_ci_hi], expected)
    assert got.reached_share == np.mean(np.array(monotone) < n_bins)


@given(st.integers(0, 50), st.permutations(range(12)))
def test_order_of_runs_does_not_matter(seed: int, order: list[Any]) -> None:
    runs = random_runs(seed)
    for ci in ("runs", "pairs"):
        np.testing.assert_equal(vars(mdad(runs, ci=ci, n_resamples=100)), vars(mdad(runs[np.array(order)], ci=ci, n_resamples=100)))


def test_several_thresholds_give_what_each_gives_alone() -> None:
    runs = random_runs(3)
    for ci in ("runs", "pairs"):
        together = mdads(runs, [0.7, 0.8, 0.9], ci=ci, seed=5)
        for one in together:
            np.testing.assert_equal(vars(one), vars(mdad(runs, one.threshold, ci=ci, seed=5)))
    assert mdads(runs, []) == []


def test_interval_by_pairs_reads_the_bounds_of_the_agreement() -> None:
    # Binomial(100, .76): 97.5 % at 84, 2.5 % at 67. Binomial(100, .82): 89 and 74. Binomial(100, .9): 95 and 84.
    result = mdad(counts_of([100, 100, 100], [76, 82, 90]), ci="pairs")
    assert (result.ci_lo, result.mdad, result.ci_hi) == (0.0, 0.005, 0.01)


@pytest.mark.parametrize("policy", ["wrong", "half"])
def test_monotone_interval_by_pairs_is_what_resampling_pairs_gives(policy: TiePolicy) -> None:
    pairs, agree, tied = [60, 60, 60, 60], [40, 44, 47, 55], [6, 6, 6, 3]
    rng = np.random.default_rng(11)
    score = 0.5 if policy == "half" else 0.0
    sums = np.stack(
        [
            rng.choice(np.repeat([1, score, 0], [k, t, n - k - t]), (4000, n)).sum(axis=1)
            for n, k, t in zip(pairs, agree, tied, strict=True)
        ],
        axis=1,
    )
    monotone = crossings(
        prefix_sums((2 * sums).astype(np.int64), np.broadcast_to(2 * np.array(pairs), sums.shape), Fraction(4, 5))
    ).monotone
    got = mdad(counts_of(pairs, agree, tied), tie_policy=policy, ci="pairs", n_resamples=4000)
    expected = np.sort(monotone)[[99, 3899]]
    np.testing.assert_equal([got.mdad_monotone_ci_lo, got.mdad_monotone_ci_hi], [b / 200 if b < 4 else math.nan for b in expected])
    assert got.reached_share == pytest.approx(np.mean(monotone < 4), abs=0.03)


def test_one_run_takes_the_interval_by_pairs() -> None:
    one = random_runs(2)[:1]
    np.testing.assert_equal(vars(mdad(one)), vars(mdad(one, ci="pairs")))
    np.testing.assert_equal(vars(mdad(one[0])), vars(mdad(one, ci="pairs")))


def test_interval_by_models_takes_percentiles_of_the_resamples() -> None:
    counts = counts_of([10, 10, 10], [6, 8, 9])
    # 100 resamples: 3 reach .8 in bin 0, 90 in bin 1, 7 never.
    agree = [[8, 8, 8]] * 3 + [[5, 9, 9]] * 90 + [[5, 5, 5]] * 7
    result = mdad(counts, ci="models", resampled=counts_of([[10] * 3] * 100, agree))
    assert (result.ci_lo, result.mdad, result.mdad_monotone_ci_lo, result.reached_share) == (0.0, 0.005, 0.0, 0.93)
    assert math.isnan(result.ci_hi)
    assert mdad(counts, ci="models", level=0.8, resampled=counts_of([[10] * 3] * 100, agree)).ci_hi == 0.005


def test_share_reliable() -> None:
    counts = counts_of([[1, 2, 3], [1, 0, 3]], [[0] * 3] * 2)
    assert [share_reliable(counts, value) for value in (0.0, 0.005, 0.01, math.nan)] == [1, 0.8, 0.6, 0]
    # 0.145 · 200 is 28.999… in floats: still bin 29.
    far = counts_of([1] * 29 + [3], [0] * 30)
    assert share_reliable(far, 0.145) == 3 / 32


def test_large_counts_are_exact_or_refused() -> None:
    # 10⁹ pairs just at and just below the threshold.
    assert mdad(counts_of([10**9], [8 * 10**8]), ci="pairs").mdad == 0
    assert math.isnan(mdad(counts_of([10**9], [8 * 10**8 - 1]), ci="pairs").mdad)
    with refuses(ConfigError, "pairs", where="threshold", got="8001/10000", hint="fewer decimals"):
        mdad(counts_of([[10**12] * 200] * 50, [[0] * 200] * 50), 0.8001)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.1, 80, math.nan])
def test_thresholds_outside_0_to_1_are_refused(threshold: Any) -> None:
    with refuses(ConfigError, "threshold", where="threshold", got=str(threshold)):
        mdad(random_runs(0), threshold)


def test_bad_arguments_are_refused() -> None:
    with refuses(ConfigError, "resample", where="n_resamples", got="0"):
        mdad(random_runs(0), n_resamples=0)
    with refuses(ConfigError, "resampled", where="ci", got="models"):
        mdad(random_runs(0), ci="models")


def test_a_generator_is_drawn_from_and_global_state_is_not() -> None:
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    generator = np.random.default_rng(5)
    result = mdad(random_runs(1), seed=generator)
    assert isinstance(result, Mdad)
    np.testing.assert_equal(vars(result), vars(mdad(random_runs(1), seed=5)))
    assert generator.integers(0, 2**40) != np.random.default_rng(5).integers(0, 2**40)
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002
