"""Intervals of ranks where items count differently: the variance of a difference is that of the comparison of two runs."""

from __future__ import annotations

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.audit.board_ranks import board_ranks
from microbench_ray.data.truth import item_shares
from microbench_ray.metrics.rank_sets import item_spread
from microbench_ray.metrics.run_difference import item_weights
from studies.rank_interval_coverage import ranked_coverage

RNG = np.random.default_rng(0)
SCORES = (RNG.random((2, 60)) < np.array([[0.4], [0.7]])).astype(float)
STRATUM = np.repeat(np.arange(4), [30, 20, 9, 1])
SUBTASKS = [f"s{code}" for code in STRATUM]


@pytest.mark.parametrize("cluster", [None, np.arange(60) // 3, np.arange(60) % 13])
def test_over_subtasks_it_is_that_within_them(cluster: np.ndarray | None) -> None:
    weights = item_weights(STRATUM)
    spread = item_spread(SCORES, cluster, np.zeros(2), shares=weights, stratum=STRATUM)
    found = float(np.square(spread.residuals[0] - spread.residuals[1]).sum())
    difference = SCORES[1] - SCORES[0]
    joined = np.minimum(STRATUM, 2)  # the subtask of one item and the smallest other one
    units = np.arange(60) if cluster is None else cluster
    sums = np.zeros(60)
    for stratum in range(3):
        inside = joined == stratum
        own = weights[inside] * (difference[inside] - np.average(difference[inside], weights=weights[inside]))
        drawn = np.unique(units[inside])
        np.add.at(sums, units[inside], own * np.sqrt(len(drawn) / (len(drawn) - 1)))
    expected = float(np.square(sums).sum())
    assert found == pytest.approx(expected)


def test_missing_answers_leave_the_other_subtasks_as_they_are() -> None:
    scores = np.array([[1.0, 0, np.nan, 1, 0, 0], [1.0, 1, 0, 0, 1, 1]])
    stratum = np.array([0, 0, 0, 1, 1, 1])
    found = item_spread(scores, None, np.zeros(2), shares=item_weights(stratum), stratum=stratum).residuals
    first = np.array([1 / 2, -1 / 2, 0, 2 / 3, -1 / 3, -1 / 3]) / 2 / np.array([2, 2, 2, 3, 3, 3])
    assert found[0] == pytest.approx(first * np.sqrt(3 / 2))


def test_equal_weights_are_none() -> None:
    plain = item_spread(SCORES, None, np.zeros(2))
    same = item_spread(SCORES, None, np.zeros(2), shares=np.full(60, 1 / 60))
    assert same.residuals == pytest.approx(plain.residuals)
    assert same.pseudo == pytest.approx(plain.pseudo)


def test_weights_are_those_of_a_ratio() -> None:
    weights = RNG.uniform(1, 3, 60)
    found = item_spread(SCORES, None, np.zeros(2), shares=weights / weights.sum()).residuals[0]
    mean = float(np.average(SCORES[0], weights=weights))
    assert found == pytest.approx(weights * (SCORES[0] - mean) / weights.sum() * np.sqrt(60 / 59))


def test_boards_are_ranked_by_their_own_number() -> None:
    scores = np.zeros((3, 120))
    scores[0, :100], scores[1, 60:], scores[2, 100:] = 1, 1, 1  # 83, 50 and 17 % of the items; 50, 70 and 50 % of the subtasks
    board = mb.benchmark(scores, name="two", subtask=["a"] * 100 + ["b"] * 20, truth="macro")
    assert item_shares(board, np.arange(120)) is not None
    found = mb.rank_intervals(board)
    assert found["model"][0] == board.model_ids[1]
    assert found["accuracy"].tolist() == pytest.approx(np.sort(board.accuracies())[::-1].tolist())
    audited = board_ranks(board, np.random.default_rng(0)).to_pandas()
    assert audited[["model", "rank"]].to_numpy().tolist() == found[["model", "rank"]].to_numpy().tolist()


def test_the_clusters_of_a_board_count() -> None:
    rng = np.random.default_rng(2)
    scores = np.repeat((rng.random((8, 60)) < np.linspace(0.3, 0.7, 8)[:, None]).astype(float), 3, axis=1)
    clusters = [f"c{k // 3}" for k in range(180)]
    named = mb.benchmark(scores, name="x", cluster=clusters)
    alone = mb.benchmark(scores, name="x")
    width = {
        label: int((found["rank_high"] - found["rank_low"]).sum())
        for label, found in {
            "named": mb.rank_intervals(named),
            "given": mb.rank_intervals(alone, cluster=dict(zip(map(str, alone.item_ids), clusters, strict=True))),
            "independent": mb.rank_intervals(alone),
        }.items()
    }
    assert width["named"] == width["given"] > width["independent"]


@pytest.mark.parametrize("kind", ["macro", "weights"])
def test_intervals_of_ranks_by_another_number_hold(kind: str) -> None:
    found = {name: held.shares for name, held in ranked_coverage(kind, 12, n_models=12).items()}
    assert found[f"each by itself, {kind}"][0] > 0.95
    assert found[f"all together, {kind}"][2] > 0.9
