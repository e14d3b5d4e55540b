"""Sweeps of leaderboards whose items count differently: counts against their definition, and every method against brute force."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, StoreError
from microbench_ray.data import Benchmark
from microbench_ray.methods import ESTIMATORS, SELECTORS, Method, SeenItems, Selection, Signal, build_method
from microbench_ray.methods.base import EstimatorWithoutFit, can_weight
from microbench_ray.methods.kernels.sources import source_accuracies
from microbench_ray.methods.registry import check_weighted
from microbench_ray.sweeps.evaluate import draw_run, estimate_run, evaluate_shard, seen_items, true_accuracies
from microbench_ray.sweeps.grid import Grid
from microbench_ray.sweeps.manifest import check_manifest
from microbench_ray.sweeps.results import SweepStore
from microbench_ray.sweeps.tables import counts_of
from tests.helpers.errors import refuses
from tests.helpers.optional import required
from tests.helpers.shards import leaderboard, method, shards_of, tables_of

SHRUNK = ("ridge", "kernel_ridge", "irt_ability")
"""Estimators that do not become exact when all items are selected."""
ALL_SEEN = Grid(sizes=(40,), n_source=(12,), n_target=7, runs=1, unseen="none")


def macro(**options: Any) -> Benchmark:
    return leaderboard(**options).with_truth("macro")


def weighted(board: Benchmark) -> Benchmark:
    weights = np.random.default_rng(0).integers(1, 6, board.n_items)
    names = [board.subtask_names[code] for code in board.subtask_codes]
    return Benchmark.from_arrays(
        board.name,
        board.scores,
        list(board.item_ids),
        list(board.model_ids),
        names,
        confidence=board.confidence,
        units=board.units,
        weights=weights,
    )


def padded(of_bins: np.ndarray) -> np.ndarray:
    """Counts of all 201 bins."""
    return np.concatenate([of_bins, np.zeros(201 - of_bins.size, of_bins.dtype)])


def exact_accuracies(board: Benchmark, models: np.ndarray, items: np.ndarray) -> list[Fraction | None]:
    """The truth as fractions, item by item."""
    found: list[Fraction | None] = []
    for model in models:
        answered = [int(k) for k in items if board.scores[model, k] != board.missing]
        if not answered:
            found.append(None)
        elif board.weights is not None:
            total = sum(int(board.weights[k]) for k in answered)
            found.append(Fraction(sum(int(board.scores[model, k]) * int(board.weights[k]) for k in answered), board.units * total))
        else:
            by_subtask: dict[int, list[int]] = {}
            for k in answered:
                by_subtask.setdefault(int(board.subtask_codes[k]), []).append(int(board.scores[model, k]))
            means = [Fraction(sum(scores), board.units * len(scores)) for scores in by_subtask.values()]
            found.append(sum(means, Fraction(0)) / len(means))
    return found


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("units", [1, 4])
@pytest.mark.parametrize("kind", ["macro", "weights"])
def test_counts_are_those_of_the_definition(kind: str, units: int, gaps: bool) -> None:
    plain = leaderboard(gaps=gaps, units=units)
    board = plain.with_truth("macro") if kind == "macro" else weighted(plain)
    shard = shards_of(["random"], [board])[0]
    rows = evaluate_shard(shard, board)["cells"]
    counts, row = counts_of(rows), -1
    for run in shard.runs:
        draw = draw_run(shard, board, run)
        for estimates in (cell.estimates for cell in estimate_run(shard, board, draw, run)):
            for items in (draw.seen, required(draw.unseen)):
                row += 1
                truth = exact_accuracies(board, draw.targets, items)
                pairs, agree, tied, true_tied = np.zeros(201, int), np.zeros(201, int), np.zeros(201, int), 0
                for a in range(len(truth)):
                    for b in range(a + 1, len(truth)):
                        one, other = truth[a], truth[b]
                        if one is None or other is None:
                            continue
                        if one == other:
                            true_tied += 1
                            continue
                        bin_ = int(abs(one - other) * 200)
                        pairs[bin_] += 1
                        up = estimates[a] - estimates[b]
                        tied[bin_] += not abs(up) > 1e-12
                        agree[bin_] += abs(up) > 1e-12 and (up > 0) == (one > other)
                assert np.array_equal(padded(counts[row].n_pairs), pairs)
                assert np.array_equal(padded(counts[row].n_agree), agree)
                assert np.array_equal(padded(counts[row].n_tied), tied)
                assert int(counts[row].n_true_tied) == true_tied
    assert row + 1 == len(rows)


def test_ties_and_edges_of_bins_are_exact() -> None:
    # Subtasks of 3 and 7 items: an accuracy is (7x + 3y)/42 with x and y right answers, and sums of floats miss some of the ties.
    right = {"a": (1, 3), "b": (2, 1), "c": (1, 3), "d": (3, 0), "e": (0, 7)}
    scores = [[1] * x + [0] * (3 - x) + [1] * y + [0] * (7 - y) for x, y in right.values()]
    board = mb.benchmark(scores, subtask=["three"] * 3 + ["seven"] * 7, model_ids=list(right), truth="macro")
    truth = true_accuracies(board, "seen", np.arange(5), np.arange(10))
    values = [(Fraction(x, 3) + Fraction(y, 7)) / 2 for x, y in right.values()]
    assert truth.accuracy == pytest.approx([float(value) for value in values])
    assert truth.pairs.n_true_tied == 2  # a and c; d and e, 1/2 each by different sums
    expected = np.zeros(201, int)
    for k, one in enumerate(values):
        for other in values[k + 1 :]:
            if one != other:
                expected[int(abs(one - other) * 200)] += 1
    assert np.array_equal(padded(truth.pairs.n_pairs), expected)


def test_two_subtasks_of_unequal_size_by_hand() -> None:
    # By items m0 leads m1 by 1/6, by subtasks it trails by 1/8; one run that selects everything agrees with either truth.
    scores = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1]])
    for truth, bin_, leads in (("micro", 33, [4 / 6, 3 / 6]), ("macro", 25, [4 / 8, 5 / 8])):
        board = mb.benchmark(scores, subtask=["big"] * 4 + ["small"] * 2, truth=truth)
        fixed = Method("all", SELECTORS["fixed"]([f"item_{k}" for k in range(6)]), ESTIMATORS["weighted_mean"]())
        listed = mb.sweep(board, fixed, keep_estimates=True)
        assert listed.estimates.sort_values("target")["accuracy_seen"].tolist() == leads
        assert listed.estimates["estimate"].tolist() == pytest.approx([4 / 6, 3 / 6])
        counts = counts_of(listed.tables["cells"])[0]
        assert counts.n_pairs[bin_] == 1
        assert counts.n_agree[bin_] == (truth == "micro")  # the list's own number is the plain mean


@pytest.mark.parametrize("kind", ["macro", "weights"])
@pytest.mark.parametrize("name", sorted(name for name in ESTIMATORS if can_weight(ESTIMATORS[name]) and name not in SHRUNK))
def test_with_all_items_an_estimate_is_the_truth(name: str, kind: str) -> None:
    board = leaderboard(confidence=False)
    board = board.with_truth("macro") if kind == "macro" else weighted(board)
    built = build_method("m", {"name": "random"}, {"name": name})
    shard = shards_of([built], [board], ALL_SEEN)[0]
    draw = draw_run(shard, board, 0)
    truth = true_accuracies(board, "seen", draw.targets, draw.seen)
    (estimates,) = (cell.estimates for cell in estimate_run(shard, board, draw, 0))
    assert estimates == pytest.approx(truth.accuracy, abs=1e-9)
    plain = true_accuracies(leaderboard(confidence=False), "seen", draw.targets, draw.seen)
    assert np.abs(plain.accuracy - truth.accuracy).max() > 0.015


def test_regressions_are_fitted_to_the_truth_of_the_sources() -> None:
    board = macro()
    draw = draw_run(shards_of(["random"], [board])[0], board, 0)
    seen = seen_items(board, draw, "correctness")
    expected = true_accuracies(board, "seen", draw.sources, draw.seen).accuracy
    assert source_accuracies(seen).accuracy == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["random", "random_subtask_equal", "random_subtask_inverse", "stratified_confidence", "diversity"])
def test_weights_of_random_designs_are_unbiased(name: str) -> None:
    board = macro(n_items=24, n_models=16)
    shard = shards_of(["random"], [board], replace(ALL_SEEN, sizes=(8,), n_source=(6,)))[0]
    draw = draw_run(shard, board, 0)
    estimator = ESTIMATORS["mean" if name.startswith("random") else "horvitz_thompson"]()
    selector = SELECTORS[name]()
    seen = seen_items(board, draw, "correctness")
    fit, rng, draws = selector.fit(seen, np.random.default_rng(1)), np.random.default_rng(2), []
    responses = board.scores[draw.targets][:, draw.seen].astype(float)
    for _ in range(300 if name == "diversity" else 1500):
        selection = selector.select(seen, fit, 8, rng)
        draws.append(estimator.estimate(responses[:, selection.items], selection, seen, None))
    found = np.array(draws)
    truth = true_accuracies(board, "seen", draw.targets, draw.seen).accuracy
    error = (found.mean(axis=0) - truth) / (found.std(axis=0) / np.sqrt(len(found)) + 1e-9)
    bias = 0.012 if name in ("random", "random_subtask_inverse") else 0.0  # ratios, of the order 1/size
    assert np.all((np.abs(error) < 4) | (np.abs(found.mean(axis=0) - truth) < bias))


@pytest.mark.parametrize("name", sorted(set(SELECTORS) - {"fixed"}))
def test_every_selector_works_and_its_weights_are_shares(name: str) -> None:
    board = macro(n_models=20, n_items=36)
    shard = shards_of([method(name)], [board], Grid(sizes=(9,), n_source=(10,), n_target=4, runs=1))[0]
    draw = draw_run(shard, board, 0)
    selector = SELECTORS[name]()
    seen = seen_items(board, draw, selector.signal if selector.signal != "answers" else "confidence")
    assert required(seen.weights).sum() == pytest.approx(1)
    selection = selector.select(seen, selector.fit(seen, np.random.default_rng(0)), 9, np.random.default_rng(1))
    if selection.weights is not None:
        assert selection.weights.sum() == pytest.approx(1, abs=0.5 if name in ("stratified_confidence", "diversity") else 1e-9)
    (estimates,) = (cell.estimates for cell in estimate_run(shard, board, draw, 0))
    assert np.isfinite(estimates).all()


def test_shares_of_clusters_are_sums_of_their_items() -> None:
    # Two clusters of items on which the sources respond alike, the second in a small subtask: it has half of the truth.
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 2, (2, 12, 1))
    responses = np.concatenate([np.repeat(one, 6, axis=1), np.repeat(other, 2, axis=1)], axis=1).astype(np.float32)
    subtask = np.array([0] * 6 + [1] * 2, np.int32)
    weights = np.array([1 / 12] * 6 + [1 / 4] * 2)
    seen = SeenItems(np.array([f"q{k}" for k in range(8)], object), subtask, responses, weights=weights)
    for name in ("anchor_points", "embedding_kmeans"):
        selector = SELECTORS[name]()
        selection = selector.select(seen, selector.fit(seen, np.random.default_rng(0)), 2, np.random.default_rng(1))
        shares = dict(zip(subtask[selection.items].tolist(), required(selection.weights).tolist(), strict=True))
        assert shares == pytest.approx({0: 1 / 2, 1: 1 / 2}), name


def test_estimators_that_cannot_weight_are_refused_in_one_message() -> None:
    board = macro()
    with refuses(ConfigError, "count differently", where="macro", got="random_aipw", hint="ridge"):
        mb.sweep(board, ["random", "random_aipw"], [5], n_source=8, n_target=5, runs=1)
    with refuses(ConfigError, "count differently", got="aipw"):
        mb.export(board, 5, "random_aipw")

    class Own(EstimatorWithoutFit):
        signal: Signal = "correctness"

        def estimate(self, responses: Any, selection: Selection, seen: SeenItems, fit: None) -> Any:
            return responses.mean(axis=1)

    own = Method("own", SELECTORS["random"](), Own())
    with refuses(ConfigError, "count differently", got="own", hint="seen.weights"):
        mb.sweep(board, own, [5], n_source=8, n_target=5, runs=1)
    check_weighted([own], "micro")


def test_subtasks_apart_are_what_they_were() -> None:
    grid = Grid(sizes=(3,), n_source=(12,), n_target=7, runs=2, subtasks="separate")
    micro, of_macro = (tables_of(["random"], [board], grid) for board in (leaderboard(), macro()))
    assert micro.equals(of_macro)


def test_a_fixed_list_is_judged_by_the_truth_of_the_board() -> None:
    board = macro()
    listed = build_method("l", {"name": "fixed", "items": [f"q{k}" for k in range(0, 40, 3)]}, {"name": "weighted_mean"})
    ((shard),) = shards_of([listed], [board], model_resamples=20)
    tables = evaluate_shard(replace(shard, keep_estimates=True), board)
    truth = [float(required(value)) for value in exact_accuracies(board, np.arange(30), np.arange(40))]
    assert tables["estimates"]["accuracy_seen"].to_pylist() == pytest.approx(truth)
    plain = board.scores[:, ::3].mean(axis=1)
    assert tables["estimates"]["estimate"].to_pylist() == pytest.approx(plain.tolist())
    resampled = counts_of(tables["resamples"])
    assert int(resampled[0].n_pairs.sum()) + int(resampled[0].n_true_tied) > 0


def test_finished_cells_of_another_truth_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = {"item_id": [f"i{k}" for k in range(40)], "subtask": [f"s{k // 30}" for k in range(40)]}
    rng = np.random.default_rng(0)
    pd.DataFrame(frame | {f"m{k}": rng.integers(0, 2, 40) for k in range(14)}).to_csv(tmp_path / "b.csv", index=False)
    command = [
        *("sweep", "benchmark=scores", f"benchmark.path={tmp_path / 'b.csv'}", "methods=[random]", "grid.sizes=[5]"),
        *("grid.n_source=[5]", "grid.n_target=5", "grid.runs=2", "n_resamples=100", "figures=false", "report=false"),
        *("engine=serial", f"out={tmp_path / 'out'}"),
    ]
    assert main([*command, "benchmark.truth=macro"]) == 0
    assert main(command) == 1
    assert main([*command, "benchmark.truth=mean"]) == 1
    assert main([*command, "benchmark.truth=macro"]) == 0
    with refuses(StoreError, "truth", got="macro", hint="out"):
        check_manifest(SweepStore(str(tmp_path / "out")), [mb.read_scores(tmp_path / "b.csv")], 0)
    planned = ["plan", "benchmark=scores", f"benchmark.path={tmp_path / 'b.csv'}", f"results={tmp_path / 'out'}"]
    assert main([*planned, "benchmark.truth=macro"]) == 0
    assert main(planned) == 1
    assert "truth" in capsys.readouterr().err
