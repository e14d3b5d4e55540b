"""Intervals of ranks: they hold where bootstrap ranks do not, over items, clusters and repeats."""

from __future__ import annotations

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.metrics.rank_sets import RankSets, item_spread, rank_sets, repeat_spread
from studies.rank_interval_coverage import coverage
from tests.helpers.errors import refuses


def sets(scores: np.ndarray, *, simultaneous: bool = False, cluster: np.ndarray | None = None) -> RankSets:
    spread = item_spread(scores, cluster, np.zeros(len(scores)))
    rng = np.random.default_rng(0)
    return rank_sets(np.nanmean(scores, axis=1), spread, level=0.95, simultaneous=simultaneous, n_draws=400, rng=rng)


def test_far_models_are_ranked_and_equal_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    scores = (rng.random((6, 600)) < np.array([0.9, 0.5, 0.5, 0.5, 0.5, 0.1])[:, None]).astype(float)
    found = sets(scores)
    assert found.low.tolist() == [1, 2, 2, 2, 2, 6]
    assert found.high.tolist() == [1, 5, 5, 5, 5, 6]
    assert found.tie_group.tolist() == [1, 2, 2, 2, 2, 3]
    assert found.rank[0] == 1
    assert found.rank[5] == 6


def test_equal_models_share_the_best_rank() -> None:
    scores = np.array([[1.0, 0, 1, 0] * 30, [0.0, 1, 0, 1] * 30, [1.0, 0, 1, 0] * 30])
    found = sets(scores)
    assert found.rank.tolist() == [1, 1, 1]
    assert found.low.tolist() == [1, 1, 1]
    assert found.high.tolist() == [3, 3, 3]


def test_the_standard_error_of_two_models_is_that_of_their_differences() -> None:
    rng = np.random.default_rng(1)
    scores = (rng.random((2, 50)) < 0.5).astype(float)
    spread = item_spread(scores, None, np.zeros(2))
    own = spread.residuals[0] - spread.residuals[1]
    assert own @ own == pytest.approx((scores[0] - scores[1]).var(ddof=1) / 50)
    assert spread.pseudo == pytest.approx(2 / 50**2)
    clusters = np.repeat(np.arange(10), 5)
    clustered = item_spread(scores, clusters, np.zeros(2)).residuals
    sums = (scores[0] - scores[1] - (scores[0] - scores[1]).mean()).reshape(10, 5).sum(axis=1)
    assert np.square(clustered[0] - clustered[1]).sum() == pytest.approx(10 / 9 * np.square(sums).sum() / 50**2)


def test_copies_of_items_are_one_cluster() -> None:
    rng = np.random.default_rng(2)
    scores = (rng.random((8, 60)) < np.linspace(0.3, 0.7, 8)[:, None]).astype(float)
    tripled = np.repeat(scores, 3, axis=1)
    once, clustered = sets(scores), sets(tripled, cluster=np.repeat(np.arange(60), 3))
    independent = sets(tripled)
    assert np.abs((once.high - once.low) - (clustered.high - clustered.low)).max() <= 1
    assert (independent.high - independent.low).sum() < (clustered.high - clustered.low).sum()


def test_all_together_is_wider() -> None:
    rng = np.random.default_rng(3)
    scores = (rng.random((15, 400)) < np.linspace(0.4, 0.6, 15)[:, None]).astype(float)
    each, together = sets(scores), sets(scores, simultaneous=True)
    assert (together.low <= each.low).all()
    assert (together.high >= each.high).all()
    assert (together.high - together.low).sum() > (each.high - each.low).sum()


def test_missing_answers_are_no_wrong_ones() -> None:
    rng = np.random.default_rng(4)
    scores = (rng.random((3, 500)) < np.array([0.8, 0.79, 0.2])[:, None]).astype(float)
    scores[0, :200] = np.nan
    found = sets(scores)
    assert found.low.tolist() == [1, 1, 3]
    assert found.high.tolist() == [2, 2, 3]


@pytest.mark.slow
def test_intervals_hold_where_bootstrap_ranks_do_not() -> None:
    found = coverage("groups", boards=120, n_models=15)
    assert found["each by itself"].shares[1] >= 0.95
    assert found["all together"].shares[2] >= 0.95
    assert found["bootstrap ranks"].shares[1] < 0.85


def test_copies_of_items_hold_only_as_clusters() -> None:
    found = coverage("close", boards=12, copies=3, n_models=9)
    assert found["all together, as clusters"].shares[2] >= 0.75
    assert found["all together"].shares[2] < 0.75


def test_repeats_alone_say_how_sure_ranks_on_these_items_are() -> None:
    rng = np.random.default_rng(6)
    deterministic = np.repeat((rng.random((5, 100, 1)) < 0.5).astype(float), 4, axis=2)
    deterministic[:, :20] = rng.random((5, 20, 4)) < 0.5
    noisy = (rng.random((5, 100, 4)) < 0.5).astype(float)
    widths = []
    for repeats in (deterministic, noisy):
        found = mb.rank_intervals(mb.benchmark(repeats, name="r"), reference="benchmark")
        widths.append(float((found["rank_high"] - found["rank_low"]).mean()))
    assert widths[0] < widths[1]
    spread = repeat_spread(np.array([0.1, 0.2]), 10)
    assert not spread.residuals.any()
    assert spread.own.tolist() == [0.1, 0.2]
    assert spread.pseudo == 0.005


def test_the_result() -> None:
    board = mb.synthetic(n_models=12, n_items=300)
    found = mb.rank_intervals(board, cluster="subtask")
    assert list(found.columns) == ["model", "accuracy", "rank", "rank_low", "rank_high", "tie_group"]
    assert found["rank"].is_monotonic_increasing
    assert found["tie_group"].is_monotonic_increasing
    assert "12 clusters" in repr(found)
    own = {str(item): str(item) for item in board.item_ids}
    assert mb.rank_intervals(board, cluster=own).equals(mb.rank_intervals(board))


def test_bad_arguments_are_refused() -> None:
    board = mb.synthetic(n_models=4, n_items=50, n_subtasks=1)
    with refuses(ConfigError, "level", where="level", hint="0.95"):
        mb.rank_intervals(board, level=95)
    with refuses(ConfigError, "reference", where="reference"):
        mb.rank_intervals(board, reference="items")  # type: ignore[arg-type]
    with refuses(ConfigError, "clusters", where="cluster"):
        mb.rank_intervals(board, cluster="passage")  # type: ignore[arg-type]
    with refuses(DataError, "one cluster", where="cluster"):
        mb.rank_intervals(board, cluster="subtask")
    with refuses(DataError, "no cluster", where="cluster"):
        mb.rank_intervals(board, cluster={"x": "y"})
    with refuses(DataError, "repeats", where="benchmark"):
        mb.rank_intervals(board, reference="benchmark")
