"""Tie policies by hand, the agreement curve and the forms of its intervals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.metrics import (
    INTERVAL_KINDS,
    TIE_POLICIES,
    PairCounts,
    TiePolicy,
    agreeing,
    agreement_curve,
    bootstrap_models,
    count_pairs,
    intervals,
    mean_agreement,
    true_pairs,
)
from tests.helpers.errors import refuses


def counts_of(
    n_pairs: Any, n_agree: Any, n_tied: Any = None, n_tied_agree: Any = None, true_tied: Any = 0, up: Any = 0
) -> PairCounts:
    pairs = np.asarray(n_pairs, np.int64)
    rest = [np.zeros_like(pairs) if a is None else np.asarray(a, np.int64) for a in (n_tied, n_tied_agree)]
    lead = [np.broadcast_to(np.int64(value), pairs.shape[:-1]) for value in (true_tied, up)]
    return PairCounts(pairs, np.asarray(n_agree, np.int64), *rest, *lead)


@st.composite
def runs_of_counts(draw: st.DrawFn, min_runs: int = 1) -> Any:
    """(n_runs, n_bins) counts as cells may hold them: sparse, all agreeing, empty."""
    shape = draw(st.integers(min_runs, 6)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    pairs = rng.integers(0, draw(st.sampled_from([2, 5, 60])), shape)
    agree = rng.binomial(pairs, draw(st.sampled_from([0.0, 0.5, 0.8, 1.0])))
    tied = rng.binomial(pairs - agree, 0.5)
    return counts_of(pairs, agree, tied, rng.binomial(tied, 0.5), true_tied=3, up=1)


HAND = counts_of([10, 4], [6, 2], [3, 1], [1, 1], true_tied=5, up=2)


@pytest.mark.parametrize(
    ("policy", "agree", "pairs"),
    [
        ("wrong", [6, 2], [10, 4]),
        ("half", [7.5, 2.5], [10, 4]),
        ("drop", [6, 2], [7, 3]),
        # 6 and the 1 ordered below the tolerance, and 2 of the 5 true ties in bin 0; 2 and 1 in bin 1.
        ("paper", [9, 3], [15, 4]),
    ],
)
def test_tie_policies(policy: TiePolicy, agree: Any, pairs: Any) -> None:
    got_agree, got_pairs = agreeing(HAND, policy)
    assert got_agree.tolist() == agree
    assert got_pairs.tolist() == pairs
    assert mean_agreement(HAND, policy) == sum(agree) / sum(pairs)
    assert agreement_curve(HAND, tie_policy=policy).agreement.tolist() == [a / p for a, p in zip(agree, pairs, strict=True)]


def test_columns_are_as_stored_and_as_the_paper_counts_under_paper() -> None:
    curve, paper = agreement_curve(HAND), agreement_curve(HAND, tie_policy="paper")
    assert [curve.n_pairs.tolist(), curve.n_agree.tolist(), curve.n_tied.tolist()] == [[10, 4], [6, 2], [3, 1]]
    assert [paper.n_pairs.tolist(), paper.n_agree.tolist(), paper.n_tied.tolist()] == [[15, 4], [9, 3], [2, 0]]


def test_bins_and_empty_bins() -> None:
    pairs = np.zeros(201, np.int64)
    pairs[[0, 2, 200]] = 4
    curve = agreement_curve(counts_of(pairs, pairs // 2))
    assert curve.diff_lo.tolist() == [b / 200 for b in range(201)]
    assert curve.diff_hi[[0, 28, 199, 200]].tolist() == [0.005, 0.145, 1.0, 1.0]
    assert np.isnan([curve.agreement[1], curve.ci_lo[1], curve.ci_hi[1]]).all()
    assert curve.n_pairs[1] == 0
    pairs[200] = 0
    assert agreement_curve(counts_of(pairs, pairs // 2)).agreement.size == 3
    nothing = agreement_curve(PairCounts.zeros((4,)))
    assert nothing.n_pairs.tolist() == [0]
    assert math.isnan(nothing.agreement[0])
    assert math.isnan(mean_agreement(PairCounts.zeros((4,))))


@given(runs_of_counts(), st.sampled_from(TIE_POLICIES), st.sampled_from([0.5, 0.95, 0.999]))
def test_intervals_by_runs_hold_the_agreement_and_never_have_zero_width(counts: Any, policy: Any, level: float) -> None:
    curve = agreement_curve(counts, tie_policy=policy, level=level)
    held = ~np.isnan(curve.agreement)
    assert np.array_equal(held, ~np.isnan(curve.ci_lo))
    low, middle, high = curve.ci_lo[held], curve.agreement[held], curve.ci_hi[held]
    assert bool(((low >= 0) & (low <= middle) & (middle <= high) & (high <= 1) & (high > low)).all())


def test_interval_by_runs_by_hand() -> None:
    # Runs 3/4 and 1/4: p = 1/2; residuals ±1 of 8, leverage 1/2: v = 2 · (1/8)² / (1/2) = 1/16, n_eff = (1/4) / (1/16) = 4.
    # One degree of freedom at 50 %: t = tan(π/4) = 1. Wilson: centre 1/2, half sqrt(1/4 · (1/4 + 1/16)) / (5/4) = √5/10.
    curve = agreement_curve(counts_of([[4], [4]], [[3], [1]]), level=0.5)
    assert curve.ci_lo[0] == pytest.approx(0.5 - math.sqrt(5) / 10, abs=1e-12)
    assert curve.ci_hi[0] == pytest.approx(0.5 + math.sqrt(5) / 10, abs=1e-12)


def test_fallbacks_of_the_interval_by_runs() -> None:
    # All agree in 2 of 3 runs: Wilson for 2 of 2 with t of 1 degree of freedom, [1 / (1 + t²/2), 1].
    t = float(stats.t.ppf(0.975, 1))
    curve = agreement_curve(counts_of([[4], [9], [0]], [[4], [9], [0]]))
    assert (curve.ci_lo[0], curve.ci_hi[0]) == (pytest.approx(1 / (1 + t * t / 2)), 1)
    # A single run: Wilson for its pairs, 8 of 10 (Newcombe 1998 gives .4902 to .9433).
    curve = agreement_curve(counts_of([10], [8]))
    assert (curve.ci_lo[0], curve.ci_hi[0]) == (pytest.approx(0.4902, abs=5e-5), pytest.approx(0.9433, abs=5e-5))
    # No spread between runs: not a zero variance but as many observations as runs, 3 of them.
    curve = agreement_curve(counts_of([[3], [3], [3]], [[1], [1], [1]]))
    assert curve.ci_hi[0] - curve.ci_lo[0] > 0.5


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 1)), min_size=1, max_size=6), st.floats(0.01, 0.99))
def test_interval_by_pairs_is_the_binomial_quantile(bins: Any, level: float) -> None:
    n = np.array([size for size, _ in bins])
    k = np.rint(n * [share for _, share in bins]).astype(np.int64)
    curve = agreement_curve(counts_of(n, k), ci="pairs", level=level)
    tails = [(1 - level) / 2, (1 + level) / 2]
    for bound, tail in zip((curve.ci_lo, curve.ci_hi), tails, strict=True):
        expected = np.where((k > 0) & (k < n), stats.binom.ppf(tail, n, k / n), k)
        assert (bound * n).tolist() == pytest.approx(expected.tolist())


@pytest.mark.parametrize("tied", [0, 12])
def test_interval_by_pairs_is_what_resampling_pairs_gives(tied: int) -> None:
    rng = np.random.default_rng(5)
    outcomes = np.repeat([1.0, 0.5, 0.0], [30, tied, 60 - tied])
    means = rng.choice(outcomes, (20_000, outcomes.size)).mean(axis=1)
    curve = agreement_curve(counts_of([90], [30], [tied]), tie_policy="half", ci="pairs")
    expected = np.quantile(means, [0.025, 0.975])
    # One lattice step is 1/180.
    assert [curve.ci_lo[0], curve.ci_hi[0]] == pytest.approx(expected, abs=1.01 / 180)


@given(st.sampled_from([1, 2, 3, 10, 40, 300]), st.data())
def test_interval_by_pairs_with_half_ties_is_the_exact_quantile(n: int, data: st.DataObject) -> None:
    ones = data.draw(st.integers(0, n))
    halves = data.draw(st.integers(0, n - ones))
    step, mass = np.array([n - ones - halves, halves, ones]) / n, np.ones(1)
    for _ in range(n):
        mass = np.convolve(mass, step)
    cumulative = np.cumsum(mass)
    low, high = intervals._trinomial_quantiles((0.025, 0.975), n, ones, halves)
    for got, tail in ((low, 0.025), (high, 0.975)):
        assert cumulative[got] >= tail - 1e-9
        assert got == 0 or cumulative[got - 1] < tail + 1e-9


def test_interval_by_models_is_a_percentile_that_holds_the_agreement() -> None:
    rng = np.random.default_rng(1)
    right, answered = rng.integers(60, 140, 40), np.full(40, 200)
    estimates = right / 200 + rng.normal(0, 0.05, 40)
    counts = count_pairs(true_pairs(right, answered), estimates)
    resampled = bootstrap_models(right, answered, 1, estimates, 400, rng)
    curve = agreement_curve(counts, ci="models", resampled=resampled)
    held = curve.n_pairs > 0
    assert bool(((curve.ci_lo <= curve.agreement) & (curve.agreement <= curve.ci_hi))[held].all())
    assert bool((curve.ci_hi > curve.ci_lo)[held].all())
    # In a full bin, the order statistics of the resamples' shares, by definition: numbers 10 and 390 of 400.
    bin_ = int(curve.n_pairs.argmax())
    shares = np.sort(resampled.n_agree[:, bin_] / resampled.n_pairs[:, bin_])
    assert (curve.ci_lo[bin_], curve.ci_hi[bin_]) == (shares[9], shares[389])


def test_interval_by_models_where_all_agree_is_wilsons() -> None:
    truth, answered = [0, 2, 4], [4, 4, 4]
    counts = count_pairs(true_pairs(truth, answered), [0.1, 0.2, 0.3])
    resampled = bootstrap_models(truth, answered, 1, [0.1, 0.2, 0.3], 50, np.random.default_rng(0))
    curve = agreement_curve(counts, ci="models", resampled=resampled)
    # Two pairs of three models in bin 100: n = 2, z² = 3.8415: [1 / (1 + z²/2), 1].
    assert (curve.ci_lo[100], curve.ci_hi[100]) == (pytest.approx(1 / (1 + 3.841459 / 2), abs=1e-6), 1)


def test_bad_arguments_are_refused() -> None:
    with refuses(ConfigError, "tie policy", where="tie_policy", got="maybe", hint="half"):
        agreement_curve(HAND, tie_policy="maybe")  # type: ignore[arg-type]
    with refuses(ConfigError, "interval", where="ci", got="boot", hint="models"):
        agreement_curve(HAND, ci="boot")  # type: ignore[arg-type]
    with refuses(ConfigError, "resampled", where="ci", got="models", hint="bootstrap_models"):
        agreement_curve(HAND, ci="models")
    with refuses(ConfigError, "level", where="level", got="95"):
        agreement_curve(HAND, level=95)
    with refuses(DataError, "n_runs", where="agreement_curve", got="(2, 2, 201)"):
        agreement_curve(PairCounts.zeros((2, 2)))
    with refuses(DataError, "run", where="agreement_curve", got="(0, 201)"):
        agreement_curve(PairCounts.zeros((0,)))
    assert INTERVAL_KINDS == ("runs", "pairs", "models")
