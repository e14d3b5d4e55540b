"""Which of several runs is best, and how much of its lead is luck."""

from __future__ import annotations

import numpy as np
import pytest

from microbench_ray.metrics.best_run import standings


def standings_of(scores: np.ndarray, cluster: np.ndarray | None = None) -> object:
    n = scores.shape[1]
    return standings(scores, np.full(n, 1 / n), np.arange(n) if cluster is None else cluster, np.random.default_rng(0))


def test_two_runs_by_the_bayesian_bootstrap() -> None:
    # B is ahead on 3 items and behind on 1: P(B best) is that of Gamma(3) above Gamma(1), 1 − 2⁻³.
    scores = np.array([[0, 0, 0, 1, 1, 1.0], [1, 1, 1, 0, 1, 1.0]])
    found = standings_of(scores)
    assert found.mean == pytest.approx([0.5, 5 / 6])  # type: ignore[attr-defined]
    assert found.p_best == pytest.approx([1 / 8, 7 / 8], abs=0.04)  # type: ignore[attr-defined]
    assert found.shrunk.tolist() == found.mean.tolist()  # type: ignore[attr-defined]


def test_equal_runs_share_the_probability() -> None:
    scores = np.tile((np.arange(10) % 2).astype(float), (4, 1))
    found = standings_of(scores)
    assert found.p_best == pytest.approx([0.25] * 4)  # type: ignore[attr-defined]


def test_copies_of_items_in_one_cluster_change_nothing() -> None:
    scores = (np.random.default_rng(1).random((3, 30)) < 0.5).astype(float)
    once = standings_of(scores)
    thrice = standings_of(np.repeat(scores, 3, axis=1), np.repeat(np.arange(30), 3))
    assert thrice.p_best == pytest.approx(once.p_best)  # type: ignore[attr-defined]
    assert thrice.shrunk == pytest.approx(once.shrunk)  # type: ignore[attr-defined]


def test_the_winners_curse_is_removed() -> None:
    rng = np.random.default_rng(2)
    plain, shrunk = [], []
    for _ in range(200):
        truth = rng.normal(0.5, 0.02, 12).clip(0, 1)
        scores = (rng.random((12, 200)) < truth[:, None]).astype(float)
        found = standings_of(scores)
        best = int(np.argmax(found.mean))  # type: ignore[attr-defined]
        plain.append(found.mean[best] - truth[best])  # type: ignore[attr-defined]
        shrunk.append(found.shrunk[best] - truth[best])  # type: ignore[attr-defined]
    assert np.mean(plain) > 0.03
    assert abs(np.mean(shrunk)) < 0.012
