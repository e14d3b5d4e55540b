"""The item response model: its objective, its convergence, known worlds, and worlds with next to nothing in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.kernels import irt, variational_irt
from microbench_ray.methods.kernels.irt import IrtFit, abilities, fit_irt, probabilities, sigmoid
from microbench_ray.methods.kernels.symmetric import congruence, invert, outer_packed, trace_weights, unpack
from tests.helpers.errors import refuses


def world(n_models: int, n_items: int, n_dims: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Responses drawn from a model of so many dimensions, and the probabilities that they were drawn with."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(0.6, 0.6, (n_items, n_dims))
    true = sigmoid(rng.normal(size=(n_models, n_dims)) @ slopes.T - rng.normal(0.3, 1.2, n_items))
    return (rng.random(true.shape) < true).astype(np.float32), true


def with_gaps(responses: np.ndarray, share: float = 0.3) -> np.ndarray:
    gaps = np.random.default_rng(5).random(responses.shape) < share
    return np.where(gaps, np.nan, responses).astype(np.float32)


def states(data: variational_irt.Responses, n_dims: int, n_passes: int) -> Any:
    """The state after each pass, and the bounds before it."""
    state = variational_irt.start(data, n_dims)
    for _ in range(n_passes):
        state, bound = variational_irt.one_pass(data, state)
        yield state, bound


@pytest.mark.parametrize("gaps", [False, True])
def test_the_gradient_is_that_of_the_objective(gaps: bool) -> None:
    responses, _ = world(40, 60)
    data = variational_irt.centre(with_gaps(responses) if gaps else responses)
    *_, (state, _) = states(data, 3, 3)
    _, of_items, of_abilities = variational_irt.objective_and_gradient(data, state)
    # The covariance of w is what a step leaves alone; the packed second moments are float32, so steps are large.
    rng, step = np.random.default_rng(1), 0.05
    covariance = state.item_second_moment.astype(np.float64) - outer_packed(state.item_mean)

    def along(item: np.ndarray, ability: np.ndarray, length: float) -> float:
        mean = state.item_mean + length * item
        moment = (covariance + outer_packed(mean)).astype(np.float32)
        moved = replace(state, item_mean=mean, item_second_moment=moment, ability_mean=state.ability_mean + length * ability)
        return variational_irt.objective_and_gradient(data, moved)[0]

    for which in ("items", "abilities"):
        for _ in range(5):
            item = rng.normal(size=of_items.shape) * (which == "items")
            ability = rng.normal(size=of_abilities.shape) * (which == "abilities")
            # Richardson's combination of two central differences: the error is of fourth order in the step.
            wide = (along(item, ability, step) - along(item, ability, -step)) / (2 * step)
            narrow = (along(item, ability, step / 2) - along(item, ability, -step / 2)) / step
            exact = float((item * of_items).sum() + (ability * of_abilities).sum())
            assert (4 * narrow - wide) / 3 == pytest.approx(exact, rel=2e-3, abs=0.05)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("n_models", "n_items", "n_dims"), [(60, 120, 4), (3, 50, 10), (80, 12, 2)])
def test_no_pass_lowers_the_objective(gaps: bool, n_models: int, n_items: int, n_dims: int) -> None:
    responses, _ = world(n_models, n_items)
    data = variational_irt.centre(with_gaps(responses) if gaps else responses)
    passes = list(states(data, n_dims, 40))
    bounds = np.array([bound for _, bound in passes])
    # In float32 a bound is known to about 1e-6 nats per response.
    assert np.diff(bounds).min() > -2e-6 * responses.size
    assert variational_irt.objective_and_gradient(data, passes[-2][0])[0] == pytest.approx(bounds[-1], abs=2e-6 * responses.size)


def test_the_fit_converges_where_its_gradient_vanishes() -> None:
    responses, _ = world(100, 150)
    short, long = (fit_irt(responses, 3, max_passes=passes, tolerance=0) for passes in (3, 400))
    assert long.objective > short.objective
    assert long.gradient_norm < 0.01 * short.gradient_norm
    default = fit_irt(responses, 3)
    assert default.converged
    assert default.n_passes < 200
    assert not fit_irt(responses, 3, max_passes=3).converged
    assert default.objective == pytest.approx(long.objective, abs=2e-4 * responses.size)


def test_a_stretch_too_far_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    responses, _ = world(100, 150)
    plain = fit_irt(responses, 3, tolerance=1e-7, max_passes=400)
    monkeypatch.setattr(irt, "STRETCH_LIMIT", 30.0)
    bounds = []
    one_pass = variational_irt.one_pass

    def noting(data: Any, state: Any) -> Any:
        new, bound = one_pass(data, state)
        bounds.append(bound)
        return new, bound

    monkeypatch.setattr(irt, "one_pass", noting)
    wild = fit_irt(responses, 3, tolerance=1e-7, max_passes=400)
    assert (np.diff(bounds) < 0).any()
    assert wild.objective == pytest.approx(plain.objective, abs=1e-4 * responses.size)
    # Where passes run out on a stretch, it is the step before it that counts.
    objectives = [fit_irt(responses, 3, tolerance=0, max_passes=passes).objective for passes in range(1, 30)]
    assert np.diff(objectives).min() > -2e-6 * responses.size


def test_a_known_world_is_recovered_with_more_dimensions_than_it_has() -> None:
    responses, true = world(300, 2000)
    fit = fit_irt(responses, 10)
    assert fit.converged
    fitted = probabilities(fit, fit.ability)
    assert np.abs(fitted - true).mean() < 0.05
    # The two that exist carry nearly all of what varies.
    variance = (fit.discrimination**2).mean(axis=0)
    assert variance[:2].sum() > 0.9 * variance.sum()
    assert (np.diff(variance) <= 1e-12).all()
    assert (fit.discrimination.mean(axis=0) >= 0).all()
    assert np.abs(fit.ability.mean(axis=0)).max() < 0.05
    assert np.abs(fit.ability[:, :2].std(axis=0) - 1).max() < 0.1


def test_new_models_are_as_able_as_when_they_are_fitted() -> None:
    responses, true = world(300, 600)
    fit = fit_irt(responses[:250], 4)
    found = probabilities(fit, abilities(fit, responses[250:], np.arange(600)))
    assert np.abs(found - true[250:]).mean() < 0.06
    few = np.arange(0, 600, 20)
    from_few = probabilities(fit, abilities(fit, responses[250:, few], few))
    assert np.abs(from_few.mean(axis=1) - true[250:].mean(axis=1)).mean() < 0.06


def test_abilities_are_the_most_probable_ones() -> None:
    fit = fit_irt(world(100, 80)[0], 3)
    responses = with_gaps(world(100, 80, seed=4)[0][:20])
    items = np.random.default_rng(0).permutation(80)[:30]
    for row, ability in zip(responses[:, items], abilities(fit, responses[:, items], items), strict=True):
        there = ~np.isnan(row)
        slopes, difficulty = fit.discrimination[items][there], fit.difficulty[items][there]
        assert np.abs(slopes.T @ (row[there] - sigmoid(slopes @ ability - difficulty)) - ability).max() < 1e-4


def test_abilities_are_finite_for_any_responses_and_rows_do_not_meet() -> None:
    extreme = IrtFit(np.full((50, 4), 40.0), np.linspace(-90, 90, 50), np.zeros((1, 4)), np.zeros(5), np.eye(5), 0, 0, 1, True)
    rng = np.random.default_rng(0)
    for fit in (extreme, fit_irt(world(60, 50)[0], 4)):
        rows = np.vstack([np.zeros(50), np.ones(50), np.full(50, np.nan), rng.integers(0, 2, (10, 50)), rng.random((3, 50))])
        rows[5:9, ::3] = np.nan
        rows.flags.writeable = False
        found = abilities(fit, rows, np.arange(50))
        assert np.isfinite(found).all()
        assert not found[2].any()
        alone = [abilities(fit, row[None], np.arange(50)) for row in rows]
        assert np.concatenate(alone).tobytes() == found.tobytes()
        assert np.isfinite(probabilities(fit, found)).all()
    assert abilities(fit, np.empty((3, 0)), np.arange(0)).tolist() == np.zeros((3, 4)).tolist()


DEGENERATE = {
    "all right": np.ones((20, 30)),
    "all wrong": np.zeros((20, 30)),
    "one model": world(1, 30)[0],
    "two models": world(2, 30)[0],
    "three equal models": np.tile(world(1, 30)[0], (3, 1)),
    "ten models": world(10, 300)[0],
    "one item": world(20, 1)[0],
    "one response": np.ones((1, 1)),
    "no response": np.full((4, 6), np.nan),
    "a half each": np.full((20, 30), 0.5),
    "equal items": np.tile(world(20, 1)[0], (1, 40)),
    "items of right or wrong alone": np.tile(np.arange(30) % 2, (20, 1)),
    "an empty row and column": np.where(np.add.outer(np.arange(20) == 3, np.arange(30) == 7), np.nan, world(20, 30)[0]),
    "mostly missing": with_gaps(world(20, 30)[0], 0.95),
    "separable": (np.add.outer(np.arange(20), -np.arange(30)) > 0).astype(float),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DEGENERATE))
@pytest.mark.parametrize("n_dims", [1, 10])
def test_worlds_with_next_to_nothing_in_them_have_a_finite_fit(name: str, n_dims: int) -> None:
    responses = DEGENERATE[name].astype(np.float32)
    responses.flags.writeable = False
    fit = fit_irt(responses, n_dims)
    n_models, n_items = responses.shape
    assert fit.discrimination.shape == (n_items, n_dims)
    assert fit.difficulty.shape == (n_items,)
    assert fit.ability.shape == (n_models, n_dims)
    for part in fit[:7]:
        assert np.isfinite(part).all()
    # Nothing runs away: e^-15 is never the answer to 20 models.
    assert np.abs(fit.difficulty).max() < 15
    assert np.abs(fit.discrimination).max() < 15
    assert np.linalg.eigvalsh(fit.prior_covariance).min() > 0


def test_a_missing_response_is_no_response() -> None:
    responses, true = world(120, 200)
    gaps = with_gaps(responses)
    fitted = probabilities(fit := fit_irt(gaps, 3), fit.ability)
    assert np.abs(fitted - true)[np.isnan(gaps)].mean() < 0.08
    # A model and an item without any response change nothing for the others.
    wider = np.full((121, 201), np.nan, np.float32)
    wider[:120, :200] = responses
    more, less = fit_irt(wider, 3), fit_irt(responses, 3)
    pairs = (probabilities(each, each.ability)[:120, :200] for each in (more, less))
    assert np.abs(np.subtract(*pairs)).mean() < 0.005
    assert not more.ability[120].round(1).any()


def test_graded_responses_are_fractions() -> None:
    # y = ½ has the likelihood of a right and a wrong answer at half weight each: as likely at z as at −z.
    fit = fit_irt(np.full((50, 40), 0.5, np.float32), 2)
    assert np.abs(fit.difficulty).max() < 0.01
    responses, true = world(200, 300)
    graded = (responses + world(200, 300)[1]) / 2
    found = probabilities(fit := fit_irt(graded.astype(np.float32), 3), fit.ability)
    assert np.abs(found - true).mean() < 0.05


def test_the_bits_depend_neither_on_threads_nor_on_memory_order() -> None:
    responses, _ = world(150, 700)
    fits = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            fits.append(fit_irt(responses, 6))
    fits.append(fit_irt(np.asfortranarray(responses), 6))
    fits.append(fit_irt(responses.astype(np.float64), 6))
    for fit in fits[1:]:
        assert all(np.asarray(one).tobytes() == np.asarray(two).tobytes() for one, two in zip(fits[0], fit, strict=True))


def test_bad_input_is_refused() -> None:
    for name, value in (("n_dims", 0), ("max_passes", 0), ("tolerance", -1.0), ("tolerance", np.nan)):
        parameters: dict[str, Any] = {name: value}
        with refuses(ConfigError, "fit_irt", got=f"{name}={value}"):
            fit_irt(np.ones((3, 3), np.float32), **parameters)
    for shape in ((0, 3), (3, 0), (3,)):
        with refuses(ConfigError, "responses", got=str(shape)):
            fit_irt(np.ones(shape, np.float32))


def test_small_symmetric_matrices() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(7, 5, 5))
    full = root @ root.transpose(0, 2, 1) + np.eye(5)
    packed = full[:, *np.triu_indices(5)]
    assert np.array_equal(unpack(packed, 5), full)
    assert (packed @ (packed * trace_weights(5)).T)[2, 3] == pytest.approx(np.trace(full[2] @ full[3]))
    matrix = rng.normal(size=(5, 5))
    assert unpack(packed @ congruence(matrix).T, 5) == pytest.approx(matrix @ full @ matrix.T)
    assert unpack(outer_packed(root[0]), 5)[2] == pytest.approx(np.outer(root[0, 2], root[0, 2]))
    inverse = full.transpose(1, 2, 0).astype(np.float32)
    assert invert(inverse) == pytest.approx(np.linalg.slogdet(full)[1].sum(), rel=1e-5)
    assert inverse.transpose(2, 0, 1) == pytest.approx(np.linalg.inv(full), abs=1e-4)
