"""Tables of many shapes, made of one board: the same scores, or one message; none is silently something else."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import DataError, DataWarning
from microbench_ray.data import Benchmark, read_ingested, read_scores
from microbench_ray.data.tables.keys import table_keys
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.score_board import Board, same_scores
from tests.helpers.table_shapes import TABLES, Table


def small_board(models: int = 9, items: int = 40) -> Board:
    """Graded scores, with missing ones, of models with names of models on items with digests as ids."""
    rng = np.random.default_rng(7)
    scores = np.rint(4 * np.clip(rng.normal(np.linspace(0.2, 0.8, models)[:, None], 0.4, (models, items)), 0, 1)) / 4
    scores[rng.random(scores.shape) < 0.03] = np.nan
    return Board(
        models=[f"org/Qwen{k}-{k + 1}B" for k in range(models)],
        items=[f"{int(number):012x}" for number in rng.integers(0, 1 << 48, items)],
        subtasks=[("algebra", "law", "law")[k % 3] for k in range(items)],
        scores=scores,
    )


@cache
def real_board(file: Path) -> Board:
    table = pq.read_table(file)
    models = [column for column in table.column_names if column not in ("item_id", "subtask")]
    return Board(
        models=models,
        items=table["item_id"].to_pylist(),
        subtasks=table["subtask"].to_pylist(),
        scores=np.array([table[model].to_numpy() for model in models], np.float64),
    )


def check(case: str, board: Board, folder: Path) -> tuple[Table, Path]:
    """Read the table of one case in the way that `benchmark=scores` does."""
    table = TABLES[case]
    path = folder / f"t{table.suffix}"
    table.write(board, path, np.random.default_rng(1))
    if table.outcome == "refused":
        with pytest.raises(DataError) as caught:
            read_scores(path, max_missing=1, **table.keys)
        assert caught.value.hint
        assert str(path) in str(caught.value.where)
        return table, path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        found = read_scores(path, max_missing=1, **table.keys)
    check_same(found, table, board)
    return table, path


def check_same(found: Benchmark, table: Table, board: Board) -> None:
    same = same_scores(found, table.board(board), ids=table.ids)
    assert same == (table.outcome == "same"), found.notes
    assert same or found.notes


@pytest.mark.parametrize("case", TABLES)
def test_a_small_board(case: str, tmp_path: Path) -> None:
    """Both doors, the one of sweeps and the one of logs, say the same."""
    board = small_board()
    table, path = check(case, board, tmp_path)
    job = IngestJob(source="table", path=str(path), out=tmp_path / "out", options=Options(table=table_keys(**table.keys)))
    if table.outcome == "refused":
        with pytest.raises(DataError):  # in words that may be those of a log
            run_ingest(job)
        return
    run_ingest(job)
    if table.outcome == "same":
        check_same(read_ingested(tmp_path / "out", max_missing=1, min_answered=0), table, board)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["helm_gsm", "livebench"])
@pytest.mark.parametrize("case", TABLES)
def test_a_real_board(case: str, name: str, test_data: Path, tmp_path: Path) -> None:
    board = real_board(test_data / "boards" / f"{name}.parquet")
    if TABLES[case].suffix == ".xlsx":  # a workbook of all models takes a minute to write
        board = Board(board.models[:12], board.items, board.subtasks, board.scores[:12])
    check(case, board, tmp_path)


def test_there_are_thirty() -> None:
    outcomes: list[Any] = [table.outcome for table in TABLES.values()]
    assert len(outcomes) >= 45
    assert outcomes.count("same") >= 30
