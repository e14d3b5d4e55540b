"""The difference of two runs: by hand, by definitions, by simulation, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from microbench_ray.metrics.run_difference import (
    Items,
    item_variances,
    item_weights,
    mean_variance,
    repeat_variance,
    repeats_shift,
    run_difference,
)


def items(a: object, b: object, stratum: object = None, cluster: object = None, *, whole_runs: bool = False) -> Items:
    """Scores as arrays with one column per repeat; items are independent, with equal weights, unless given."""
    first, second = (np.asarray(each, np.float64).reshape(len(each), -1) for each in (a, b))  # type: ignore[arg-type]
    zeros, numbers = np.zeros(len(first), np.intp), np.arange(len(first))
    return Items(
        first,
        second,
        zeros if stratum is None else np.asarray(stratum),
        numbers if cluster is None else np.asarray(cluster),
        whole_runs,
    )


def test_bonett_and_price_by_hand() -> None:
    # B alone is right on 3 of 10 items, A alone on 1. With two more: differences sum to 2 of 12, squares to 4 + 2 of 12.
    found = run_difference(items([0, 0, 0, 1, 1, 1, 0, 1, 0, 1], [1, 1, 1, 0, 1, 1, 0, 1, 0, 1]))
    centre = 2 / 12
    error = math.sqrt((6 / 12 - centre**2) / 12)
    assert found.value == pytest.approx(0.2)
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((centre - 1.959964 * error, centre + 1.959964 * error), abs=1e-6)
    assert found.interval_kind == "items"
    assert found.df == math.inf
    assert found.mde == pytest.approx((1.959964 + 0.841621) * error, abs=1e-6)
    assert found.p_better == pytest.approx(stats.norm.cdf(centre / error))


def test_graded_differences_add_items_of_their_own_size() -> None:
    # Squares .01, .01, .04: weighted by themselves (.0001 + .0001 + .0016) / .06 = .03.
    found = run_difference(items([0.5, 0.5, 0.5], [0.6, 0.4, 0.7]))
    centre = 0.2 / 5
    assert found.standard_error == pytest.approx(math.sqrt(((0.06 + 2 * 0.03) / 5 - centre**2) / 5))


def test_ties_everywhere_are_not_certainty() -> None:
    found = run_difference(items([1] * 20, [1] * 20))
    assert found.value == 0
    assert found.high == -found.low == pytest.approx(1.959964 * math.sqrt(2) / 22, abs=1e-6)
    assert found.p_better == 0.5
    assert found.p_value == 1


def test_strata_have_the_same_weight_and_their_own_variance() -> None:
    rng = np.random.default_rng(0)
    stratum = np.repeat([0, 1, 2], [40, 10, 5])
    a, b = rng.random((2, 55))
    found = run_difference(items(a, b, stratum))
    gap = b - a
    parts = [gap[stratum == s] for s in range(3)]
    value = np.mean([part.mean() for part in parts])
    variance = sum(part.var(ddof=1) / len(part) for part in parts) / 9
    n = 1 / sum(len(part) * (1 / (3 * len(part))) ** 2 for part in parts)
    pseudo = (gap**4).sum() / (gap**2).sum()
    centre = n * value / (n + 2)
    expected = ((n * (variance * (n - 1) + value**2) + 2 * pseudo) / (n + 2) - centre**2) / (n + 2)
    assert found.value == pytest.approx(value)
    assert found.standard_error**2 == pytest.approx(expected)


def test_weights_by_hand() -> None:
    a, b, weight = np.array([0, 0, 1, 0]), np.array([1, 0, 0, 1]), np.array([3.0, 1, 1, 1])
    found = run_difference(items(a, b)._replace(weight=weight))
    # (3 + 0 − 1 + 1) / 6 = 1/2; residuals .5, −.5, −1.5, .5 with shares 3/6, 1/6, 1/6, 1/6; n/(n−1) = 4/3.
    variance = (0.25**2 + (0.5 / 6) ** 2 + 0.25**2 + (0.5 / 6) ** 2) * 4 / 3
    effective = 36 / 12
    n = effective + 2
    centre = effective * 0.5 / n
    per_item = (effective * (variance * (effective - 1) + 0.25) + 2) / n - centre**2
    assert found.value == pytest.approx(0.5)
    assert found.standard_error == pytest.approx(math.sqrt(per_item / n))


def test_equal_weights_change_nothing_and_whole_strata_are_weights() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 60, 3))
    for options in ({}, {"cluster": np.arange(60) // 4}, {"whole_runs": True}):
        plain = items(a, b, **options)
        assert run_difference(plain._replace(weight=np.full(60, 0.3))) == pytest.approx(run_difference(plain), abs=1e-12)
        fixed = plain._replace(weight=np.full(60, 7.0))
        assert run_difference(fixed, reference="benchmark")[:6] == pytest.approx(run_difference(plain, reference="benchmark")[:6])
    stratum = np.repeat([0, 1], [40, 20])
    weight = np.repeat([1.0, 2.0], [40, 20])
    macro, weighted = run_difference(items(a, b, stratum)), run_difference(items(a, b)._replace(weight=weight))
    assert weighted.value == pytest.approx(macro.value)
    assert repeat_variance(items(a, b)._replace(weight=weight)) == pytest.approx(repeat_variance(items(a, b, stratum)))


@pytest.mark.slow
def test_weighted_intervals_hold() -> None:
    rng = np.random.default_rng(0)
    held = {"items": 0, "clusters": 0}
    for _ in range(600):
        weight = rng.choice([1.0, 2.0, 5.0], 100)
        ahead = rng.random(100) < 0.1 + 0.04 * weight
        behind = ~ahead & (rng.random(100) < 0.15)
        truth = sum(w * (p - (1 - p) * 0.15) for w, p in ((1, 0.14), (2, 0.18), (5, 0.3))) / 8
        one = items(behind.astype(float), ahead.astype(float))._replace(weight=weight)
        found = run_difference(one)
        held["items"] += found.low <= truth <= found.high
        tripled = one._replace(
            a=np.repeat(one.a, 3, axis=0),
            b=np.repeat(one.b, 3, axis=0),
            stratum=np.zeros(300, np.intp),
            cluster=np.repeat(np.arange(100), 3),
            weight=np.repeat(weight, 3),
        )
        found = run_difference(tripled)
        held["clusters"] += found.low <= truth <= found.high
    assert all(0.925 <= each / 600 <= 0.975 for each in held.values()), held


def test_a_stratum_of_one_item_is_joined_with_another() -> None:
    one, two = [0, 0, 1, 1, 0], [0, 1, 1, 0, 1]
    found = run_difference(items(one, two, [0, 0, 0, 0, 1]))
    assert math.isfinite(found.standard_error)
    assert found.value == pytest.approx((0 + 1) / 2)


def test_copies_of_an_item_are_one_cluster() -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.random((2, 60)) < 0.5).astype(float)
    once = run_difference(items(a, b))
    copied = items(np.repeat(a, 4), np.repeat(b, 4), cluster=np.repeat(np.arange(60), 4))
    clustered = run_difference(copied)
    assert clustered.interval_kind == "clusters"
    assert clustered.standard_error == pytest.approx(once.standard_error, rel=0.02)
    assert clustered.df == 61
    independent = run_difference(copied._replace(cluster=np.arange(240)))
    assert independent.standard_error == pytest.approx(once.standard_error / 2, rel=0.03)


def test_the_variance_over_clusters_is_that_of_their_sums() -> None:
    rng = np.random.default_rng(2)
    cluster = rng.integers(0, 12, 90)
    a, b = rng.random((2, 90))
    gap = b - a
    sums = np.array([(gap[cluster == c] - gap.mean()).sum() for c in range(12)])
    variance = 12 / 11 * (sums**2).sum() / 90**2
    independent = gap.var(ddof=1) / 90
    n = 90 * min(1.0, independent / variance)
    pseudo = (gap**4).sum() / (gap**2).sum()
    centre = n * gap.mean() / (n + 2)
    expected = ((n * (variance * n + gap.mean() ** 2) + 2 * pseudo) / (n + 2) - centre**2) / (n + 2)
    assert run_difference(items(a, b, cluster=cluster)).standard_error ** 2 == pytest.approx(expected)


def test_clusters_that_reach_over_strata() -> None:
    stratum = [0, 0, 0, 1, 1, 1]
    a, b = [0, 1, 0, 1, 0, 0], [1, 1, 0, 1, 1, 0]
    apart = run_difference(items(a, b, stratum, cluster=[0, 1, 2, 3, 4, 5]))
    together = run_difference(items(a, b, stratum, cluster=[0, 1, 2, 0, 1, 2]))
    assert together.interval_kind == "clusters"
    assert together.standard_error != apart.standard_error


def test_whole_runs_are_compared_as_by_welch() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((200, 5)), rng.random((200, 3)) + 0.05
    b = np.minimum(b, 1)
    found = run_difference(items(a, b, whole_runs=True), reference="benchmark")
    expected = stats.ttest_ind(b.mean(axis=0), a.mean(axis=0), equal_var=False)
    # Two more items with a variance of 1/4 among 200 keep equal runs from looking certain.
    pseudo = 2 * 0.25 / 200**2 * (1 / 5 + 1 / 3)
    plain = found.standard_error**2 - pseudo
    assert plain == pytest.approx(a.mean(axis=0).var(ddof=1) / 5 + b.mean(axis=0).var(ddof=1) / 3)
    assert found.value / math.sqrt(plain) == pytest.approx(expected.statistic)
    assert found.interval_kind == "runs"


def test_repeats_of_fixed_items() -> None:
    a = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, np.nan]])
    assert item_variances(a) == pytest.approx([0.5, 0, 0.25])  # the third has the mean of the others
    weights = item_weights(np.zeros(3, np.intp))
    assert mean_variance(a, weights).within == pytest.approx((0.5 / 2 + 0 + 0.25) / 9)
    assert math.isnan(mean_variance(a, weights).between)
    pair = items(a, a)
    assert repeat_variance(pair) == pytest.approx(2 * (0.5 / 2 + 0 + 0.25) / 9)
    found = run_difference(pair, reference="benchmark")
    assert found.interval_kind == "repeats"
    assert found.df == pytest.approx(4)  # two free repeats in each run


def test_runs_answered_once_have_no_noise_of_repeats() -> None:
    once = items([0, 1, 1], [1, 1, 0])
    assert repeat_variance(once) is None
    with pytest.raises(ValueError, match="repeats"):
        run_difference(once, reference="benchmark")
    with pytest.raises(ValueError, match="cluster"):
        run_difference(items([0, 1], [1, 1], cluster=[0, 0]))
    with pytest.raises(ValueError, match="no items"):
        run_difference(Items(*np.zeros((2, 0, 1)), *np.zeros((2, 0), np.intp)))


def test_a_shift_of_whole_repeats_is_noticed() -> None:
    rng = np.random.default_rng(4)
    steady = (rng.random((500, 6)) < 0.5).astype(float)
    weights = item_weights(np.zeros(500, np.intp))
    assert not repeats_shift(steady, weights)
    moved = (rng.random((500, 6)) < 0.5 + np.linspace(-0.2, 0.2, 6)).astype(float)
    assert repeats_shift(moved, weights)
    assert not repeats_shift(moved[:, :1], weights)


@given(
    st.integers(2, 40),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["items", "clusters", "strata"]),
)
def test_the_order_of_runs_and_items_does_not_matter(n: int, repeats: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 3, (2, n, repeats)) / 2
    stratum = rng.integers(0, 3, n) if kind == "strata" else None
    cluster = np.r_[0, 1, rng.integers(0, 5, n - 2)] if kind == "clusters" else None
    there, back = run_difference(items(a, b, stratum, cluster)), run_difference(items(b, a, stratum, cluster))
    assert there.low <= there.value <= there.high
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p_better == pytest.approx(1 - back.p_better)
    assert (there.p_value < 0.05) == (there.low > 0 or there.high < 0)
    order = rng.permutation(n)
    moved = items(
        a[order], b[order], stratum if stratum is None else stratum[order], cluster if cluster is None else cluster[order]
    )
    assert run_difference(moved).standard_error == pytest.approx(there.standard_error)


@pytest.mark.parametrize(("n", "ahead", "behind"), [(20, 0.2, 0.1), (50, 0.1, 0.1), (100, 0.05, 0.02)])
def test_intervals_hold(n: int, ahead: float, behind: float) -> None:
    rng = np.random.default_rng(n)
    held = 0
    for _ in range(600):
        draw = rng.random(n)
        found = run_difference(items((draw >= 1 - behind).astype(float), (draw < ahead).astype(float)))
        held += found.low <= ahead - behind <= found.high
    assert 0.93 <= held / 600 <= 0.99


def test_runs_of_one_model_rarely_differ() -> None:
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(600):
        p = rng.beta(0.5, 0.5, 150)
        a, b = (rng.random((2, 150)) < p).astype(float)
        alarms += run_difference(items(a, b)).p_value < 0.05
    assert 0.03 <= alarms / 600 <= 0.07


def test_power_is_what_the_minimum_detectable_effect_says() -> None:
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(400):
        draw = rng.random(300)  # a difference of 8 points with 24 % of the items decided by one run alone
        a, b = (draw > 0.92).astype(float), (draw < 0.16).astype(float)
        found += run_difference(items(a, b)).p_value < 0.05
    power = found / 400
    draw = (np.arange(300) + 0.5) / 300
    mde = run_difference(items((draw > 0.92).astype(float), (draw < 0.16).astype(float))).mde
    z = 0.08 / mde * (1.959964 + 0.841621) - 1.959964
    assert power == pytest.approx(stats.norm.cdf(z), abs=0.06)
