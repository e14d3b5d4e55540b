"""Deviations from a baseline in many divisions at once are those of one division after the other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from microbench_ray.audit.drift_means import fit_baselines, largest_deviations, mean_deviations

STEP = 0.01


def by_definition(
    values: NDArray[np.float64], predictor: NDArray[np.float64] | None, base: NDArray[np.intp], group: NDArray[np.intp]
) -> tuple[float, float, float]:
    """A group's mean deviation, its standard error, and the largest deviation of a model in standard errors of that model."""
    known = ~np.isnan(values if predictor is None else values + predictor)
    terms = np.ones((values.size, 1)) if predictor is None else np.vander(np.nan_to_num(predictor), 3)
    base, group = base[known[base]], group[known[group]]
    coefficients = np.linalg.lstsq(terms[base], values[base], rcond=None)[0]
    rest = values[base] - terms[base] @ coefficients
    error = np.sqrt((np.square(rest).sum() + STEP**2) / (base.size - terms.shape[1] + 1))
    inverse = np.linalg.inv(terms[base].T @ terms[base])
    off = values[group] - terms[group] @ coefficients
    middle = terms[group].mean(axis=0)
    own = error * np.sqrt(1 + np.einsum("mi,ij,mj->m", terms[group], inverse, terms[group]))
    return off.mean(), error * np.sqrt(1 / group.size + middle @ inverse @ middle), (np.abs(off) / own).max()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.integers(8, 40), st.integers(1, 5), st.booleans())
def test_as_by_definition(seed: int, quadratic: bool, n_base: int, n_group: int, missing: bool) -> None:
    rng = np.random.default_rng(seed)
    n = n_base + n_group
    values, predictor = rng.random(n), rng.random(n) if quadratic else None
    if missing:
        values[rng.integers(0, n_base, 2)] = np.nan
    order = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(5))])
    base, group = np.zeros((6, n)), np.zeros((6, n))
    np.put_along_axis(base, order[:, :n_base], 1.0, axis=1)
    np.put_along_axis(group, order[:, n_base:], 1.0, axis=1)
    fits = fit_baselines(values, predictor, base, STEP)
    mean, largest = mean_deviations(fits, group), largest_deviations(fits, order[:, n_base:])
    for row in range(6):
        if np.isnan(values[order[row, n_base:]]).all():
            assert np.isnan(mean.deviation[row])
            assert largest.deviation[row] == 0
            continue
        expected = by_definition(values, predictor, order[row, :n_base], order[row, n_base:])
        assert mean.deviation[row] == pytest.approx(expected[0], rel=1e-5, abs=1e-9)
        assert mean.error[row] == pytest.approx(expected[1], rel=1e-5)
        assert largest.deviation[row] / largest.error[row] == pytest.approx(expected[2], rel=1e-5)


def test_a_baseline_without_spread_has_the_error_of_one_item() -> None:
    values, base = np.array([0.5, 0.5, 0.5, 0.5, 0.6]), np.array([[1.0, 1, 1, 1, 0]])
    fits = fit_baselines(values, None, base, step=0.1)
    # One more model that is one item of ten off: the variance is 0.1² / 4.
    assert fits.error[0] == pytest.approx(0.05)
    mean = mean_deviations(fits, 1 - base)
    assert mean.deviation[0] == pytest.approx(0.1)
    assert mean.error[0] == pytest.approx(0.05 * np.sqrt(1 + 1 / 4))


def test_models_alike_elsewhere_are_compared_with_their_mean() -> None:
    values, predictor = np.array([0.2, 0.4, 0.6, 0.9]), np.full(4, 0.5)
    fits = fit_baselines(values, predictor, np.array([[1.0, 1, 1, 0]]), STEP)
    assert mean_deviations(fits, np.array([[0.0, 0, 0, 1]])).deviation[0] == pytest.approx(0.5)


def test_a_baseline_that_leaves_the_curve_open_has_a_large_error() -> None:
    # Without the last model, all predictors are equal.
    values, predictor = np.linspace(0.1, 0.5, 9), np.append(np.full(8, 0.5), 0.9)
    base = np.append(np.ones(8), 0.0)[None]
    mean = mean_deviations(fit_baselines(values, predictor, base, STEP), 1 - base)
    assert abs(mean.deviation[0]) < 1e-3 * mean.error[0]
