"""Scores of repeated samples are kept from the logs to the folder of responses, and read by `compare`."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.responses import has_repeats, model_file, read_responses
from microbench_ray.ingest import registry
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, run_ingest
from microbench_ray.micro.compare.runs import RunsInput, read_runs
from tests.helpers.plain import PlainReader


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models with repeats, the second with an unscored one."""
    monkeypatch.setitem(registry.READERS, "plain", PlainReader())
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/a.log").write_text("q1 law 1\nq1 law 0\nq1 law 0.5\nq2 law 1\nq3 art none\n")
    (tmp_path / "logs/b.log").write_text("q1 law 1\nq1 law nan\nq2 law 0\nq2 law 1\nq3 art 1\n")
    run_ingest(IngestJob(source="plain", path=str(tmp_path / "logs"), out=tmp_path / "board"))
    return tmp_path / "board"


def test_repeats_are_in_their_order_beside_their_mean(board: Path) -> None:
    rows = {row["item_id"]: row for row in read_responses(open_folder(board), model_file("a")).to_pylist()}
    assert [(rows[item]["score"], rows[item]["repeats"]) for item in ("q1", "q2", "q3")] == [
        (0.5, [1, 0, 0.5]),
        (1, None),
        (None, None),
    ]


@pytest.mark.parametrize("from_logs", [False, True])
def test_a_comparison_reads_the_repeats(board: Path, from_logs: bool) -> None:
    path, source = (str(board.parent / "logs"), "plain") if from_logs else (str(board), None)
    a, b = read_runs(RunsInput(("a", "b"), path, source, Options())).runs
    assert a.scores == {"q1": (1, 0, 0.5), "q2": (1,), "q3": ()}
    assert b.scores == {"q1": (1,), "q2": (0, 1), "q3": (1,)}
    assert a.subtask == {"q1": "law", "q2": "law", "q3": "art"}


def test_a_file_without_repeats_is_read_and_added_to(board: Path) -> None:
    file = board / model_file("a")
    table = pq.read_table(file)
    pq.write_table(table.drop_columns(["repeats"]), file, compression="zstd")
    read = read_responses(open_folder(board), model_file("a"))
    assert set(read.column_names) == set(SCHEMAS["responses"].names)
    assert read["repeats"].null_count == len(read)
    assert read.schema.field("repeats").type == pa.list_(pa.float64())
    (board.parent / "logs/a.log").write_text("q1 law 1\nq4 law 0\nq4 law 1\n")
    summary = run_ingest(IngestJob(source="plain", path=str(board.parent / "logs"), out=board))
    assert summary.updated == ["a"]
    rows = {row["item_id"]: row["repeats"] for row in read_responses(open_folder(board), model_file("a")).to_pylist()}
    assert rows == {"q1": None, "q4": [0, 1]}


def test_a_footer_says_whether_a_file_holds_repeats(board: Path) -> None:
    folder = open_folder(board)
    assert has_repeats(folder, model_file("a"))
    (board.parent / "logs/c.log").write_text("q1 law 1\nq2 law 0\n")
    run_ingest(IngestJob(source="plain", path=str(board.parent / "logs"), out=board))
    assert not has_repeats(folder, model_file("c"))
    file = board / model_file("a")
    pq.write_table(pq.read_table(file).drop_columns(["repeats"]), file, compression="zstd")
    assert not has_repeats(folder, model_file("a"))


def test_repeats_too_few_for_a_reduction_are_an_error_that_names_it(board: Path) -> None:
    job = IngestJob(source="plain", path=str(board.parent / "logs"), out=board.parent / "other", options=Options(reduce="pass@3"))
    (error,) = run_ingest(job).failed.values()  # of b; an item of a has three repeats
    assert "reduce=pass@3" in str(error.hint)
