"""Projection DPPs: the exact law, against determinants and the plain chain rule; and the basis, against the monomials."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.kernels import dpp
from microbench_ray.methods.kernels.dpp import exponents, inclusion_probabilities, polynomial_basis, sample_projection_dpp
from tests.helpers.errors import refuses

DRAWS = 6000


def orthonormal(n: int, k: int, seed: int = 0) -> np.ndarray:
    # Rows of very different length, two of them equal.
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(n, k)) * np.geomspace(0.2, 3, n)[:, None]
    columns[1] = columns[0]
    return np.linalg.qr(columns)[0]


def chain_rule(basis: np.ndarray, rng: np.random.Generator) -> list[int]:
    """The definition (Hough et al. 2006): all items' probabilities at every step."""
    rows, drawn = basis.copy(), []
    for _ in range(basis.shape[1]):
        left = (rows**2).sum(axis=1)
        drawn.append(int(rng.choice(len(left), p=left / left.sum())))
        direction = rows[drawn[-1]] / np.linalg.norm(rows[drawn[-1]])
        rows -= np.outer(rows @ direction, direction)
    return drawn


def assert_frequencies(counts: Any, draws: int, probability: Any) -> None:
    probability = np.clip(probability, 0, 1)
    assert (np.abs(counts / draws - probability) <= 4 * np.sqrt(probability * (1 - probability) / draws) + 1e-9).all()


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """As in a shard; two threads that wait for each other take ten times as long on small matrices."""
    with threadpool_limits(1):
        yield


@pytest.fixture(params=["one stage", "many stages"])
def stages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small cases would need one stage and one block: also with as many of both as can be."""
    if request.param == "many stages":
        monkeypatch.setattr(dpp, "LAST_STAGE", 1)
        monkeypatch.setattr(dpp, "PROPOSALS", (2, 3))


@pytest.mark.slow
@pytest.mark.usefixtures("stages")
def test_every_set_is_drawn_with_probability_the_determinant_of_its_kernel() -> None:
    basis = orthonormal(7, 3)
    kernel = basis @ basis.T
    sets = list(itertools.combinations(range(7), 3))
    probability = np.array([np.linalg.det(kernel[np.ix_(s, s)]) for s in sets])
    assert probability.sum() == pytest.approx(1)
    rng, counts = np.random.default_rng(1), dict.fromkeys(sets, 0)
    for _ in range(DRAWS):
        counts[tuple(sorted(sample_projection_dpp(basis, rng).tolist()))] += 1
    assert_frequencies(np.array(list(counts.values())), DRAWS, probability)


@pytest.mark.slow
@pytest.mark.usefixtures("stages")
def test_items_and_pairs_are_included_with_probability_the_determinants_of_the_kernel() -> None:
    basis = orthonormal(9, 4)
    kernel = basis @ basis.T
    rng, counts = np.random.default_rng(2), np.zeros((9, 9))
    for _ in range(DRAWS):
        items = sample_projection_dpp(basis, rng)
        counts[np.ix_(items, items)] += 1
    single = kernel.diagonal()
    assert inclusion_probabilities(basis) == pytest.approx(single)
    assert_frequencies(counts.diagonal(), DRAWS, single)
    pairs = np.triu_indices(9, 1)
    assert_frequencies(counts[pairs], DRAWS, (np.outer(single, single) - kernel**2)[pairs])
    assert counts[0, 1] == 0  # equal rows are never drawn together


@pytest.mark.slow
@pytest.mark.usefixtures("stages")
def test_the_order_of_drawing_is_the_chain_rules() -> None:
    basis = orthonormal(6, 2)
    rng = np.random.default_rng(3)
    ours, plain = np.zeros((6, 6)), np.zeros((6, 6))
    for _ in range(DRAWS):
        ours[tuple(sample_projection_dpp(basis, rng))] += 1
        plain[tuple(chain_rule(basis, rng))] += 1
    spread = np.sqrt((ours + plain) * (1 - (ours + plain) / (2 * DRAWS)))  # of a difference of two counts with one law
    assert (np.abs(ours - plain) <= 4 * spread + 1e-9).all()


@pytest.mark.slow
def test_a_draw_of_many_items_has_the_chain_rules_moments() -> None:
    # Many blocks and several stages: the counts of items in the first half, over draws of both samplers.
    basis = orthonormal(500, 150)
    rng = np.random.default_rng(4)
    ours = np.array([(sample_projection_dpp(basis, rng) < 250).sum() for _ in range(300)])
    half = basis[:250] @ basis[:250].T
    mean, variance = half.trace(), half.trace() - (half**2).sum()
    assert abs(ours.mean() - mean) <= 4 * np.sqrt(variance / 300)
    assert abs(ours.var(ddof=1) / variance - 1) <= 4 * np.sqrt(2 / 299)
    chained = chain_rule(basis, rng)
    assert abs(np.sum(np.array(chained) < 250) - mean) <= 4 * np.sqrt(variance)


def test_as_many_columns_as_rows_draw_everything_and_none_draw_nothing() -> None:
    rng = np.random.default_rng(5)
    assert sorted(sample_projection_dpp(np.linalg.qr(rng.normal(size=(200, 200)))[0], rng).tolist()) == list(range(200))
    assert sample_projection_dpp(np.empty((5, 0)), rng).tolist() == []
    assert sample_projection_dpp(np.empty((0, 0)), rng).dtype.kind == "i"


@pytest.mark.parametrize(
    "basis",
    [np.ones((5, 2)) / np.sqrt(5), np.eye(6, 3) * 2, np.eye(6)[:, [0, 1, 1]], np.zeros((4, 1)), np.full((4, 2), np.nan)],
    ids=["equal columns", "too long", "a column twice", "zero", "nan"],
)
def test_columns_that_are_not_orthonormal_are_refused(basis: Any) -> None:
    with refuses(ConfigError, "orthonormal", got="off by", hint="polynomial_basis"):
        sample_projection_dpp(basis, np.random.default_rng(0))


def test_more_columns_than_rows_are_refused() -> None:
    with refuses(ConfigError, "more items", got="4 columns, 3 rows"):
        sample_projection_dpp(np.eye(3, 4), np.random.default_rng(0))


def test_layers_of_exponents_are_in_lexicographic_order() -> None:
    assert exponents(0, [5, 5]).tolist() == [[0, 0]]
    assert exponents(1, [5, 5]).tolist() == [[0, 1], [1, 0], [1, 1]]
    assert exponents(2, [5, 5]).tolist() == [[0, 2], [1, 2], [2, 0], [2, 1], [2, 2]]
    assert exponents(2, [1, 5]).tolist() == [[0, 2], [1, 2]]
    assert exponents(2, [1, 1]).tolist() == []


@pytest.mark.parametrize(("d", "k"), [(1, 6), (2, 12), (3, 20), (4, 40)])
def test_the_basis_spans_the_first_monomials_and_so_does_each_beginning(d: int, k: int) -> None:
    points = np.random.default_rng(6).uniform(-1, 1, (300, d))
    degrees = itertools.chain.from_iterable(
        [e for e in itertools.product(range(degree + 1), repeat=d) if max(e) == degree] for degree in itertools.count()
    )
    monomials = np.stack([np.prod(points ** np.array(e), axis=1) for e in itertools.islice(degrees, k)], axis=1)
    basis = polynomial_basis(points, k)
    assert basis.shape == (300, k)
    for some in (1, 2, k // 2, k):
        known = basis[:, :some]
        assert np.abs(known @ (known.T @ monomials[:, :some]) - monomials[:, :some]).max() < 1e-10


def test_the_basis_is_orthonormal_at_the_largest_size() -> None:
    points = 0.99 * np.tanh(np.random.default_rng(7).normal(size=(6016, 4)) / 2)
    basis = polynomial_basis(points, 1000)
    assert np.abs(basis.T @ basis - np.eye(1000)).max() < 1e-10
    # Of the constant, which is the first polynomial.
    assert inclusion_probabilities(basis).min() >= 1 / 6016 - 1e-12


@pytest.mark.parametrize("k", [1, 30, 150])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_equal_points_are_one_point_with_more_weight(d: int, k: int) -> None:
    rng = np.random.default_rng(8)
    different = np.tanh(rng.normal(size=(60, d)))
    points = different[np.concatenate([np.arange(60), rng.integers(0, 60, 240)])]
    basis = polynomial_basis(points, k)
    assert basis.shape == (300, min(k, 60))
    assert np.abs(basis.T @ basis - np.eye(min(k, 60))).max() < 1e-10
    if k > 60:  # all functions on the points: one item of each is drawn, every one with the same probability
        assert len({tuple(points[i]) for i in sample_projection_dpp(basis, rng)}) == 60
        times = (points[:, None] == points[None]).all(axis=2).sum(axis=1)
        assert inclusion_probabilities(basis) == pytest.approx(1 / times)


def test_monomials_that_are_combinations_of_earlier_ones_are_passed_over() -> None:
    # On {-1, 1}² x² = 1: what counts is 1, y, x, xy.
    corners = np.array([[x, y] for x in (-1.0, 1.0) for y in (-1.0, 1.0)] * 3)
    assert polynomial_basis(corners, 3).shape == (12, 3)
    assert polynomial_basis(corners, 9).shape == (12, 4)
    # On the diagonal x = y, so that there are only the powers of one of them.
    line = np.linspace(-1, 1, 40)
    basis = polynomial_basis(np.stack([line, line], axis=1), 5)
    powers = line[:, None] ** np.arange(5)
    assert np.abs(basis @ (basis.T @ powers) - powers).max() < 1e-10


def test_without_coordinates_there_is_the_constant_and_without_points_nothing() -> None:
    assert polynomial_basis(np.empty((4, 0)), 3).tolist() == [[0.5]] * 4
    assert np.abs(polynomial_basis(np.zeros((4, 2)), 3)) == pytest.approx(np.full((4, 1), 0.5))
    assert polynomial_basis(np.empty((0, 2)), 3).shape == (0, 0)
    assert polynomial_basis(np.empty((4, 0)), 0).shape == (4, 0)
