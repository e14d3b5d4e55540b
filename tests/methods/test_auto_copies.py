"""Source models that are copies of one another: found, kept together, and counted once by `auto`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.auto import AutoEstimator
from microbench_ray.methods.kernels import auto
from microbench_ray.methods.kernels.auto import AutoFit, fit_auto
from microbench_ray.methods.kernels.copies import groups_of_copies, random_parts, shares
from microbench_ray.methods.kernels.ridge import fit_dual
from microbench_ray.methods.readout import FloatArray

N_ITEMS = 150


def responses_of(n_models: int, seed: int = 0) -> FloatArray:
    """Right and wrong answers of models that differ in one ability."""
    rng = np.random.default_rng(seed)
    ability, difficulty = rng.normal(size=(n_models, 1)), np.random.default_rng(99).normal(size=N_ITEMS)
    return (rng.random((n_models, N_ITEMS)) < 1 / (1 + np.exp(difficulty - 1.5 * ability))).astype(np.float64)


def fitted(responses: FloatArray, seed: int = 0) -> tuple[SeenItems, AutoFit]:
    ids = np.array([f"i{k}" for k in range(N_ITEMS)], object)
    seen = SeenItems(ids, np.zeros(N_ITEMS, np.int32), responses.astype(np.float32))
    return seen, fit_auto(seen, np.random.default_rng(seed))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 99))
def test_parts_hold_every_model_once_and_split_no_group(labels: list[int], n_parts: int, seed: int) -> None:
    groups = np.array(labels, np.intp)
    parts = random_parts(groups, n_parts, np.random.default_rng(seed))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    found = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, found)) == len(set(labels))
    assert max(map(len, found)) - min(map(len, found)) <= 1


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_parts_of_single_models_are_those_of_a_permutation(n_models: int, n_parts: int, seed: int) -> None:
    parts = random_parts(np.arange(n_models), n_parts, np.random.default_rng(seed))
    expected = np.array_split(np.random.default_rng(seed).permutation(n_models), n_parts)
    assert [part.tolist() for part in parts] == [part.tolist() for part in expected]


def test_every_group_counts_once() -> None:
    assert shares(np.array([0, 1, 0, 0, 4])).tolist() == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3, 1])


def test_copies_are_left_out_together_by_definition() -> None:
    """The residuals of a regression with an intercept, refitted to the models of the other groups at the same penalty."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(12, 5)), rng.normal(size=12)
    groups = np.array([0, 1, 2, 0, 4, 4, 4, 7, 8, 9, 10, 11])
    x -= x.mean(axis=0)
    y -= y.mean()
    dual = fit_dual(x @ x.T, y, groups)
    for label in np.unique(groups):
        held, others = groups == label, groups != label
        centre, level = x[others].mean(axis=0), y[others].mean()
        within = x[others] - centre
        line = np.linalg.solve(within.T @ within + dual.penalty * np.eye(5), within.T @ (y[others] - level))
        assert dual.loo_residuals[held] == pytest.approx(y[held] - level - (x[held] - centre) @ line, abs=1e-6)


@pytest.mark.parametrize("n_models", [8, 20, 60])
def test_no_fold_splits_copies(n_models: int) -> None:
    """Three runs each, of which the second and third change one response in 50; with 180 models, half are held out once."""
    rng = np.random.default_rng(1)
    runs = np.repeat(responses_of(n_models), 3, axis=0)
    changed = rng.random(runs.shape) < 0.02
    changed[::3] = False
    runs = np.where(changed, 1 - runs, runs)
    assert groups_of_copies(runs.astype(np.float32)).tolist() == np.repeat(np.arange(0, 3 * n_models, 3), 3).tolist()
    shuffled = rng.permutation(len(runs))
    _, fit = fitted(runs[shuffled])
    name_of = {row.tobytes(): k // 3 for k, row in enumerate(runs)}
    assert len(fit.folds) == (1 if n_models == 60 else auto.FOLDS)
    for fold in fit.folds:
        held, others = ({name_of[row.tobytes()] for row in rows} for rows in (fold.responses, fold.others.known.responses))
        assert held
        assert not held & others


def test_each_model_thrice_teaches_nearly_what_it_teaches_once() -> None:
    """The same folds and items, and nearly the same estimates; only the IRT model takes the copies for further models."""
    once = responses_of(24, seed=1)
    (seen, fit), (thrice_seen, thrice) = fitted(once), fitted(np.repeat(once, 3, axis=0))
    assert thrice.learned.order.tolist() == fit.learned.order.tolist()
    held = [sorted(fold.accuracy.tolist()) for fold in fit.folds]
    assert [sorted(fold.accuracy.tolist())[::3] for fold in thrice.folds] == held
    selection = Selection(fit.learned.order[:30])
    targets = responses_of(20, seed=5)[:, selection.items]
    estimator = AutoEstimator(signal="correctness")
    estimates = estimator.estimate(targets, selection, seen, fit)
    differences = estimator.estimate(targets, selection, thrice_seen, thrice) - estimates
    assert np.sqrt(np.mean(np.square(differences))) < 0.03


def test_copies_of_seven_models_are_not_held_out() -> None:
    _, fit = fitted(np.repeat(responses_of(7), 2, axis=0))
    assert fit.folds == ()
