"""Suites of boards: the average by hand, models that miss a board, weights, ids, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.data.truth import item_shares, weighted_accuracies
from tests.helpers.errors import refuses

MODELS = ["m1", "m2", "m3"]
A = [[1, 0], [1, 1], [0, 0]]
B = [[1, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]]


def board(name: str, scores: Any = A, models: list[str] | None = None, **given: Any) -> Benchmark:
    n_items = np.shape(scores)[1]
    given = {"item_ids": [f"q{k}" for k in range(n_items)]} | given
    return mb.benchmark(np.array(scores, float), model_ids=models or MODELS, name=name, **given)


def test_the_average_by_hand() -> None:
    both = mb.suite([board("a"), board("b", B)])
    assert both.accuracies().tolist() == [0.5, (1 + 0.25) / 2, 0.5]  # of .5 and .5, 1 and .25, 0 and 1
    assert (both.truth, both.subtask_names, both.subtask_codes.tolist()) == ("macro", ["a", "b"], [0, 0, 1, 1, 1, 1])
    assert both.item_ids.tolist() == ["a/q0", "a/q1", "b/q0", "b/q1", "b/q2", "b/q3"]
    assert both.weights is None
    assert both.notes == ()
    assert both.digest == mb.suite([board("a"), board("b", B)], weights={"a": 2, "b": 2}).digest


def test_weights_of_boards() -> None:
    both = mb.suite([board("a"), board("b", B)], weights={"b": 3})
    assert both.accuracies() == pytest.approx([0.5, 0.25 * 1 + 0.75 * 0.25, 0.75])
    assert item_shares(both, np.arange(6)) == pytest.approx([1 / 8, 1 / 8, *[3 / 16] * 4])
    # Of some items, a board counts the same: its share is divided among those that are given.
    assert item_shares(both, np.array([0, 2, 5])) == pytest.approx([1 / 4, 3 / 8, 3 / 8])
    assert item_shares(both, np.array([2, 5])) == pytest.approx([1 / 2, 1 / 2])
    assert weighted_accuracies(both, np.array([0]), np.array([0, 2, 3])) == pytest.approx([1 / 4 + 3 / 8])
    assert any("a 0.25, b 0.75" in note for note in both.notes)


def test_a_board_ranks_by_its_own_number() -> None:
    """Board b is the mean of its subtasks x (one item) and y (three); board c weights its items 3 to 1."""
    b = board("b", B, subtask=["x", "y", "y", "y"]).with_truth("macro")
    c = board("c", [[1, 0], [0, 1], [1, 1]], weights=[3, 1])
    suite = mb.suite([board("a"), b, c])
    expected = [(own + x + y) / 3 for own, x, y in zip(board("a").accuracies(), b.accuracies(), c.accuracies(), strict=True)]
    assert suite.accuracies() == pytest.approx(expected)
    assert b.accuracies() == pytest.approx([(1 + 1 / 3) / 2, (0 + 1 / 3) / 2, 1])
    assert suite.weights is not None
    assert suite.weights.sum() == pytest.approx(1)


def test_a_missing_response_is_left_out_of_its_board() -> None:
    b = board("b", [[1, np.nan, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1]], max_missing=0.5)
    for weights, expected in (({}, (0.5 + 2 / 3) / 2), ({"a": 3}, 0.75 * 0.5 + 0.25 * 2 / 3)):
        assert mb.suite([board("a"), b], weights=weights).accuracies()[0] == pytest.approx(expected)


def test_models_that_miss_a_board_are_left_out_by_name() -> None:
    a, b = board("a", models=["m3", "m1", "m9"]), board("b", B, models=["m1", "m2", "m3"])
    both = mb.suite([a, b])
    assert both.model_ids.tolist() == ["m3", "m1"]
    assert both.scores[0].tolist() == [1, 0, 1, 1, 1, 1]
    note = next(note for note in both.notes if "left out" in note)
    assert "2 of 4" in note
    assert "'m9' (not on b)" in note
    assert "'m2' (not on a)" in note
    c = board("c", [[1, 1], [0, 1]], models=["m1", "m3"])
    note = next(note for note in mb.suite([a, b, c]).notes if "left out" in note)
    assert "more without" not in note  # m9 and m2 lack two boards
    note = next(note for note in mb.suite([board("a"), b, c]).notes if "left out" in note)
    assert "1 more without c" in note  # m2


def test_ids_are_kept_where_no_two_boards_share_one() -> None:
    other = board("b", B, item_ids=["r0", "r1", "r2", "r3"])
    assert mb.suite([board("a"), other]).item_ids.tolist() == ["q0", "q1", "r0", "r1", "r2", "r3"]
    slashes = [board("a", item_ids=["b/q", "q"]), board("a/b", [[1, 1], [0, 1], [1, 0]], item_ids=["q", "r"])]
    with refuses(DataError, "unique", got="a/b/q"):  # also under the names of their boards
        mb.suite(slashes)


def test_what_items_and_models_have_is_kept_where_all_boards_have_it() -> None:
    cells = np.full((3, 2), 0.5)
    about = pd.DataFrame({"model_id": MODELS, "family": ["x", "y", "x"]})
    a = board("a", cost=[1, 2], cluster=["p", "p"], confidence=cells, metadata=about)
    b = board("b", B, cost=[1, 2, 3, 4], metadata=about.assign(params=[1.0, 2.0, 3.0], family="z"))
    both = mb.suite([a, b])
    assert both.costs is not None
    assert both.costs.tolist() == [1, 2, 1, 2, 3, 4]
    assert both.cluster_codes is not None
    assert both.cluster_codes.tolist() == [0, 0, 1, 2, 3, 4]
    assert both.metadata["family"].tolist() == ["x", "y", "x"]  # of the first board that has it
    assert both.metadata["params"].tolist() == [1, 2, 3]
    assert both.confidence is None
    assert any("confidences" in note and "b" in note for note in both.notes)
    whole = mb.suite([a, board("c", [[0, 1], [1, 1], [0, 1]], confidence=cells)])
    assert whole.confidence is not None
    assert whole.confidence.shape == (3, 4)
    assert whole.costs is None


def test_a_suite_is_kept_as_it_is(tmp_path: Path) -> None:
    both = mb.suite([board("a"), board("b", B)], weights={"b": 3})
    both.save(tmp_path / "suite")
    for stored in (mb.read_scores(tmp_path / "suite"), mb.read_scores(tmp_path / "suite", truth="macro")):
        assert (stored.truth, stored.digest) == ("macro", both.digest)
    sent = pickle.loads(pickle.dumps(both))  # noqa: S301
    assert sent.accuracies().tolist() == both.accuracies().tolist()
    assert both.digest != mb.suite([board("a"), board("b", B)]).digest


def test_comparing_models_of_a_suite() -> None:
    both = mb.suite([board("a"), board("b", B)], weights={"b": 3})
    compared = mb.compare("m1", "m3", benchmark=both)
    assert compared.table()["difference"].tolist() == pytest.approx([0.25])


def test_what_is_no_suite_is_refused() -> None:
    a, b = board("a"), board("b", B)
    for boards, got in (([], "0 board"), ([a], "1 board")):
        with refuses(DataError, "two boards", got=got):
            mb.suite(boards)
    with refuses(DataError, "same name", got="'a'", hint="name"):
        mb.suite([a, board("a", B)])
    with refuses(DataError, "same content", got="'a' and 'c'"):
        mb.suite([a, b, board("c")])
    with refuses(DataError, "models", got="1 on all", hint="name"):
        mb.suite([a, board("b", B, models=["m1", "n2", "n3"])])
    with refuses(DataError, "no board", got="'aa'", hint="did you mean a?"):
        mb.suite([a, b], weights={"aa": 1})
    for weight in (0, -1, np.nan, np.inf, "2"):
        unfit: Any = {"a": weight}
        with refuses(DataError, "positive", where="weights.a"):
            mb.suite([a, b], weights=unfit)
