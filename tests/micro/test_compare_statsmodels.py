"""Comparisons against statsmodels and scipy, to 1e-9; where the numbers are others, with the reason for the difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import WLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from microbench_ray.metrics.multiplicity import adjusted
from microbench_ray.metrics.run_difference import PSEUDO_ITEMS, FloatArray, Items, run_difference
from microbench_ray.micro.compare.compare import Comparison, compare
from microbench_ray.micro.compare.rules import CompareRules
from microbench_ray.micro.compare.runs import Run

EXACT = 1e-9


def compared(a: FloatArray, b: FloatArray, rules: CompareRules | None = None) -> Comparison:
    """Two runs of (n_items,) or (n_items, n_repeats) scores."""
    runs = []
    for name, scores in (("a", a), ("b", b)):
        ids = [f"q{k}" for k in range(len(scores))]
        rows = np.atleast_2d(scores.T).T.tolist()
        runs.append(Run(name, dict(zip(ids, map(tuple, rows), strict=True)), dict.fromkeys(ids, "all"), dict.fromkeys(ids)))
    return compare(runs, rules).comparisons[0]


def drawn(kind: str, n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    if kind == "grades":
        a, b = rng.beta(0.5, 0.8, (2, n))
        return a, b
    a, b = (rng.random((2, n)) < np.array([[0.5], [0.62]])).astype(float)
    return a, b


@pytest.mark.parametrize(("n", "seed"), [(12, 0), (60, 1), (400, 2)])
def test_mcnemars_exact_test(n: int, seed: int) -> None:
    a, b = drawn("binary", n, seed)
    table = [[((a == x) & (b == y)).sum() for y in (1, 0)] for x in (1, 0)]
    assert compared(a, b).tests.mcnemar == pytest.approx(mcnemar(table, exact=True).pvalue, abs=EXACT)


@pytest.mark.parametrize("kind", ["binary", "grades"])
def test_students_paired_test(kind: str) -> None:
    a, b = drawn(kind, 90, 3)
    assert compared(a, b).tests.paired_t == pytest.approx(DescrStatsW(b - a).ttest_mean(0)[1], abs=EXACT)
    repeated = np.stack([a, b, a], axis=1)
    means = repeated.mean(axis=1)
    assert compared(repeated, b).tests.paired_t == pytest.approx(stats.ttest_rel(means, b).pvalue, abs=EXACT)


def with_two_more(a: FloatArray, b: FloatArray) -> FloatArray:
    """The differences, and two more items, on which one run is ahead: by 1, for grades by the size of the differences."""
    gap = b - a
    size = float(np.sqrt((gap**4).sum() / (gap**2).sum()))
    return np.concatenate([gap, [size, -size]])


@pytest.mark.parametrize("kind", ["binary", "grades"])
@pytest.mark.parametrize("n", [15, 200])
def test_the_interval_is_the_z_interval_of_the_items_with_two_more(kind: str, n: int) -> None:
    # Other than the paired t-test by these two items (Bonett and Price 2012), and by a variance with the divisor n, not n - 1.
    a, b = drawn(kind, n, 4)
    found = compared(a, b).difference
    more = DescrStatsW(with_two_more(a, b))
    by_n = np.sqrt((n + PSEUDO_ITEMS - 1) / (n + PSEUDO_ITEMS))
    assert found.standard_error == pytest.approx(more.std_mean * by_n, abs=EXACT)
    low, high = more.mean + stats.norm.ppf([0.025, 0.975]) * more.std_mean * by_n
    assert (found.low, found.high) == pytest.approx((low, high), abs=EXACT)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(more.mean) / (more.std_mean * by_n)), abs=EXACT)


@pytest.mark.parametrize("margin", [0.02, 0.06, 0.1, 0.15, 0.3])
def test_equivalence_is_two_one_sided_tests_at_half_the_level(margin: float) -> None:
    # As `ttost_paired` of the items with two more, by z and not by t; and at 2.5 %, since the 95 % interval is read.
    a, b = drawn("binary", 150, 5)
    more = with_two_more(a, b)
    by_n = np.sqrt(len(more) / (len(more) - 1))
    one_sided = [stats.norm.sf((margin + sign * more.mean()) / (DescrStatsW(more).std_mean / by_n)) for sign in (1, -1)]
    theirs = ttost_paired(more, np.zeros(len(more)), -margin, margin)[0]
    found = compared(a, b, CompareRules(accept="equivalent", margin=margin))
    assert (found.decision == "yes") == (max(one_sided) < 0.025)
    assert theirs == pytest.approx(max(one_sided), abs=0.01)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_variance_over_clusters_is_that_of_a_regression(weighted: bool) -> None:
    # statsmodels' factor for few clusters is G/(G - 1) · (N - 1)/(N - K); with one mean, K = 1, that is ours, G/(G - 1).
    rng = np.random.default_rng(6)
    cluster = rng.integers(0, 14, 120)
    a, b = rng.beta(0.5, 0.8, (2, 120))
    weight = rng.choice([1.0, 2.0, 5.0], 120) if weighted else np.ones(120)
    fitted: Any = WLS(b - a, np.ones(120), weights=weight).fit(cov_type="cluster", cov_kwds={"groups": cluster})
    gap, shares = b - a, weight / weight.sum()
    items = Items(a[:, None], b[:, None], np.zeros(120, np.intp), cluster, weight=weight if weighted else None)
    found = run_difference(items)
    assert found.value == pytest.approx(fitted.params[0], abs=EXACT)
    # What the two more items add, as without clusters; they count against the effective number of items.
    variance, value = float(fitted.bse[0]) ** 2, float(fitted.params[0])
    alone = 120 / 119 * float(np.square(shares * (gap - value)).sum())
    effective = min(1.0, alone / variance) / float(np.square(shares).sum())
    n, size = effective + PSEUDO_ITEMS, (gap**4).sum() / (gap**2).sum()
    per_item = (effective * (variance * effective + value**2) + PSEUDO_ITEMS * size) / n - (effective * value / n) ** 2
    assert found.standard_error == pytest.approx(np.sqrt(per_item / n), abs=EXACT)
    assert found.df == 14 - 1 + PSEUDO_ITEMS  # statsmodels' quantiles are normal; Student's hold with few clusters


def test_many_clusters_leave_the_error_of_a_regression() -> None:
    rng = np.random.default_rng(7)
    cluster = np.arange(12_000) // 4
    a, b = (rng.random((2, 12_000)) < 0.5 + 0.3 * rng.standard_normal(3_000)[cluster]).astype(float)
    fitted: Any = WLS(b - a, np.ones(12_000)).fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
    found = run_difference(Items(a[:, None], b[:, None], np.zeros(12_000, np.intp), cluster))
    assert found.standard_error == pytest.approx(float(fitted.bse[0]), rel=1e-3)
    assert (found.low, found.high) == pytest.approx(fitted.conf_int()[0], abs=1e-4)


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_adjusted_p_values(ours: Any, theirs: str) -> None:
    rng = np.random.default_rng(8)
    for p in (rng.random(20) ** 3, np.array([0.01, 0.01, 0.2, 1.0, 0.0]), np.array([0.4])):
        assert adjusted(p, ours) == pytest.approx(multipletests(p, method=theirs)[1], abs=EXACT)


def test_the_interval_of_grades_is_near_the_permutation_test() -> None:
    # Not equal: the test is conditional on the sizes of the differences, and the interval has two more items.
    test: Any = stats.permutation_test
    gaps = []
    for seed in range(6):
        a, b = drawn("grades", 40, seed)
        rng = np.random.default_rng(seed)
        found = test(
            (b - a,), lambda each, axis: each.mean(axis), permutation_type="samples", n_resamples=4000, rng=rng, vectorized=True
        )
        gaps.append(compared(a, b).difference.p_value - found.pvalue)
    assert np.abs(gaps).max() < 0.05
