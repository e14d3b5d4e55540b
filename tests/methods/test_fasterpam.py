"""FasterPAM against brute force, and against the `kmedoids` package, which is its oracle."""

from __future__ import annotations

from typing import Any

import kmedoids
import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.methods.kernels.fasterpam import fasterpam
from tests.helpers.errors import refuses
from tests.helpers.rotation import share, share_or_all


def distances(n: int, seed: int, *, kind: str = "plane", dtype: type = np.float64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "ties":  # few different distances, and points that coincide
        points = rng.integers(0, 3, (n, 2)).astype(float)
        return np.abs(points[:, None] - points).sum(axis=2).astype(dtype)
    if kind == "any":  # no metric
        matrix = rng.random((n, n))
        matrix = matrix + matrix.T
        np.fill_diagonal(matrix, 0)
        return matrix.astype(dtype)
    points = rng.normal(size=(n, 2))
    return np.sqrt(np.square(points[:, None] - points).sum(axis=2)).astype(dtype)


def loss_of(matrix: np.ndarray, medoids: Any) -> float:
    return float(matrix[:, medoids].astype(np.float64).min(axis=1).sum())


def best_swap(matrix: np.ndarray, medoids: np.ndarray) -> float:
    """The smallest loss after any swap of one medoid for one other point: the definition."""
    losses = [loss_of(matrix, medoids)]
    for place in range(len(medoids)):
        for point in set(range(len(matrix))) - set(medoids.tolist()):
            swapped = medoids.copy()
            swapped[place] = point
            losses.append(loss_of(matrix, swapped))
    return min(losses)


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(3))
@pytest.mark.parametrize("kind", ["plane", "ties", "any"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_swap_helps_at_the_end(kind: str, dtype: Any, one_in: int) -> None:
    # 6 × 34 = 204 instances.
    for seed in share(range(34), one_in):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 25))
        k = int(rng.integers(1, n + 1))
        matrix = distances(n, seed, kind=kind, dtype=dtype)
        found = fasterpam(matrix, rng.choice(n, k, replace=False))
        assert found.converged
        assert len(set(found.medoids.tolist())) == k
        assert found.loss == pytest.approx(loss_of(matrix, found.medoids), rel=1e-12, abs=1e-12)
        assert found.loss <= best_swap(matrix, found.medoids) * (1 + 2e-9) + 1e-12
        nearest = matrix[:, found.medoids]
        assert np.array_equal(nearest[np.arange(n), found.labels], nearest.min(axis=1))
        assert np.array_equal(found.labels[found.medoids], np.arange(k)), "a medoid is its own"


def test_losses_are_those_of_the_kmedoids_package_from_the_same_starts() -> None:
    ours, theirs = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(50, 300)), int(rng.integers(2, 30))
        matrix = distances(n, seed, kind=["plane", "any"][seed % 2])
        start = rng.choice(n, k, replace=False)
        ours.append(fasterpam(matrix, start).loss)
        theirs.append(kmedoids.fasterpam(matrix, start.astype(np.uint64), n_cpu=1).loss)
    assert np.mean(ours) <= 1.002 * np.mean(theirs)


def test_six_thousand_items_end_where_no_swap_helps() -> None:
    rng = np.random.default_rng(0)
    n, k = 6016, 100
    features = rng.normal(size=(n, 12)).astype(np.float32)
    features /= np.sqrt(np.square(features).sum(axis=1, keepdims=True))
    matrix = np.maximum(1 - features @ features.T, 0)
    np.fill_diagonal(matrix, 0)
    found = fasterpam(matrix, rng.choice(n, k, replace=False))
    assert found.converged
    to_medoids = np.sort(matrix[:, found.medoids], axis=1)[:, :2].astype(np.float64)
    first, other = to_medoids.T
    # All swaps of every point for every medoid, from the definition: what is lost by a medoid's points, less what all others gain.
    gains = np.zeros(n)
    removal = np.zeros((k, n))
    for start in range(0, n, 500):
        columns = matrix[:, start : start + 500].astype(np.float64)
        gains[start : start + 500] = np.minimum(columns - first[:, None], 0).sum(axis=0)
        lost = np.minimum(columns, other[:, None]) - first[:, None] - np.minimum(columns - first[:, None], 0)
        for m in range(k):
            removal[m, start : start + 500] = lost[found.labels == m].sum(axis=0)
    assert (gains + removal).min() >= -1e-5 * found.loss


@pytest.mark.parametrize("k", [1, 5])
def test_the_start_decides_and_nothing_else(k: int) -> None:
    matrix = distances(60, 3)
    start = np.random.default_rng(1).choice(60, k, replace=False)
    matrix.flags.writeable = False
    start.flags.writeable = False
    before = start.copy()
    one, other = fasterpam(matrix, start), fasterpam(matrix.copy(order="F"), start)
    assert np.array_equal(one.medoids, other.medoids)
    assert one.loss == other.loss
    assert np.array_equal(start, before)


def test_one_medoid_is_the_point_with_the_smallest_sum() -> None:
    matrix = distances(30, 5)
    assert fasterpam(matrix, np.array([7])).medoids.tolist() == [int(matrix.sum(axis=1).argmin())]


def test_a_medoid_that_coincides_with_another_is_its_own_cluster() -> None:
    matrix = np.zeros((4, 4))
    found = fasterpam(matrix, np.array([2, 0, 3]))
    assert found.loss == 0
    assert found.n_swaps == 0
    assert found.labels[[2, 0, 3]].tolist() == [0, 1, 2]


def test_too_few_passes_are_reported_as_not_converged() -> None:
    found = fasterpam(distances(200, 1), np.arange(10), max_passes=1)
    assert not found.converged
    assert found.n_passes == 1
    assert found.n_swaps > 0


@pytest.mark.parametrize(
    ("matrix", "start", "word", "got"),
    [
        (np.zeros((3, 2)), [0], "square matrix", "(3, 2)"),
        (np.zeros((3, 3), dtype=int), [0], "square matrix", "int64"),
        (np.full((3, 3), np.nan), [0], "finite", "9"),
        (np.full((3, 3), np.inf), [0, 1], "finite", "9"),
        (np.zeros((3, 3)), [], "distinct points", "0 of 3"),
        (np.zeros((3, 3)), [0, 0], "distinct points", "[0 0]"),
        (np.zeros((3, 3)), [0, 3], "distinct points", "[0 3]"),
        (np.zeros((3, 3)), [-1], "distinct points", "[-1]"),
    ],
)
def test_invalid_arguments_are_refused(matrix: np.ndarray, start: list[int], word: str, got: str) -> None:
    with refuses(DataError, word, where="fasterpam", got=got):
        fasterpam(matrix, np.array(start, dtype=int))
