"""The four intervals of a score: by hand, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import hypergeom

from microbench_ray.micro.intervals import (
    AccuracyInterval,
    absolute_error_quantile,
    calibration,
    conformal_interval,
    extrapolated_interval,
    reserve_wilson_interval,
    split_conformal_absolute_interval,
    split_conformal_interval,
)


def test_split_conformal_cuts_each_tail_by_itself():
    errors = np.arange(1.0, 40.0) / 1000  # 39 errors: each tail may lose one in forty, which is the outermost
    assert conformal_interval(0.5, errors) == split_conformal_interval(0.5, errors)
    assert split_conformal_interval(0.5, errors) == pytest.approx((0.5 - 0.039, 0.5 - 0.001, "split_conformal"))
    errors = np.arange(1.0, 80.0) / 1000
    assert split_conformal_interval(0.5, errors) == pytest.approx((0.5 - 0.078, 0.5 - 0.002, "split_conformal"))


def test_an_estimate_that_is_too_high_moves_the_interval_down():
    errors = np.full(100, 0.1)  # estimate − truth
    assert split_conformal_interval(0.5, errors)[:2] == pytest.approx((0.4, 0.4))


def test_few_errors_give_the_interval_of_the_absolute_error():
    errors = -np.arange(1.0, 20.0) / 100  # 19 errors: the largest absolute one
    assert conformal_interval(0.5, errors) == split_conformal_absolute_interval(0.5, errors)
    assert split_conformal_absolute_interval(0.5, errors) == pytest.approx((0.31, 0.69, "split_conformal_absolute"))
    assert conformal_interval(0.5, errors[:-1]) == AccuracyInterval(low=0.0, high=1.0, kind="split_conformal_absolute")


def test_quantiles_of_the_absolute_error_by_hand():
    assert absolute_error_quantile(np.array([-5.0, *[1.0] * 18])) == 5
    assert absolute_error_quantile(np.array([-5.0, *[1.0] * 38])) == 1  # 38 of 40 are 95 %
    assert absolute_error_quantile(np.ones(18)) == np.inf


def test_intervals_are_clipped_to_fractions():
    errors = np.concatenate([np.full(20, -0.2), np.full(20, 0.3)])
    assert conformal_interval(0.1, errors)[:2] == pytest.approx((0.0, 0.3))
    assert conformal_interval(0.9, errors)[:2] == pytest.approx((0.6, 1.0))


def test_one_more_error_is_held_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    for n in (19, 39, 300):
        errors = rng.exponential(size=(4000, n + 1)) / 1000
        truth = 0.5 - errors[:, -1]
        intervals = [conformal_interval(0.5, row[:-1]) for row in errors]
        held = [interval.low <= true <= interval.high for interval, true in zip(intervals, truth, strict=True)]
        assert 0.94 < np.mean(held) < 0.965


def test_extrapolated_is_centred_on_the_calibrated_estimate_and_contains_the_inner_interval():
    inner, errors = AccuracyInterval(low=0.55, high=0.72, kind="split_conformal"), np.array([0.05, *[-0.1] * 20])
    outer = extrapolated_interval(0.7, errors, inner, open_above=False)
    assert outer == pytest.approx((0.55, 0.8, "extrapolated"))
    assert extrapolated_interval(0.7, errors, inner, open_above=True) == pytest.approx((0.55, 1.0, "extrapolated"))
    assert extrapolated_interval(0.5, errors, inner, open_above=False) == pytest.approx((0.4, 0.72, "extrapolated"))


def test_extrapolated_is_none_where_it_cannot_be_measured():
    inner = AccuracyInterval(low=0.5, high=0.6, kind="split_conformal")
    assert extrapolated_interval(np.nan, np.full(30, 0.1), inner, open_above=False) is None
    assert extrapolated_interval(0.5, np.full(18, 0.1), inner, open_above=True) is None


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
        bounds = np.array([reserve_wilson_interval(k / n, n, n_items)[:2] for k in counts])
        for right in range(0, n_items + 1, n_items // 50):
            probability, truth = hypergeom(n_items, right, n).pmf(counts), right / n_items
            held = (bounds[:, 0] - 1e-12 <= truth) & (truth <= bounds[:, 1] + 1e-12)
            coverage.append(float(probability[held].sum()))
    assert 0.94 < np.mean(coverage) < 0.97
    assert min(coverage) > 0.85


def test_wilson_by_hand():
    # n = 50 of N = 100 counts as 50·99/50 = 99 draws; z²/99 = 0.038803; centre (0.4 + 0.019401) / 1.038803.
    interval = reserve_wilson_interval(0.4, 50, 100)
    assert interval.kind == "reserve_wilson"
    assert interval[:2] == pytest.approx((0.308979, 0.498491), abs=1e-6)
    assert reserve_wilson_interval(0.4, 20, 20) == (0.4, 0.4, "reserve_wilson")
