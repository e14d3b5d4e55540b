"""Parquet files of a few kilobytes that describe gigabytes are refused in bounded memory by every reader of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import microbench_ray as mb
from microbench_ray.audit.history import History
from microbench_ray.core.errors import MicrobenchError
from microbench_ray.core.parquet import MIN_LIMIT, OversizedTable, memory_limit, read_parquet
from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.store import Store
from microbench_ray.data.responses import read_responses
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.tables import TableReader
from microbench_ray.sweeps.results import DamagedFiles, SweepStore
from microbench_ray.sweeps.reuse import CellSelection

MEGABYTE = 1 << 20
ROWS = 6_000


POOLS: list[pa.MemoryPool] = []
"""Kept for the whole process: memory may be freed after its test."""


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    """Arrow's memory of one test."""
    before = pa.default_memory_pool()
    POOLS.append(pa.proxy_memory_pool(before))
    pa.set_memory_pool(POOLS[-1])
    yield POOLS[-1]
    pa.set_memory_pool(before)


def bomb(path: Path, *names: str, store_schema: bool) -> Path:
    """A table of `ROWS` rows in which every text column repeats one text of a megabyte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    column = pa.DictionaryArray.from_arrays(pa.array([0] * ROWS, pa.int32()), pa.array(["x" * MEGABYTE]))
    table = pa.table(dict.fromkeys(names, column) | {"m": pa.array([1.0] * ROWS)})
    pq.write_table(table, path, compression="zstd", data_page_size=1 << 30, store_schema=store_schema)
    assert path.stat().st_size < 6_000
    return path


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a score table": ("t.parquet", lambda folder: mb.read_scores(folder / "t.parquet")),
    "its confidences": ("ok.confidence.parquet", lambda folder: mb.read_scores(folder / "ok.parquet")),
    "its models": ("ok.models.parquet", lambda folder: mb.read_scores(folder / "ok.parquet")),
    "a table to ingest": ("t.parquet", lambda folder: read_all(folder / "t.parquet")),
    "a model's responses": ("models/m.parquet", lambda folder: read_responses(LocalFolder(folder), "models/m.parquet")),
    "a table of results": ("mdad.parquet", lambda folder: Store(folder).read_table("mdad")),
    "a night": ("history/2026-01-01.parquet", lambda folder: History(Store(folder)).read()),
    "cells": ("cells/a.parquet", lambda folder: SweepStore(folder).read_selected("cells", [CellSelection(file="a")])),
}


def read_all(path: Path) -> None:
    log = TableReader().find(path, Options(), Tally())[-1]
    list(TableReader().read(log, Options(), Tally()))


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("reader", READERS)
def test_a_dictionary_bomb_is_refused(reader: str, store_schema: bool, tmp_path: Path, pool: pa.MemoryPool) -> None:
    name, read = READERS[reader]
    pq.write_table(pa.table({"item_id": ["a", "b"], "m": [1.0, 0.0], "n": [1.0, 0.0]}), tmp_path / "ok.parquet")
    bomb(tmp_path / name, "item_id", "model_id", store_schema=store_schema)
    with pytest.raises((MicrobenchError, DamagedFiles)) as caught:
        read(tmp_path)
    assert "bytes" in str(caught.value) or "text" in str(caught.value)
    assert pool.max_memory() < MIN_LIMIT


def test_runs_of_a_number_are_counted(tmp_path: Path) -> None:
    rows = 10**7
    path = tmp_path / "runs.parquet"
    table = pa.table({f"m{k}": pa.repeat(1.0, rows) for k in range(4)})  # 320 MB
    pq.write_table(table, path, compression="zstd")
    assert memory_limit(path.stat().st_size) == MIN_LIMIT
    with pytest.raises(OversizedTable, match="268,435,456"):
        read_parquet(str(path), path.stat().st_size)
    assert len(read_parquet(str(path), path.stat().st_size, ["m1"])) == rows


def test_tables_are_read_as_by_arrow(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    texts = pa.array(["a", None, "b", "a"])
    fields = [pa.field("t", pa.string(), metadata={"unit": "x"}), pa.field("d", pa.dictionary(pa.int32(), pa.string()))]
    fields += [pa.field("l", pa.list_(pa.float64())), pa.field("n", pa.int64()), pa.field("s", pa.large_string())]
    columns = [
        texts,
        texts.dictionary_encode(),
        pa.array([[1.0], [], None, [2.0]]),
        pa.array([1, 2, 3, None]),
        texts.cast("large_string"),
    ]
    table = pa.table(columns, schema=pa.schema(fields, metadata={"k": "v"}))
    for given in (table, table.slice(0, 0), table.drop_columns(["t", "d", "s"])):
        for size in (2, 100):
            pq.write_table(given, path, row_group_size=size)
            for columns_read in (None, ["n", "t"], ["nothing"]):
                expected = pq.ParquetFile(path).read(columns=columns_read)
                found = read_parquet(str(path), path.stat().st_size, columns_read)
                assert found.equals(expected), (size, columns_read)
                assert found.schema.equals(expected.schema, check_metadata=True)
