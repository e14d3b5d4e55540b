"""Logs read by columns have the responses, and the counts, that they have sample by sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Reader, Scale, Tally
from microbench_ray.ingest.columns import ColumnReader
from microbench_ray.ingest.fold import fold
from microbench_ray.ingest.livebench import LiveBenchReader
from microbench_ray.ingest.tables import TableReader
from microbench_ray.ingest.vlmevalkit import VlmEvalKitReader
from tests.helpers.errors import refuses
from tests.helpers.tool_logs import write_json

NAN = float("nan")


def both(reader: Reader, path: Path, options: Options | None = None) -> int:
    """Compare the two ways of reading, and return how many logs were read by columns."""
    assert isinstance(reader, ColumnReader)
    options = options or Options()
    read = 0
    for log in reader.find(path, options, Tally()):
        plain, tally = Tally(scale=options.scale), Tally(scale=options.scale)
        found = reader.responses(log, options, tally, "name")
        if found is None:
            assert tally == Tally(scale=options.scale)
            continue
        read += 1
        expected = fold(reader.read(log, options, plain), "name")
        assert found.schema == expected.schema
        assert found.sort_by("item_id").to_pylist() == expected.sort_by("item_id").to_pylist()
        assert (tally.dropped, tally.choices.keys()) == (plain.dropped, plain.choices.keys())
        assert tally.suspicious.keys() == plain.suspicious.keys()
    return read


WIDE = pa.table({
    "item_id": ["q1", "q2", "overall"], "subtask": ["a", "b", "a"], "m": [1.0, None, NAN], "n": [1, 0, 1], "o": [True, False, None],
})  # fmt: skip


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
@pytest.mark.parametrize("options", [Options(), Options(tasks=("a",)), Options(scale=Scale(0.0, 1.0))])
def test_tables(tmp_path: Path, suffix: str, options: Options) -> None:
    if suffix == ".parquet":
        pq.write_table(WIDE, tmp_path / "t.parquet")
    elif suffix == ".csv":
        (tmp_path / "t.csv").write_text("item_id,subtask,m,n,o\nq1,a,1,1,true\nq2,b,,0,false\noverall,a,0.25,1,\n")
    else:
        rows = [{name: None if value != value else value for name, value in row.items()} for row in WIDE.to_pylist()]
        (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert both(TableReader(), tmp_path, options) == 3


def test_a_scale_that_falls_makes_no_negative_zero(tmp_path: Path) -> None:
    """1 is the worst score: as text, the two ways of reading say the same."""
    pq.write_table(WIDE, tmp_path / "t.parquet")
    options, reader = Options(scale=Scale(0.0, 1.0)), TableReader()
    for log in reader.find(tmp_path, options, Tally()):
        found = reader.responses(log, options, Tally(scale=options.scale), "name")
        assert found is not None
        assert "-0.0" not in repr(found["score"].to_pylist())


def test_rows_without_ids(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("m,n\n1,0\n0,0\n1,0.5\n")
    assert both(TableReader(), tmp_path) == 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("item_id,m\nq1,1\nq1,0\n", None),  # repetitions in a wide table
        ("item_id,m\nq1,1\n,0\n", "no item_id"),
        ("item_id,m,n\nq1,2,0\nq2,2,0\n", "outside"),
    ],
)
def test_tables_that_are_read_by_samples(tmp_path: Path, text: str, word: str | None) -> None:
    (tmp_path / "t.csv").write_text(text)
    reader = TableReader()
    log = reader.find(tmp_path, Options(), Tally())[0]
    assert reader.responses(log, Options(), Tally(), "x") is None
    if word is not None:
        with refuses(DataError, word, where="t.csv"):
            list(reader.read(log, Options(), Tally()))


def judged(question: str, model: str, score: Any, **more: Any) -> dict[str, Any]:
    return {"question_id": question, "task": "zebra", "model": model, "score": score, "category": "reasoning"} | more


def test_judgments(tmp_path: Path) -> None:
    lines = [
        judged("a", "m", 1, turn=1, nested={"x": [1]}),
        judged("b", "m", 0.25, eval_status="eval_error"),
        judged("a", "m", 0, task="spatial"),  # a second judgment of the item
        judged("a", "n", -1),
        judged("a", "n", 0.1),
        judged("a", "n", 0.7),
        judged("c", "n", -1, category=None),
        judged("d", "n", NAN),
    ]
    file = write_json(tmp_path / "model_judgment/ground_truth_judgment.jsonl", lines)
    assert both(LiveBenchReader(), tmp_path) == 2
    assert both(LiveBenchReader(), tmp_path, Options(tasks=("reasoning/zebra",))) == 2
    for change, read in (({"score": "0.5"}, 0), ({"score": True}, 0), ({"question_id": 3}, 0), ({"score": 2}, 1)):
        write_json(file, [judged("a", "m", 1) | change, judged("a", "n", 1)])
        reader = LiveBenchReader()
        if read:
            assert [reader.responses(log, Options(), Tally(), "x") is None for log in reader.find(file, Options(), Tally())] == [
                True,
                False,
            ]
            with refuses(DataError, "outside", where="judgment.jsonl"):
                list(reader.read(reader.find(file, Options(), Tally())[0], Options(), Tally()))
        else:
            assert both(reader, tmp_path) == 0


VLM = "index\tquestion\tA\tcategory\thit\tscore\n"


@pytest.mark.parametrize(
    ("rows", "options", "read"),
    [
        ("0\tWhy?\tyes\tlogic\t1\t50\n1\tWho?\t\t\t0\t0\n\n", Options(), 1),
        ("0\tWhy?\tyes\tlogic\t1\t50\n0\tWhy?\tyes\tlogic\t0\t0\n", Options(), 1),  # repetitions
        ("0\tWhy?\tyes\tlogic\t\t50\n1\tWho?\tno\tlogic\t 0.5\t0\n", Options(), 1),
        ("0\tWhy?\tyes\tlogic\t1\t50\n1\tWho?\tno\tlogic\t0\t\n", Options(metric="score", scale=Scale(100.0, 0.0)), 1),
        ("0\tWhy?\tyes\tlogic\t1\t50\n", Options(tasks=("MMStar",)), 1),
        ("0\tWhy?\tyes\tlogic\t1\t50\n", Options(tasks=("MMStar/logic",)), 0),
        ("0\tWhy?\tyes\tlogic\t1\n", Options(), 0),
        ("0\tWhy?\tyes\tlogic\tnan\t1\n1\tWho?\tno\tlogic\t1\t1\n", Options(), 0),
    ],
)
def test_vlmevalkit(tmp_path: Path, rows: str, options: Options, read: int) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/m_MMStar_exact_matching_result.tsv").write_text(VLM + rows)
    assert both(VlmEvalKitReader(), tmp_path, options) == read


@pytest.mark.parametrize(("rows", "word"), [("0\tW\tA\tc\tyes\t1\n", "not a number"), ("0\tW\tA\tc\t2\t1\n", "outside"), ("", "")])
def test_what_is_wrong_in_a_table_of_vlmevalkit_is_left_to_the_samples(tmp_path: Path, rows: str, word: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/m_MMStar_exact_matching_result.tsv").write_text(VLM + rows)
    reader = VlmEvalKitReader()
    (log,) = reader.find(tmp_path, Options(), Tally())
    assert reader.responses(log, Options(), Tally(), "x") is None
    if word:
        with refuses(DataError, word):
            list(reader.read(log, Options(), Tally()))


@pytest.mark.parametrize("header", ["index\tA\tA\tcategory\thit", "a\ta\tA\tcategory\thit", "index\tquestion\tA\tcategory\tscore"])
def test_a_table_of_vlmevalkit_with_other_columns_is_left_to_the_samples(tmp_path: Path, header: str) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/m_MMStar_exact_matching_result.tsv").write_text(f"{header}\n0\tW\tA\tc\t1\n")
    (log,) = VlmEvalKitReader().find(tmp_path, Options(), Tally())
    assert VlmEvalKitReader().responses(log, Options(), Tally(), "x") is None
