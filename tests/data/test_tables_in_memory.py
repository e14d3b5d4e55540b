"""Tables of pandas, polars, Arrow and plain Python, in every shape: the same scores."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import DataError
from tests.data.test_table_shapes import small_board
from tests.helpers.errors import refuses
from tests.helpers.score_board import Board, same_scores

SHAPES: dict[str, Callable[[Board], Any]] = {
    "a wide frame": lambda board: board.wide(),
    "ids in the index": lambda board: board.plain().rename_axis("item_id"),
    "ids in an index without a name": lambda board: board.plain(),
    "models as rows": lambda board: board.plain().T.rename_axis("model"),
    "a tidy frame": lambda board: board.long(),
    "a tidy frame, filtered": lambda board: board.long().sample(frac=1, random_state=0),
    "two levels of an index": lambda board: board.long().set_index(["model", "item_id"])[["score"]],
    "a series": lambda board: board.long().set_index(["model", "item_id"])["score"],
    "categories": lambda board: board.long().astype({"model": "category", "item_id": "category"}),
    "strings of pandas": lambda board: board.long().astype({"model": "string", "item_id": "string"}),
    "Arrow, wide": lambda board: pa.Table.from_pandas(board.wide(), preserve_index=False),
    "Arrow, long": lambda board: pa.Table.from_pandas(board.long(), preserve_index=False),
    "a record batch": lambda board: pa.RecordBatch.from_pandas(board.long(), preserve_index=False),
    "polars, wide": lambda board: pl.from_pandas(board.wide()),
    "polars, long": lambda board: pl.from_pandas(board.long()),
    "polars, lazy": lambda board: pl.from_pandas(board.long()).lazy(),
    "a dict of columns": lambda board: {name: list(column) for name, column in board.long().items()},
    "a dict of arrays": lambda board: {name: column.to_numpy() for name, column in board.wide().items()},
    "a dict of dicts": lambda board: {
        model: {item: score for item, score in zip(board.items, row, strict=True) if score == score}
        for model, row in zip(board.models, board.scores, strict=True)
    },
    "a list of dicts": lambda board: board.long().to_dict("records"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_of_table(shape: str) -> None:
    board = small_board()
    given = SHAPES[shape](board)
    before = given.copy() if isinstance(given, pd.DataFrame) else None
    assert same_scores(mb.benchmark(given, max_missing=1), board, ids=True)
    if before is not None:
        pd.testing.assert_frame_equal(given, before)


@pytest.mark.parametrize("kind", [str, Path])
def test_paths(kind: Callable[[Path], Any], tmp_path: Path) -> None:
    board = small_board()
    board.long().to_csv(tmp_path / "mine.csv", index=False)
    found = mb.benchmark(kind(tmp_path / "mine.csv"), max_missing=1)
    assert same_scores(found, board, ids=True)
    assert found.name == "mine"
    assert mb.benchmark(kind(tmp_path / "mine.csv"), name="x", max_missing=1).name == "x"
    with refuses(DataError, "already has names", where="item_ids"):
        mb.benchmark(kind(tmp_path / "mine.csv"), item_ids=["a"])


def test_keys_are_those_of_files() -> None:
    board = small_board()
    frame = board.long("who", "what", "how").assign(how=lambda each: 100 * each["how"])
    with refuses(DataError, "ids", where="scores", hint="columns={model: NAME"):
        mb.benchmark(frame)
    found = mb.benchmark(frame, columns={"model": "who", "item": "what", "score": "how"}, scale=100, max_missing=1)
    assert same_scores(found, board, ids=True)
    with refuses(DataError, "tables", where="scale", got="array"):
        mb.benchmark(np.eye(3), scale=100)


@pytest.mark.parametrize(
    ("given", "word", "hint"),
    [
        ({"item_id": ["a"], "m": [1, 0]}, "one length", "item_id"),
        ({"item_id": "a"}, "one length", "item_id"),
        ([{"item_id": "a"}, 7], "scores", "NaN"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "acc")])), "levels", "stack"),
        (pd.DataFrame({"a": [1, 0], "b": [0, 1]}, index=["u", "v"]), "items or the models", "shape=items"),
    ],
)
def test_tables_that_are_refused(given: Any, word: str, hint: str) -> None:
    with refuses(DataError, word, where="scores", hint=hint):
        mb.benchmark(given)


def test_repeats_are_averaged_and_two_models_stay_two() -> None:
    rows = [("a", "q1", 0, 1), ("a", "q1", 1, 0), ("b", "q1", 0, 1), ("b", "q1", 1, None), ("b", "q2", 0, 0), ("a", "q2", 0, 0)]
    found = mb.benchmark(pd.DataFrame(rows, columns=["model", "item", "epoch", "score"]))
    scores = dict(zip(found.model_ids, (found.scores / found.units).tolist(), strict=True))
    assert scores == {"a": [0.5, 0.0], "b": [1.0, 0.0]}  # (1 + 0) / 2; the one repeat with a score
    revisions = pd.DataFrame({"model": ["m", "m"], "revision": ["r1", "r2"], "item": ["q", "q"], "score": [1, 0]})
    with refuses(DataError, "different scores", hint="revision"):
        mb.benchmark(revisions)
    found = mb.benchmark(revisions, columns={"model": ["model", "revision"]})
    assert list(found.model_ids) == ["m/r1", "m/r2"]


def test_without_openpyxl_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = small_board()
    board.wide().to_excel(tmp_path / "t.xlsx", index=False)
    imported = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("openpyxl"):
            raise ImportError(name)
        return imported(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with refuses(DataError, "openpyxl", where="t.xlsx", hint="microbench-ray[excel]"):
        mb.read_scores(tmp_path / "t.xlsx")
