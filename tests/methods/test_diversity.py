"""Diversity: the components and the box by hand, weights, and what cannot be varied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods import SeenItems, Selection
from microbench_ray.methods.estimators.means import HorvitzThompson
from microbench_ray.methods.kernels.dpp import inclusion_probabilities, polynomial_basis
from microbench_ray.methods.kernels.principal_components import principal_components
from microbench_ray.methods.selectors.diversity import Diversity, in_box
from tests.helpers.errors import refuses
from tests.helpers.rotation import rotating


def seen_items(responses: Any) -> SeenItems:
    responses = np.asarray(responses, np.float32)
    n_items = responses.shape[1]
    return SeenItems(np.array([f"q{k}" for k in range(n_items)], dtype=object), np.zeros(n_items, np.int32), responses)


def choose(responses: Any, size: int, seed: int = 0, **parameters: Any) -> Selection:
    seen, selector, rng = seen_items(responses), Diversity(**parameters), np.random.default_rng(seed)
    return selector.select(seen, selector.fit(seen, rng), size, rng)


def random_responses(n_source: int, n_items: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (1 / (1 + np.exp(rng.normal(size=n_items) - rng.normal(size=(n_source, n_items))))).astype(np.float32)


def test_components_are_those_of_the_singular_value_decomposition() -> None:
    responses = random_responses(12, 50)
    found = principal_components(responses, 4)
    centred = responses.astype(float) - responses.mean(axis=1, keepdims=True, dtype=float)
    axes, lengths, items = np.linalg.svd(centred, full_matrices=False)
    expected = (items[:4] * lengths[:4, None]).T * np.sign(axes[np.abs(axes[:, :4]).argmax(axis=0), np.arange(4)])
    assert found == pytest.approx(expected, abs=1e-10)


def test_components_by_hand() -> None:
    # The second model answers as the first does, half as strongly: centred (-.5, .5) and (-.25, .25). One axis, (2, 1) / √5.
    found = principal_components(np.array([[0, 1], [0.25, 0.75]], np.float32), 4)
    assert found == pytest.approx(np.array([[-0.625], [0.625]]) * 2 / np.sqrt(5))
    # With a gap taken to be the item's mean: 1, so that nothing changes.
    assert principal_components(np.array([[0, 1], [0.25, 0.75], [0.125, np.nan]], np.float32), 4).shape == (2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("responses", rotating([np.full((5, 30), 0.3), np.zeros((1, 30)), np.full((3, 30), np.nan)], 3))
def test_without_variation_there_are_no_components_and_the_choice_is_uniform(responses: Any) -> None:
    assert principal_components(responses.astype(np.float32), 4).shape == (30, 0)
    counts = np.zeros(30)
    for seed in range(1500):
        selection = choose(responses, 6, seed)
        counts[selection.items] += 1
        assert selection.weights == pytest.approx(np.full(6, 1 / 6))
    assert (np.abs(counts / 1500 - 0.2) <= 4 * np.sqrt(0.2 * 0.8 / 1500)).all()


def test_tails_are_moved_to_the_edge_of_the_box_or_left_out() -> None:
    coordinates = np.stack([np.arange(11.0), np.arange(11.0)[::-1], np.full(11, 3.0)], axis=1)
    items, points = in_box(coordinates, 0.1, drop=False)
    # Quantiles 1 and 9; what does not vary is left out.
    along = 0.99 * np.array([-1, -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1])
    assert items.tolist() == list(range(11))
    assert points == pytest.approx(np.stack([along, -along], axis=1))
    items, points = in_box(coordinates, 0.1, drop=True)
    assert items.tolist() == list(range(1, 10))
    assert points == pytest.approx(np.stack([along, -along], axis=1)[1:10])
    assert in_box(coordinates[:2], 0.1, drop=True)[1].shape[0] == 0


def test_weights_are_inverse_inclusion_probabilities_over_items() -> None:
    responses, size = random_responses(8, 60), 12
    selection = choose(responses, size)
    _, points = in_box(principal_components(responses, 4), 0.01, drop=False)
    probability = inclusion_probabilities(polynomial_basis(points, size))
    assert selection.weights == pytest.approx(1 / (60 * probability[selection.items]))


@pytest.mark.slow
@pytest.mark.parametrize("size", rotating([3, 6], 2))
def test_the_horvitz_thompson_estimate_is_unbiased_also_with_items_drawn_after_the_process(size: int) -> None:
    # Two sources that are right or wrong make four different points: a DPP of at most four items.
    responses = np.array([[0, 0, 0, 0, 1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0, 1, 1, 1]], np.float32)
    truth = np.array([[1, 0, 1, 0, 1, 0, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], float)
    seen, selector, rng = seen_items(responses), Diversity(), np.random.default_rng(1)
    fit, estimates = selector.fit(seen, rng), []
    for _ in range(3000):
        selection = selector.select(seen, fit, size, rng)
        estimates.append(HorvitzThompson().readout(selection).estimate(truth[:, selection.items]))
    error = np.std(estimates, axis=0) / np.sqrt(3000)
    assert (np.abs(np.mean(estimates, axis=0) - truth.mean(axis=1)) <= 4 * error + 1e-9).all()


def test_the_papers_variant_has_no_weights_and_keeps_to_the_box_while_it_can() -> None:
    responses = random_responses(8, 60)
    inside = set(in_box(principal_components(responses, 4), 0.1, drop=True)[0].tolist())
    assert 10 < len(inside) < 60
    for seed in range(20):
        selection = choose(responses, 10, seed, variant="paper", trim=0.1)
        assert selection.weights is None
        assert set(selection.items.tolist()) <= inside
    assert inside <= set(choose(responses, 59, variant="paper", trim=0.1).items.tolist())


@pytest.mark.parametrize("variant", ["default", "paper"])
@pytest.mark.parametrize("n_source", [1, 2, 3, 20])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("n_items", [1, 2, 3, 40])
def test_any_shape_gives_any_size(variant: str, n_source: int, binary: bool, n_items: int) -> None:
    responses = random_responses(n_source, n_items)
    responses = np.round(responses) if binary else responses
    for size in {1, min(2, n_items), n_items // 2 + 1, n_items}:
        selection = choose(responses, size, variant=variant)
        assert len(set(selection.items.tolist())) == size
        if selection.weights is not None:
            assert (selection.weights <= 1 + 1e-9).all()
        if size == n_items and selection.weights is not None:
            assert selection.weights == pytest.approx(np.full(n_items, 1 / n_items))


@pytest.mark.parametrize(
    ("name", "value"), [("components", 0), ("trim", 0.5), ("trim", -0.1), ("variant", "other"), ("signal", "colour")]
)
def test_invalid_parameters_are_refused(name: str, value: Any) -> None:
    with refuses(
        ConfigError, f"diversity: unknown {name}" if name in ("variant", "signal") else f"diversity: {name}", got=str(value)
    ):
        Diversity(**{name: value})


def test_variants_share_a_fit() -> None:
    assert Diversity().fit_key == Diversity(variant="paper", trim=0.2).fit_key != Diversity(components=3).fit_key
