"""Parquet files that describe more memory than they have bytes are refused in bounded memory, and the other tables are read."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.lighteval import LightevalReader
from microbench_ray.ingest.run import IngestJob, run_ingest
from microbench_ray.ingest.tables import TableReader
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import read_one
from tests.helpers.reading import MEGABYTE, read_in_subprocess


def repeated(value: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))


def write(file: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), file, compression="zstd", data_page_size=1 << 30)
    return file


def test_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    small = write(tmp_path / "small.parquet", item_id=pa.array(["a"]), m=pa.array([1.0]))
    text, rows = "x" * MEGABYTE, 2_000
    paths = {
        "texts of a column": write(tmp_path / "texts.parquet", item_id=repeated(text, rows), m=pa.array([1.0] * rows)),
        "more rows than": write(tmp_path / "rows.parquet", item_id=repeated("a", 10**6), m=pa.array([1.0] * 10**6)),
    }
    assert all(path.stat().st_size < MEGABYTE // 8 for path in paths.values())
    for message, reading in read_in_subprocess(TableReader, paths, 64 * MEGABYTE, warm_up=small).items():
        assert message in reading.message
        assert reading.growth < 300 * MEGABYTE


def test_lists_are_not_scores(tmp_path: Path) -> None:
    file = write(tmp_path / "t.parquet", item_id=pa.array(["a"]), m=pa.array([[1.0]]))
    with refuses(DataError, "no number", where="'m'", got="[1.0]"):
        read_one(TableReader(), file)


def test_a_details_file_with_more_rows_than_bytes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "details_t_2026-01-01T00-00-00.parquet"
    rows = 10**6
    doc = pa.StructArray.from_arrays([repeated("a", rows).cast(pa.string())] * 4, ["query", "choices", "gold_index", "id"])
    metric = pa.StructArray.from_arrays([pa.array([1.0] * rows)], ["em"])
    response = pa.StructArray.from_arrays([pa.nulls(rows, pa.float64())], ["logprobs"])
    write(file, doc=doc, metric=metric, model_response=response)
    [log] = LightevalReader().find(file, Options(), Tally())
    with refuses(DataError, "rows", where=file.name, got="1,000,000 rows"):
        next(iter(LightevalReader().read(log, Options(), Tally())))


@pytest.mark.parametrize("shape", [[10**20], [2**62, 2**62], [-1]])
def test_a_tensor_of_an_impossible_shape_fails_alone(tmp_path: Path, shape: list[int]) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    write(logs / "good.parquet", item_id=pa.array(["a"]), m=pa.array([1.0]))
    extension = {
        b"ARROW:extension:name": b"arrow.fixed_shape_tensor",
        b"ARROW:extension:metadata": json.dumps({"shape": shape}).encode(),
    }
    kind = pa.list_(pa.float64(), 2)
    fields = [pa.field("item_id", pa.string()), pa.field("n", kind, metadata=extension)]
    table = pa.table([pa.array(["a"]), pa.array([[1.0, 2.0]], kind)], schema=pa.schema(fields))
    pq.write_table(table, logs / "bad.parquet")
    summary = run_ingest(IngestJob(source="scores", path=str(logs), out=tmp_path / "out"))
    assert summary.added == ["m"]
    assert len(summary.failed) == 1
