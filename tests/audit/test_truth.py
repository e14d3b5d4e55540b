"""Audits of leaderboards that rank models by the mean over subtasks, or by weights: ranks, MDADs and drift by that number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.audit.pair_sums import NO_PAIR, pair_matrices
from microbench_ray.audit.profile import profile, profiles
from microbench_ray.audit.ranks import leaderboard, true_ranks
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.methods import ESTIMATORS, Method
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.report.page.provenance import provenance_section
from tests.helpers import nights
from tests.helpers.errors import refuses

NAN = np.nan
SCORES = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 1], [1, 1, NAN, NAN, 1, 0], [1, 0, 1, 0, NAN, NAN]])
LISTS = {"l": Fixed(items=["u", "y"])}


def board(truth: str = "macro", weights: list[float] | None = None) -> Benchmark:
    subtasks = ["big"] * 4 + ["small"] * 2
    return Benchmark.from_arrays("b", SCORES, list("uvwxyz"), list("abcd"), subtasks, max_missing=0.5, truth=truth, weights=weights)


def test_accuracies_by_hand() -> None:
    found = profile(board(), LISTS)
    # a: 1 and 0; b: 1/4 and 1; c: 1 and 1/2; d: 1/2, and nothing of the small subtask.
    assert found.accuracy[:, 0].tolist() == [0.5, 0.625, 0.75, 0.5]
    assert found.accuracy[:, 1].tolist() == [1, 0.25, 1, 0.5]
    assert found.accuracy[:, 0].tolist() == board().accuracies().tolist()
    assert found.answered[:, 0].tolist() == [6, 6, 4, 4]
    taken = found.take(np.array([2, 0]))
    assert taken.accuracy[:, 0].tolist() == [0.75, 0.5]
    weighted = board("micro", weights=[1, 1, 1, 1, 3, 3])
    assert profile(weighted, LISTS).accuracy[:, 0].tolist() == pytest.approx(weighted.accuracies().tolist())
    assert profile(board("micro"), LISTS).truth is None


def test_ranks_and_pairs_are_those_of_the_board() -> None:
    found = profile(board(), LISTS)
    table = leaderboard(found, "l", None, top_k=1, rng=np.random.default_rng(0), n_draws=50)
    assert table["model"].to_pylist() == ["c", "b", "a", "d"]
    assert table["rank"].to_pylist() == [1, 2, 3, 3]
    assert table["n_answered"].to_pylist() == [4, 6, 6, 4]
    bins = pair_matrices(found, "l").bins
    # Differences of 1/8 and 1/4, and the tie of a and d.
    assert bins[0].tolist() == [NO_PAIR, 25, 50, NO_PAIR]
    of_micro = leaderboard(profile(board("micro"), LISTS), "l", None, top_k=1, rng=np.random.default_rng(0), n_draws=50)
    assert of_micro["model"].to_pylist() == ["c", "a", "b", "d"]


def test_rounded_accuracies_that_are_nearly_equal_share_a_rank() -> None:
    sums = np.array([500_000_000_001, 500_000_000_000, 400_000_000_000])
    assert true_ranks(sums, np.ones(3, int), 5).tolist() == [1, 1, 3]
    assert true_ranks(sums, np.ones(3, int)).tolist() == [1, 2, 3]


def test_nights_with_another_truth_are_not_compared() -> None:
    with refuses(DataError, "ranked", got="macro", hint="micro"):
        profiles(board("micro"), board(), LISTS)
    before, after = profiles(board(), board(), LISTS)
    assert before.accuracy[:, 0].tolist() == after.accuracy[:, 0].tolist()


def test_an_audit_ranks_by_the_number_of_the_board(tmp_path: Path) -> None:
    # Four subtasks of 80, of which the audit's board keeps 80, 40, 20 and 10 items.
    kept = np.array([k for k in range(nights.ITEMS) if k // 4 < (80, 40, 20, 10)[k % 4]])
    whole = nights.responses()
    names = [f"s{k % 4}" for k in kept]

    def of(scores: np.ndarray, truth: str) -> Benchmark:
        models = [f"m{k:03}" for k in range(len(scores))]
        return Benchmark.from_arrays("board", scores[:, kept], [f"i{k:03}" for k in kept], models, names, truth=truth)

    lists = (Method("tiny", Fixed([f"i{k:03}" for k in kept[::4]]), ESTIMATORS["weighted_mean"]()),)
    first, second = (
        nights.run(tmp_path, night, of(scores, "macro"), lists=lists)
        for night, scores in (("2026-01-01", whole[:60]), ("2026-01-02", whole))
    )
    assert "violated" not in (first.verdict["status"], second.verdict["status"])
    assert second.verdict["made"]["benchmark"]["truth"] == "macro"
    assert "truth=macro" in second.verdict["headline"]
    page = provenance_section({"benchmarks": {"board": second.verdict["made"]["benchmark"]}}, second.verdict)
    assert "truth=macro" in str(page)
    table = pq.read_table(f"{second.folder}/leaderboard.parquet").to_pandas().set_index("model")
    accuracies = {truth: of(whole, truth).table().set_index("model")["accuracy"] for truth in ("macro", "micro")}
    assert np.allclose(table["accuracy"], accuracies["macro"].loc[table.index])
    ranks = {truth: values.rank(ascending=False, method="min") for truth, values in accuracies.items()}
    assert (table["rank"] == ranks["macro"].loc[table.index]).mean() > 0.9  # floats miss some ties
    assert (table["rank"] == ranks["micro"].loc[table.index]).mean() < 0.5
