"""Kernel ridge regression: leave-one-out by refitting, known values, and the range that the observed scores allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import Selection
from microbench_ray.methods.estimators.kernel_ridge import KernelRidge, score_range
from microbench_ray.methods.kernels.kernel_ridge import fit_kernel_ridge
from microbench_ray.methods.kernels.ridge import PENALTIES
from tests.helpers.errors import refuses
from tests.helpers.logistic_world import seen_items, world

RNG = np.random.default_rng(0)
NAN = np.nan


def estimates(sources: np.ndarray, answers: np.ndarray, items: np.ndarray, estimator: KernelRidge) -> np.ndarray:
    seen = seen_items(sources)
    return estimator.estimate(answers.astype(np.float64), Selection(items), seen, estimator.fit(seen, RNG))


def solved(known: np.ndarray, y: np.ndarray, degree: int, penalty: float, at: np.ndarray) -> np.ndarray:
    """The definition: kernel row × (K + λI)⁻¹ y."""
    gram = np.array([[(1 + u @ v / len(u)) ** degree for v in known] for u in known])
    rows = np.array([[(1 + u @ v / len(u)) ** degree for v in known] for u in at])
    return rows @ np.linalg.solve(gram + penalty * np.eye(len(y)), y)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_it_is_the_regression_of_the_smallest_leave_one_out_error(degree: int) -> None:
    known, y = world(14, 9).astype(np.float64), np.random.default_rng(1).random(14)
    found = fit_kernel_ridge(known, y, degree)
    new = np.random.default_rng(2).random((5, 9))
    assert found.predict(new) == pytest.approx(solved(known, y, degree, found.penalty, new), abs=1e-9)

    gram = (1 + known @ known.T / 9) ** degree
    penalties = np.trace(gram) / 14 * PENALTIES
    others = [np.delete(np.arange(14), k) for k in range(14)]
    residuals = np.array(
        [
            [y[k] - solved(known[rest], y[rest], degree, penalty, known[k : k + 1])[0] for k, rest in enumerate(others)]
            for penalty in penalties
        ]
    )
    best = int(np.argmin(np.mean(residuals**2, axis=1)))
    assert found.penalty == pytest.approx(penalties[best])
    assert found.loo_residuals == pytest.approx(residuals[best], abs=1e-7)
    assert found.loo_error == pytest.approx(np.sqrt(np.mean(residuals[best] ** 2)), abs=1e-7)


def test_a_quadratic_accuracy_needs_degree_two() -> None:
    """y = x₁x₂ is a product of two items: degree 2 finds it, degree 1 cannot."""
    known = np.random.default_rng(3).random((60, 2))
    y = known[:, 0] * known[:, 1]
    new = np.random.default_rng(4).random((20, 2))
    off = {degree: np.abs(fit_kernel_ridge(known, y, degree).predict(new) - new.prod(axis=1)).max() for degree in (1, 2)}
    assert off[2] < 0.01 < 0.05 < off[1]


def test_the_range_by_hand() -> None:
    # 10 items, 4 observed: 2.5 right in sum. The other six are all wrong or all right. The second model answered two.
    lowest, highest = score_range(np.array([[1, 1, 0.5, 0], [1, NAN, NAN, 0]]), 10, np.ones(4))
    assert lowest == pytest.approx([0.25, 0.1])
    assert highest == pytest.approx([0.85, 0.9])


def test_with_all_items_it_is_the_accuracy() -> None:
    responses = world(40, 30)
    found = estimates(responses[:20], responses[20:], np.arange(30), KernelRidge())
    assert found == pytest.approx(responses[20:].mean(axis=1), abs=1e-6)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 20), gaps=st.booleans())
def test_estimates_stay_in_the_range(seed: int, size: int, gaps: bool) -> None:
    responses = world(24, 20, seed)
    rng = np.random.default_rng(seed)
    items = rng.permutation(20)[:size]
    answers = rng.integers(0, 2, (9, size)).astype(np.float64)
    if gaps:
        answers[:, 1:][rng.random((9, size - 1)) < 0.4] = NAN
    found = estimates(responses[:15], answers, items, KernelRidge())
    lowest, highest = score_range(answers, 20, np.ones(answers.shape[1]))
    assert (lowest <= found + 1e-12).all()  # equal up to rounding where all items are selected
    assert (found <= highest + 1e-12).all()


def test_ten_sources_and_missing_cells_do_not_lose_to_chance() -> None:
    """Errors in points with 10 sources, 30 of 150 items and a tenth of the cells missing: near the plain mean's, never wild."""
    off, off_mean = [], []
    for seed in range(10):
        full = world(50, 150, seed)
        rng = np.random.default_rng(seed)
        sources = np.where(rng.random((10, 150)) < 0.1, NAN, full[:10])
        items = rng.permutation(150)[:30]
        answers = np.where(rng.random((40, 30)) < 0.1, NAN, full[10:, items])
        truth = full[10:].mean(axis=1)
        found = estimates(sources.astype(np.float32), answers, items, KernelRidge())
        off.append(np.sqrt(np.mean((found - truth) ** 2)))
        off_mean.append(np.sqrt(np.mean((np.nanmean(answers, axis=1) - truth) ** 2)))
    assert np.mean(off) < 1.15 * np.mean(off_mean)
    assert max(off) < 0.15


def test_with_three_sources_it_is_the_mean() -> None:
    answers = np.array([[1, 0, 1, 1], [0, NAN, 0, 1]])
    assert estimates(world(3, 10), answers, np.arange(4), KernelRidge()) == pytest.approx([0.75, 1 / 3])


def test_clones_of_one_source_are_predicted_as_that_source() -> None:
    sources = np.tile(world(1, 40), (12, 1))
    found = estimates(sources, sources[:2, :10], np.arange(10), KernelRidge())
    assert found == pytest.approx(np.repeat(sources[0].mean(), 2), abs=0.01)


@pytest.mark.parametrize("degree", [0, -1, 1.5])
def test_a_degree_below_one_is_refused(degree: float) -> None:
    with refuses(ConfigError, "degree", got=repr(degree)):
        KernelRidge(degree=degree)  # type: ignore[arg-type]


def test_it_reads_confidences() -> None:
    both = np.stack([world(20, 12), np.random.default_rng(5).random((20, 12)).astype(np.float32)], axis=2)
    seen = seen_items(both)
    estimator = KernelRidge(signal="both")
    found = estimator.estimate(both[:4, :6].astype(float), Selection(np.arange(6)), seen, estimator.fit(seen, RNG))
    lowest, highest = score_range(both[:4, :6, 0].astype(float), 12, np.ones(6))
    assert ((lowest <= found) & (found <= highest)).all()
