"""The intervals of a score: by hand, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom, t

from microbench_ray.micro.intervals import (
    STUDENT,
    AccuracyInterval,
    binomial_scale,
    calibration,
    errors_interval,
    errors_of,
    extrapolated_interval,
    split_conformal_absolute_interval,
    split_conformal_interval,
    student_interval,
    upper_quantile,
    wilson_interval,
)


def test_split_conformal_cuts_each_tail_by_itself():
    errors = errors_of(np.arange(1.0, 40.0) / 1000)  # 39 errors: each tail may lose one in forty, which is the outermost
    assert errors_interval(0.5, errors) == split_conformal_interval(0.5, errors)
    assert split_conformal_interval(0.5, errors) == pytest.approx((0.5 - 0.039, 0.5 - 0.001, "split_conformal"))
    errors = errors_of(np.arange(1.0, 80.0) / 1000)
    assert split_conformal_interval(0.5, errors) == pytest.approx((0.5 - 0.078, 0.5 - 0.002, "split_conformal"))


def test_an_estimate_that_is_too_high_moves_the_interval_down():
    errors = errors_of(np.full(100, 0.1))  # estimate − truth
    assert split_conformal_interval(0.5, errors)[:2] == pytest.approx((0.4, 0.4))


def test_few_errors_give_the_interval_of_the_absolute_error():
    errors = errors_of(-np.arange(1.0, 20.0) / 100)  # 19 errors: the largest absolute one
    assert errors_interval(0.5, errors) == split_conformal_absolute_interval(0.5, errors)
    assert split_conformal_absolute_interval(0.5, errors) == pytest.approx((0.31, 0.69, "split_conformal_absolute"))


def test_fewer_errors_give_students_interval_and_at_least_the_largest_error():
    errors = errors_of(np.array([0.01, -0.02, 0.02, 0.04]))  # root mean square .025, and t is 2.776 with four
    assert errors_interval(0.5, errors) == student_interval(0.5, errors)
    assert student_interval(0.5, errors) == pytest.approx((0.5 - 0.069411, 0.5 + 0.069411, "student"), abs=1e-6)
    errors = errors_of(np.array([0.0] * 17 + [0.1]))  # root mean square .0236, times 2.1 is less than .1
    assert student_interval(0.5, errors)[:2] == pytest.approx((0.4, 0.6))


def test_students_quantiles():
    assert len(STUDENT) == 18
    assert pytest.approx([t.ppf(0.975, n) for n in range(1, 19)], abs=1e-6) == list(STUDENT)


def test_no_interval_is_all_of_it():
    assert errors_interval(0.5, errors_of(np.array([0.3, -0.2]))) is None
    assert errors_interval(0.5, errors_of(np.empty(0))) is None
    assert errors_interval(0.9, errors_of(np.full(25, 0.3))) is not None
    assert errors_interval(0.5, errors_of(np.full(25, 0.6))) is None


@given(
    estimate=st.floats(-0.2, 1.2),
    errors=st.lists(st.floats(-1, 1), max_size=60),
    scale=st.floats(0.05, 0.5),
)
def test_every_interval_is_an_interval_of_fractions(estimate: float, errors: list[float], scale: float):
    interval = errors_interval(estimate, errors_of(np.array(errors)), scale)
    assert interval is None or (0 <= interval.low <= interval.high <= 1 and interval.high - interval.low < 1)


def test_quantiles_of_the_absolute_error_by_hand():
    assert errors_of(np.array([-5.0, *[1.0] * 18])).absolute_quantile == 5
    assert errors_of(np.array([-5.0, *[1.0] * 38])).absolute_quantile == 1  # 38 of 40 are 95 %
    assert errors_of(np.ones(18)).absolute_quantile == np.inf


def test_a_quantile_between_two_errors_is_interpolated():
    # Of 29 errors, 28 and 29 of 30 are levels of .9333 and .9667: .95 is in the middle.
    assert errors_of(np.arange(1.0, 30.0)).absolute_quantile == pytest.approx(28.5)


def test_a_group_weighs_as_much_as_a_model_by_itself():
    values, groups = np.arange(1.0, 58.0), np.repeat(np.arange(19), 3)
    errors = errors_of(values, groups)
    assert errors.n_groups == 19
    assert errors.weights == pytest.approx(1 / 3)
    assert upper_quantile(errors.values, errors.weights, 0.95) == pytest.approx(57)
    assert errors_interval(0.5, errors_of(values / 1000, groups[:57])) == pytest.approx(
        (0.5 - 0.057, 0.5 + 0.057, "split_conformal_absolute")
    )
    assert errors_of(values, np.minimum(groups, 17)).absolute_quantile == math.inf  # 18 groups
    alone = errors_of(values[:30], np.arange(30))
    assert np.array_equal(alone.weights, errors_of(values[:30]).weights)


def test_models_of_one_more_group_are_held_though_its_models_are_alike():
    """30 runs of ten models would be 30 errors; by groups they are ten, and the level is that of a new group."""
    rng = np.random.default_rng(1)
    held: list[bool] = []
    naive: list[bool] = []
    for _ in range(2000):
        common = np.repeat(rng.normal(0, 0.04, 25), 3)
        errors = common + rng.normal(0, 0.01, 75)
        truth = 0.5 - rng.normal(0, 0.04) - rng.normal(0, 0.01)
        for kept, groups in ((held, np.repeat(np.arange(25), 3)), (naive, None)):
            interval = errors_interval(0.5, errors_of(errors, groups))
            assert interval is not None
            kept.append(interval.low <= truth <= interval.high)
    assert 0.935 <= np.mean(held) <= 0.97
    assert np.mean(naive) < np.mean(held)


def test_a_scale_makes_intervals_as_wide_as_the_accuracy_demands():
    # 48 items and four added answers: (0 + 2) / 52 and 26 / 52.
    assert binomial_scale(np.array([0.0, 0.5, 1.0, 1.2]), 48) == pytest.approx([0.192308, 0.5, 0.192308, 0.192308], abs=1e-6)
    errors = errors_of(np.array([-0.2] * 20 + [0.2] * 20))
    assert errors_interval(0.5, errors, 0.5)[:2] == pytest.approx((0.4, 0.6))  # type: ignore[index]
    assert errors_interval(0.9, errors, 0.25)[:2] == pytest.approx((0.85, 0.95))  # type: ignore[index]


def test_intervals_are_clipped_to_fractions():
    errors = errors_of(np.concatenate([np.full(20, -0.2), np.full(20, 0.3)]))
    assert split_conformal_interval(0.1, errors)[:2] == pytest.approx((0.0, 0.3))
    assert split_conformal_interval(0.9, errors)[:2] == pytest.approx((0.6, 1.0))


@pytest.mark.parametrize("n", [10, 18, 19, 30, 39, 70])
@pytest.mark.parametrize("kind", ["normal", "uniform", "exponential"])
def test_one_more_error_is_held_as_often_as_the_level_says(n: int, kind: str):
    rng = np.random.default_rng(n)
    errors = getattr(rng, kind)(size=(2000, n + 1)) / 1000
    intervals = [errors_interval(0.5, errors_of(row[:-1])) for row in errors]
    held = [
        interval.low <= true <= interval.high for interval, true in zip(intervals, 0.5 - errors[:, -1], strict=True) if interval
    ]
    assert len(held) == 2000
    if n >= 19:
        assert 0.935 <= np.mean(held) <= 0.965
    else:  # Student's is 95 % for normal errors, and at least n / (n + 1) for all
        assert n / (n + 1) - 0.01 <= np.mean(held) <= (1.0 if kind == "uniform" else 0.965)


def test_extrapolated_is_centred_on_the_calibrated_estimate_and_contains_the_inner_interval():
    inner, errors = AccuracyInterval(low=0.55, high=0.72, kind="split_conformal"), errors_of(np.array([0.05, *[-0.1] * 20]))
    outer = extrapolated_interval(0.7, errors, inner, open_above=False)
    assert outer == pytest.approx((0.55, 0.8, "extrapolated"))
    assert extrapolated_interval(0.7, errors, inner, open_above=True) == pytest.approx((0.55, 1.0, "extrapolated"))
    assert extrapolated_interval(0.5, errors, inner, open_above=False) == pytest.approx((0.4, 0.72, "extrapolated"))


def test_extrapolated_is_none_where_it_cannot_be_measured():
    inner = AccuracyInterval(low=0.5, high=0.6, kind="split_conformal")
    assert extrapolated_interval(np.nan, errors_of(np.full(30, 0.1)), inner, open_above=False) is None
    assert extrapolated_interval(0.5, errors_of(np.full(18, 0.1)), inner, open_above=True) is None
    assert extrapolated_interval(0.05, errors_of(np.full(30, 0.1)), inner, open_above=True) is None  # all of [0, 1]


def test_a_calibration_line_is_inverted():
    accuracy = np.array([0.2, 0.4, 0.6, np.nan])
    line = calibration(np.array([0.35, 0.4, 0.45, 0.9]), accuracy)
    assert line == pytest.approx((0.3, 0.25))
    assert line.accuracy(np.array([0.5])) == pytest.approx([0.8])
    flat = calibration(np.full(4, 0.3), accuracy)
    assert np.isnan(flat.accuracy(np.array([0.5]))).all()


def test_wilson_with_finite_population_correction_holds_the_truth():
    """By enumeration: all numbers of right answers that a sample of n from N items may have, weighted by their probability."""
    coverage = []
    for n_items, n in ((300, 25), (300, 100), (1000, 50)):
        counts = np.arange(n + 1)
        bounds = np.array([wilson_interval(k / n, n, n_items, 1.0, "random_wilson")[:2] for k in counts])
        for right in range(0, n_items + 1, n_items // 50):
            probability, truth = hypergeom(n_items, right, n).pmf(counts), right / n_items
            held = (bounds[:, 0] - 1e-12 <= truth) & (truth <= bounds[:, 1] + 1e-12)
            coverage.append(float(probability[held].sum()))
    assert 0.94 < np.mean(coverage) < 0.97
    assert min(coverage) > 0.85


def test_wilson_by_hand():
    # n = 50 of N = 100 counts as 50·99/50 = 99 draws; z²/99 = 0.038803; centre (0.4 + 0.019401) / 1.038803.
    interval = wilson_interval(0.4, 50, 100, 1.0, "reserve_wilson")
    assert interval.kind == "reserve_wilson"
    assert interval[:2] == pytest.approx((0.308979, 0.498491), abs=1e-6)
    assert wilson_interval(0.4, 20, 20, 1.0, "reserve_wilson") == (0.4, 0.4, "reserve_wilson")
    # Graded scores with half the variance count as twice as many draws: 198, as 50 of 100 items would be of infinitely many.
    graded = wilson_interval(0.4, 50, 100, 0.5, "random_wilson")
    assert graded[:2] == pytest.approx(wilson_interval(0.4, 198, 10**12, 1.0, "random_wilson")[:2], abs=1e-9)


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.29])
def test_wilson_of_graded_scores_holds_the_truth(spread: float):
    """Scores .5 ± spread: their variance is 4 spread² of that of right and wrong answers."""
    rng, held = np.random.default_rng(3), []
    for _ in range(1000):
        scores = np.clip(rng.normal(0.5, spread, 400), 0, 1)
        mean, dispersion = float(scores[:40].mean()), float(scores.var() / (scores.mean() * (1 - scores.mean())))
        low, high, _ = wilson_interval(mean, 40, 400, dispersion, "random_wilson")
        held.append(low <= scores.mean() <= high)
    assert 0.93 <= np.mean(held) <= 0.97
