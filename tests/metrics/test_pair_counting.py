"""The counting kernel against its definition, by hand, and under changes that must not matter."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from microbench_ray.core.errors import DataError
from microbench_ray.metrics import PairCounts, compare, count_pairs, kendall_tau, mean_abs_error, pair_counts, pairs, true_pairs
from tests.helpers.errors import refuses


def double_loop(sums: Any, answered: Any, units: Any, estimates: Any) -> PairCounts:
    counts = PairCounts.zeros()
    for j in range(len(sums)):
        for i in range(j):
            if answered[i] and answered[j]:
                count_one(
                    counts,
                    Fraction(int(sums[i]), units * int(answered[i])) - Fraction(int(sums[j]), units * int(answered[j])),
                    estimates[i] - estimates[j],
                )
    return counts


def count_one(counts: PairCounts, true: Fraction, estimated: float) -> None:
    if true == 0:
        counts.n_true_tied[...] += 1
        counts.n_true_tied_up[...] += estimated > 0
        return
    bin_, in_order = math.floor(abs(true) * 200), estimated * (1 if true > 0 else -1) > 0
    tied = not abs(estimated) > 1e-12
    counts.n_pairs[bin_] += 1
    counts.n_agree[bin_] += in_order and not tied
    counts.n_tied[bin_] += tied
    counts.n_tied_agree[bin_] += in_order and tied


@st.composite
def targets(draw: st.DrawFn, max_targets: int = 14) -> Any:
    n = draw(st.integers(0, max_targets))
    units = draw(st.sampled_from([1, 2, 7]))
    max_items = draw(st.sampled_from([4, 40, 224]))
    same = draw(st.booleans())
    answered = [max_items if same else draw(st.integers(0, max_items)) for _ in range(n)]
    sums = [draw(st.integers(0, units * a)) for a in answered]
    # Exact ties, ties up to rounding, near misses and undefined estimates.
    step = st.sampled_from([0.0, 0.0, 2e-13, -3e-13, 5e-12, math.nan])
    estimates = [draw(st.integers(0, 6)) / 6 + draw(step) for _ in range(n)]
    return np.array(sums, np.int64), np.array(answered, np.int64), units, np.array(estimates, np.float64)


@given(targets())
def test_counts_equal_the_double_loop(case: Any) -> None:
    sums, answered, units, estimates = case
    assert count_pairs(true_pairs(sums, answered, units), estimates).equals(double_loop(*case))


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_graded_scores_with_gaps_equal_the_double_loop(test_data: Path, seed: int) -> None:
    table = pd.read_parquet(test_data / "alpaca_eval1.parquet").drop(columns=["item_id", "subtask"])
    scores = table.to_numpy(dtype=float)
    rng = np.random.default_rng(seed)
    half = rng.permutation(len(scores))[: len(scores) // 2]
    chosen = rng.choice(half, 25, replace=False)
    answered = (~np.isnan(scores[half])).sum(axis=0)
    sums = np.rint(2 * np.nansum(scores[half], axis=0)).astype(np.int64)
    estimates = np.nanmean(scores[chosen], axis=0)
    assert len(set(answered.tolist())) > 1
    assert sums.size == 52
    counts = count_pairs(true_pairs(sums, answered, 2), estimates)
    assert counts.equals(double_loop(sums, answered, 2, estimates))
    assert counts.equals(pair_counts(sums / (2 * answered), estimates, answered, units=2))


@pytest.mark.parametrize("per_block", [1, 7, 50, 10_000])
def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch, per_block: int) -> None:
    rng = np.random.default_rng(3)
    answered = rng.integers(0, 30, 40)
    sums, estimates = rng.binomial(answered, 0.5), rng.integers(0, 9, 40) / 9
    expected = double_loop(sums, answered, 1, estimates)
    tau = kendall_tau(true_pairs(sums, answered), estimates)
    monkeypatch.setattr(pairs, "PAIRS_PER_BLOCK", per_block)
    blocked = compare(true_pairs(sums, answered), estimates)
    assert blocked.counts.equals(expected)
    assert blocked.kendall_tau == tau


def test_a_pair_on_a_bins_edge_is_in_the_upper_bin() -> None:
    # 28 items of 224 are exactly 0.125, the lower edge of bin 25; floats put 34/224 − 6/224 into bin 24.
    assert math.floor((34 / 224 - 6 / 224) * 200) == 24
    counts = count_pairs(true_pairs([34, 6], [224, 224]), [0.4, 0.3])
    assert np.flatnonzero(counts.n_pairs).tolist() == [25]
    # 1 item of 200 is bin 1; 0 right against all right is bin 200, alone.
    assert np.flatnonzero(count_pairs(true_pairs([8, 7], [200, 200]), [0, 0]).n_pairs).tolist() == [1]
    assert np.flatnonzero(count_pairs(true_pairs([0, 9], [5, 9]), [0, 0]).n_pairs).tolist() == [200]
    # 199/200 with different denominators: 199/200 − 0/3 is the lower edge of bin 199.
    assert np.flatnonzero(count_pairs(true_pairs([199, 0], [200, 3]), [0, 0]).n_pairs).tolist() == [199]


def test_hand_counts() -> None:
    # Truth 1/4, 2/4, 2/4, 4/4. Pairs (0,1), (0,2): bin 50; (1,2): tied; (1,3), (2,3): bin 100; (0,3): bin 150.
    # Estimates .2, .3, .1, .3: (0,1) agrees, (0,2) does not, (1,2) is up, (1,3) tied, (2,3) and (0,3) agree.
    result = compare(true_pairs([1, 2, 2, 4], [4] * 4), [0.2, 0.3, 0.1, 0.3])
    counts = result.counts
    assert counts.n_pairs[[50, 100, 150]].tolist() == [2, 2, 1]
    assert counts.n_agree[[50, 100, 150]].tolist() == [1, 1, 1]
    assert counts.n_tied[[50, 100, 150]].tolist() == [0, 1, 0]
    assert counts.n_pairs.sum() == 5
    assert (int(counts.n_true_tied), int(counts.n_true_tied_up)) == (1, 1)
    # tau-b: 3 concordant, 1 discordant; 5 pairs untied in the truth, 5 in the estimates: 2/5.
    assert result.kendall_tau == pytest.approx(0.4, abs=1e-15)


def test_targets_without_answers_and_nan_estimates() -> None:
    counts = count_pairs(true_pairs([1, 0, 3], [4, 0, 4]), [0.1, 0.2, math.nan])
    # Only (0, 2) has a truth, difference 1/2; its estimate orders nothing.
    assert (counts.n_pairs.sum(), counts.n_pairs[100], counts.n_tied[100], counts.n_agree.sum()) == (1, 1, 1, 0)


def test_scores_on_the_finest_grid_are_binned_exactly() -> None:
    # Accuracies .5 and .495 from 100,000 and 99,999 items: exactly .005, bin 1; one unit of 1e-6 more is bin 0.
    units, na, nb = 1_000_000, 100_000, 99_999
    ka, kb = units * na // 2, units * nb // 2 - 5 * nb * 1000
    assert Fraction(ka, units * na) - Fraction(kb, units * nb) == Fraction(1, 200)
    below = count_pairs(true_pairs([ka, kb + 1], [na, nb], units), [1, 0])
    at = count_pairs(true_pairs([ka, kb], [na, nb], units), [1, 0])
    assert (below.n_agree[0], at.n_agree[1]) == (1, 1)


def test_numbers_too_large_for_64_bits_are_refused() -> None:
    with refuses(DataError, "64-bit", where="true_pairs", got="units=10000000", hint="coarser"):
        true_pairs([1, 2], [100_000, 99_999], 10_000_000)
    with refuses(DataError, "64-bit", where="true_pairs", got=f"units={2**60}"):
        true_pairs([1, 2], [5, 5], 2**60)
    # With one denominator for all targets, products of denominators are not needed.
    assert count_pairs(true_pairs([0, 10**12], [100_000] * 2, 10_000_000), [0, 1]).n_agree[200] == 1


@pytest.mark.parametrize(("answered", "denominator"), [([7, 7], 7), ([6, 7], 49)])
def test_the_finest_grid_that_64_bits_hold(answered: list[int], denominator: int) -> None:
    """200 × units × items is below 2⁶³; where targets answered different numbers of items, 200 × units × items²."""
    units = (2**63 - 1) // (200 * denominator)
    assert count_pairs(true_pairs([0, units * answered[1]], answered, units), [0, 1]).n_agree[200] == 1
    with refuses(DataError, "64-bit", where="true_pairs", hint="coarser"):
        true_pairs([0, (units + 1) * answered[1]], answered, units + 1)


@pytest.mark.parametrize(
    ("sums", "answered", "got"),
    [
        ([1, 2], [1], "shapes (2,) and (1,)"),
        ([[1]], [[1]], "shapes (1, 1) and (1, 1)"),
        ([5], [4], "sums up to 5"),
        ([-1], [4], "up to 4 items"),
        ([0], [-1], "up to 0 items"),
    ],
)
def test_impossible_sums_are_refused(sums: Any, answered: Any, got: str) -> None:
    with refuses(DataError, "score sum", where="true_pairs", got=got):
        true_pairs(sums, answered)


def test_a_wrong_number_of_estimates_is_refused() -> None:
    with refuses(DataError, "estimate", where="compare", got="(1,)"):
        count_pairs(true_pairs([1, 2], [4, 4]), [0.5])


@given(targets(), st.randoms(use_true_random=False))
def test_order_of_targets_matters_only_to_true_ties(case: Any, random: Any) -> None:
    sums, answered, units, estimates = case
    order = list(range(len(sums)))
    random.shuffle(order)
    one = compare(true_pairs(sums, answered, units), estimates)
    other = compare(true_pairs(sums[order], answered[order], units), estimates[order])
    for name in ("n_pairs", "n_agree", "n_tied", "n_tied_agree", "n_true_tied"):
        assert np.array_equal(getattr(one.counts, name), getattr(other.counts, name))
    np.testing.assert_equal(one.kendall_tau, other.kendall_tau)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12), st.lists(st.integers(0, 9), min_size=12, max_size=12))
def test_increasing_maps_of_the_estimates_do_not_matter(sums: Any, levels: Any) -> None:
    estimates = np.array(levels[: len(sums)]) / 9
    truth = true_pairs(sums, [30] * len(sums))
    assert count_pairs(truth, estimates).equals(count_pairs(truth, np.exp(3 * estimates) - 7))


@given(st.lists(st.integers(0, 30), min_size=2, max_size=12))
def test_estimates_equal_to_the_truth_agree_everywhere(sums: Any) -> None:
    counts, tau = compare(true_pairs(sums, [30] * len(sums)), np.array(sums) / 30)
    assert np.array_equal(counts.n_agree, counts.n_pairs)
    assert counts.n_tied.sum() == counts.n_true_tied_up == 0
    assert math.isnan(tau) if len(set(sums)) == 1 else tau == pytest.approx(1, abs=1e-15)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=15))
def test_tau_is_scipys(rows: Any) -> None:
    sums, estimates = np.array(rows).T
    tau = kendall_tau(true_pairs(sums, [9] * len(rows)), estimates / 9, tie_tolerance=0)
    if len(set(sums)) == 1 or len(set(estimates)) == 1:
        assert math.isnan(tau)
    else:
        assert tau == pytest.approx(stats.kendalltau(sums, estimates).statistic, abs=1e-12)


def test_estimates_equal_up_to_rounding_are_tied_unless_the_tolerance_is_0() -> None:
    truth = true_pairs([1, 2, 3], [4] * 3)
    estimates = [0.1 + 0.2, 0.3, 0.6]  # 0.30000000000000004 and 0.3
    assert compare(truth, estimates).counts.n_tied.sum() == 1
    # One tie: 2 of 3 pairs concordant, none discordant: 2 / sqrt(3 · 2). Exactly: 2 concordant, 1 discordant.
    assert kendall_tau(truth, estimates) == pytest.approx(2 / math.sqrt(6))
    assert kendall_tau(truth, estimates, tie_tolerance=0) == pytest.approx(1 / 3)


def test_mean_abs_error_is_over_targets_where_both_are_defined() -> None:
    assert mean_abs_error([0.5, 0.25], [0.25, 0.25]) == 0.125
    assert mean_abs_error([0.5, math.nan, 0.25], [0.25, 0.5, math.nan]) == 0.25
    assert math.isnan(mean_abs_error([math.nan], [0.5]))
    assert math.isnan(mean_abs_error([], []))
