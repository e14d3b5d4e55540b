"""Variance components against mean squares by hand, against drawn boards with known components, and where they cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from microbench_ray.metrics.variance_components import effects_used, run_effect, variance_components


def drawn(effect: float, seed: int, shape: tuple[int, int, int] = (30, 400, 6)) -> np.ndarray:
    """Right or wrong answers with items' chances, and an effect of every run on all items, of this standard deviation."""
    rng = np.random.default_rng(seed)
    n_models, n_items, n_runs = shape
    chances = rng.uniform(0.2, 0.8, (n_models, n_items, 1)) + rng.normal(0, effect, (n_models, 1, n_runs))
    return (rng.random(shape) < chances).astype(float)


def test_four_answers_by_hand() -> None:
    # Two items, two runs: means 1/2, 1; runs 1/2, 1. The interaction's square is 4 · (1/4)² = 1/4 on one degree of freedom.
    found = variance_components(np.array([[[0.0, 1.0], [1.0, 1.0]]]))
    assert found.accuracy[0] == 0.75
    assert found.per_item[0] == 0.5
    # Mean squares: runs 2 · var(1/2, 1) = 1/4, rest 1/4, so no effect of runs; within items (1/2 + 0)/2.
    assert found.runs[0] == pytest.approx(0.0)
    assert found.within[0] == pytest.approx(0.25)
    # Between items: var(1/2, 1) = 1/8, less the half of 1/4.
    assert found.items[0] == pytest.approx(0.0)


def test_components_are_those_that_were_drawn() -> None:
    for effect in (0.0, 0.03):
        found = variance_components(drawn(effect, seed=1, shape=(60, 400, 6)))
        within = 0.25 - 0.03  # E p(1-p) for p uniform on [.2, .8]: .25 - .6²/12
        assert found.runs.mean() == pytest.approx(effect**2, abs=1.5e-4)
        assert found.items.mean() == pytest.approx(0.03, abs=0.002)
        assert found.within.mean() == pytest.approx(within, abs=0.003)
        repeated = found.within + found.runs_used
        assert (repeated / (repeated + found.items)).mean() == pytest.approx(within / 0.25, abs=0.01)


def test_missing_repeats_do_not_bias_them() -> None:
    scores = drawn(0.0, seed=2)
    scores[:, 100:200, 3:] = np.nan
    scores[:, 200:300, 1:] = np.nan
    found = variance_components(scores)
    assert found.within.mean() == pytest.approx(0.22, abs=0.005)
    assert found.items.mean() == pytest.approx(0.03, abs=0.004)
    assert np.allclose(found.per_item, (200 / 6 + 100 / 3 + 100) / 400)
    assert (found.answered == 1).all()


def test_the_p_value_is_that_of_the_f_test() -> None:
    for seed in range(5):
        scores = drawn(0.02, seed, shape=(1, 150, 5))[0]
        residuals = scores - scores.mean(1, keepdims=True) - scores.mean(0) + scores.mean()
        ratio = 150 * scores.mean(0).var(ddof=1) / (np.square(residuals).sum() / (149 * 4))
        assert run_effect(scores)[1] == pytest.approx(stats.f.sf(ratio, 4, 149 * 4), abs=0.003)


def test_an_effect_is_used_where_it_is_found() -> None:
    scores = drawn(0.0, seed=3)
    scores[4] = drawn(0.08, seed=4)[4]
    found = variance_components(scores)
    assert 0.04**2 < found.runs_used[4] < 0.15**2
    others = np.delete(found.runs_used, 4)
    assert np.allclose(others, max(0.0, np.delete(found.runs, 4).mean()))
    assert others[0] < 1e-4


def test_no_runs_are_seen_in_equal_answers_that_stand_together() -> None:
    scores = drawn(0.0, seed=5)
    assert not variance_components(scores).is_grouped.any()
    found = variance_components(np.sort(scores, axis=2))
    assert found.is_grouped.all()
    assert np.isnan(found.runs).all()
    assert (found.runs_used == 0).all()
    assert found.within == pytest.approx(variance_components(scores).within, abs=1e-4)


def test_models_without_repeats_have_the_noise_of_the_others() -> None:
    scores = drawn(0.0, seed=6)
    scores[0, :, 1:] = np.nan
    scores[1] = np.nan
    found = variance_components(scores)
    assert found.within[0] == pytest.approx(found.within[2:].mean(), rel=1e-6)
    assert found.n_runs[0] == 1
    assert np.isnan(found.accuracy[1])
    assert found.answered[1] == 0


def test_nothing_is_known_of_effects() -> None:
    assert (effects_used(np.full(3, np.nan), np.full(3, np.nan)) == 0).all()
