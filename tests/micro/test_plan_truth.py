"""Plans of leaderboards whose items count differently or come in clusters: against samples that are drawn, and what is refused."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import mean_one_weights
from microbench_ray.metrics.closed_form import expected_counts, order_probabilities, population_order
from microbench_ray.metrics.pair_moments import pair_moments
from microbench_ray.micro.sample_size import drawn_interval, pairs_of, population_interval
from tests.helpers.errors import refuses
from tests.helpers.optional import required

SIZES = (60, 25, 10, 5)


def board(
    sizes: tuple[int, ...] = SIZES, n_models: int = 12, seed: int = 0, truth: str = "macro", units: int = 1, gaps: float = 0
) -> Benchmark:
    rng = np.random.default_rng(seed)
    subtask = np.repeat(np.arange(len(sizes)), sizes)
    latent = rng.normal(size=(n_models, 1)) + rng.normal(size=(n_models, len(sizes)))[:, subtask]
    latent = latent + rng.logistic(size=(n_models, subtask.size))
    scores = np.clip(np.rint((latent + 1) * units / 2), 0, units) / units
    scores[rng.random(scores.shape) < gaps] = np.nan
    return mb.benchmark(scores, subtask=[f"s{code}" for code in subtask], truth=truth, max_missing=1.0)


def drawn_orders(given: Benchmark, size: int, n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Shares of samples in which the weighted mean of the first model is higher, and in which the two are equal."""
    rng, weights = np.random.default_rng(1), required(mean_one_weights(given))
    items, means = np.argsort(rng.random((n, given.n_items)), axis=1)[:, :size], []
    for row in given.scores:
        present = (row != given.missing) * weights
        with np.errstate(invalid="ignore"):
            means.append((row * present)[items].sum(axis=1) / present[items].sum(axis=1))
    difference = np.nan_to_num(np.stack(means)[:, None] - np.stack(means)[None])
    return (difference > 1e-9).mean(axis=2), (np.abs(difference) <= 1e-9).mean(axis=2)


@pytest.mark.parametrize(("size", "units", "gaps"), [(4, 1, 0), (90, 1, 0), (8, 3, 0), (20, 1, 0.2), (6, 3, 0.3)])
def test_orders_are_those_of_drawn_samples(size: int, units: int, gaps: float) -> None:
    given = board(units=units, n_models=8, gaps=gaps)
    pairs, (above, tied) = pairs_of(given), drawn_orders(given, size)
    order, differ = order_probabilities(pairs, size), pairs.difference > 0
    assert np.abs(order.right - above[pairs.higher, pairs.lower])[differ].max() < 0.025
    assert np.abs(order.tied - tied[pairs.higher, pairs.lower])[differ].max() < 0.025


@pytest.mark.parametrize("gaps", [0, 0.15])
def test_the_normal_form_of_large_samples(gaps: float) -> None:
    given = board(sizes=(400, 150, 60, 30), n_models=6, gaps=gaps)
    missing = given.missing if gaps else None
    pairs = pair_moments(given.scores, missing, 1, mean_one_weights(given), accuracy=given.accuracies())
    above, _ = drawn_orders(given, 260, n=6000)
    assert pairs.simulated is None
    found = order_probabilities(pairs, 260).right
    assert np.abs(found - above[pairs.higher, pairs.lower]).max() < 0.025


def test_truth_and_bins_are_those_of_the_board() -> None:
    given = board()
    pairs, truth = pairs_of(given), given.accuracies()
    assert pairs.accuracy == pytest.approx(truth)
    assert pairs.difference == pytest.approx(truth[pairs.higher] - truth[pairs.lower])
    assert np.array_equal(pairs.bins, np.floor(pairs.difference * 200 + 1e-9).astype(int))
    twins = mb.benchmark([[1, 0, 0, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 1, 0]], subtask=list("aaabb"), truth="macro")
    tied = pairs_of(twins)
    assert (tied.difference == 0).sum() == 1
    assert tied.bins.max() == 83  # 5/12 of a point over 1


def test_subtasks_of_one_size_change_nothing() -> None:
    of_macro, of_micro = (board(sizes=(20, 20), truth=truth) for truth in ("macro", "micro"))
    one, other = (expected_counts(pairs_of(each), 15) for each in (of_macro, of_micro))
    assert np.array_equal(one.n_pairs, other.n_pairs)
    assert one.n_agree == pytest.approx(other.n_agree, abs=0.06 * other.n_pairs.max())
    assert one.n_agree.sum() == pytest.approx(other.n_agree.sum(), rel=0.01)


@pytest.mark.parametrize("gaps", [0, 0.08])
def test_plan_says_what_a_sweep_of_random_items_finds(gaps: float) -> None:
    given = board(n_models=16, seed=3, gaps=gaps)
    swept = mb.sweep(given, "random", [12], n_source=2, n_target=14, runs=120, unseen="none")
    expected = mb.detectable_difference(given, 12)["mean_agreement"]
    assert swept.frame("summary")["mean_agreement"].item() == pytest.approx(expected, abs=0.02)


def test_the_order_of_two_models_is_that_of_the_truth() -> None:
    scores = [[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1]]
    about: dict[str, Any] = {"subtask": ["big"] * 4 + ["small"] * 2, "model_ids": ["a", "b"]}
    micro, macro = (
        mb.ranking_probability(mb.benchmark(scores, **about, truth=truth), ["a", "b"], 3) for truth in ("micro", "macro")
    )
    assert (micro["better"], macro["better"]) == ("a", "b")
    assert macro["difference"] == pytest.approx(1 / 8)
    # Of the 20 samples of three, b is ahead where 1.5 × its small items exceed .75 × the big ones that only a has.
    sums = [sum((0, -0.75, -0.75, -0.75, 1.5, 1.5)[k] for k in chosen) for chosen in combinations(range(6), 3)]
    right, wrong = (np.mean([sign * value > 0 for value in sums]) for sign in (1, -1))
    beyond = macro["right_beyond"]  # of fewer than 200 items, the order is to be that of the population
    assert macro["right"] == pytest.approx(right * beyond + wrong * (1 - beyond), abs=0.01)
    assert macro["tied"] == pytest.approx(1 - right - wrong, abs=0.01)
    assert macro["difference_low"] < 1 / 8 < macro["difference_high"]


@pytest.mark.parametrize("gaps", [0, 0.2])
def test_one_pair_equals_its_samples(gaps: float) -> None:
    given = board(n_models=2, seed=5, gaps=gaps)
    above, tied = drawn_orders(given, 6)
    answer = mb.ranking_probability(given, list(given.model_ids), 6)
    row = list(given.model_ids).index(answer["better"])
    reference = mb.ranking_probability(given.with_truth("micro"), list(given.model_ids), 6)
    assert answer["reference"] == "population"
    beyond = answer["right_beyond"]
    right = above[row, 1 - row]
    wrong = 1 - right - tied[row, 1 - row]
    assert answer["right"] == pytest.approx(right * beyond + wrong * (1 - beyond), abs=0.02)
    assert answer["right"] != reference["right"]


def test_the_command_says_by_what_it_ranks(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["plan", "benchmark.n_items=250", "benchmark.n_models=20", "differences=[.1]", "size=30"]
    assert main([*small, "benchmark.truth=macro"]) == 0
    assert "mean over subtasks" in capsys.readouterr().out
    assert main([*small, "benchmark.truth=macro", "format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["truth"] == "macro"
    assert main([*small, "format=json"]) == 0
    assert "truth" not in json.loads(capsys.readouterr().out)
    assert main([*small, "benchmark.truth=macro", "drop=.05"]) == 1
    assert "drop" in capsys.readouterr().err


def test_runs_of_a_board_are_compared_by_its_truth_and_clusters() -> None:
    given, names = board(n_models=3), ["model_0", "model_1"]
    truth = given.accuracies()
    by_board, by_items = (mb.compare(*names, benchmark=each).table() for each in (given, given.with_truth("micro")))
    assert by_board["difference"].item() == pytest.approx(truth[1] - truth[0])
    assert by_items["difference"].item() != pytest.approx(truth[1] - truth[0])
    passages = [f"p{k // 5}" for k in range(given.n_items)]
    clusters = mb.benchmark(given.scores.astype(float), cluster=passages)
    items = dict(zip(map(str, clusters.item_ids), passages, strict=True))
    by_name = mb.compare(*names, benchmark=given.with_truth("micro"), cluster=items).table()
    assert mb.compare(*names, benchmark=clusters).table().equals(by_name)
    assert by_name["interval_kind"].item() == "clusters"
    weighted = mb.benchmark(given.scores.astype(float), weights=np.arange(1, 101), cluster=passages)
    found = mb.compare(*names, benchmark=weighted).table()
    assert found["difference"].item() == pytest.approx(weighted.accuracies()[1] - weighted.accuracies()[0])
    # The interval of a plan for these models is the same.
    assert drawn_interval(weighted, worse=0, better=1) == pytest.approx((found["low"].item(), found["high"].item()))
    by_items = mb.compare(*names, benchmark=weighted, truth="micro").table()
    assert by_items["difference"].item() == pytest.approx(
        float((given.scores[1] / given.units - given.scores[0] / given.units).mean())
    )


def test_what_is_not_available_is_refused() -> None:
    given = board()
    for ask, key in (
        (lambda: mb.posterior_ranking_probability(given, [0.6, 0.5], 20), "scores"),
        (lambda: mb.regression_gate(given, 0.05, 20), "drop"),
    ):
        with refuses(DataError, "count differently", where=key, hint="micro"):
            ask()
    scores = given.scores.astype(float)
    scores[0, 0] = np.nan
    names = [given.subtask_names[code] for code in given.subtask_codes]
    with refuses(DataError, "cluster", got="missing", hint="max_missing"):
        mb.items_needed(mb.benchmark(scores, cluster=names), 0.1)
    one = mb.benchmark(given.scores.astype(float), cluster=["c"] * given.n_items)
    with refuses(DataError, "one cluster"):
        mb.ranking_probability(one, ["model_0", "model_1"], 5)


def test_squares_of_clusters_by_hand() -> None:
    scores = np.array([[1, 1, 0, 1, 1, 0], [0, 0, 0, 1, 0, 1]], np.uint8)
    clusters = np.array([0, 0, 1, 1, 2, 2])
    # Differences 1 1 0 0 1 -1: sums of clusters 2, 0, 0.
    assert pair_moments(scores, clusters=clusters).cluster_square == pytest.approx([4 / 6])
    alone = pair_moments(scores, clusters=np.arange(6))
    assert alone.cluster_square == pytest.approx(alone.square)
    weights = np.array([2, 2, 1, 1, 0.5, 0.5])
    assert pair_moments(scores, weights=weights, clusters=clusters).cluster_square == pytest.approx([16 / 6])
    assert required(pair_moments(scores, clusters=clusters).take(np.array([0])).cluster_square).size == 1


def clustered(rng: np.random.Generator, n_clusters: int, size: int) -> tuple[Benchmark, Benchmark]:
    """Two models of one true accuracy, whose difference is shared by the questions about a passage; with and without clusters."""
    passage = np.repeat(np.arange(n_clusters), size)
    latent = 1.2 * rng.normal(size=(2, n_clusters))[:, passage] + rng.logistic(size=(2, passage.size))
    scores, names = (latent > 0).astype(int), [f"p{code}" for code in passage]
    return mb.benchmark(scores), mb.benchmark(scores, cluster=names)


def test_ignoring_clusters_fails_and_resampling_them_does_not() -> None:
    rng, held, sure = np.random.default_rng(0), [], []
    for _ in range(150):
        boards = clustered(rng, 25, 6)
        pairs = [pair_moments(each.scores, clusters=each.cluster_codes) for each in boards]
        worse, better = int(pairs[0].lower[0]), int(pairs[0].higher[0])
        intervals = (population_interval(pairs[0]), drawn_interval(boards[1], worse=worse, better=better))
        held.append([low <= 0 <= high for low, high in intervals])
        sure.append([population_order(pair)[0] > 0.95 for pair in pairs])
    ignored, kept = np.mean(held, axis=0)
    assert kept >= 0.91
    assert ignored <= kept - 0.08
    # Of equal models, the surer order is right with 95 % in one board of ten at most.
    of_ignored, of_kept = np.mean(sure, axis=0)
    assert of_kept <= 0.14 < of_ignored
