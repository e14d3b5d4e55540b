"""A small score table, the command that sweeps it, and comparisons of output folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

N_MODELS, N_ITEMS = 40, 120
TABLES = ("agreement", "mdad", "summary")
CELL = ["benchmark", "method", "n_source", "size", "fraction", "targets", "run", "split"]


def columns(n_models: int = N_MODELS, n_items: int = N_ITEMS, seed: int = 0) -> dict[str, Any]:
    """The columns of a wide table of 0/1 scores in three subtasks."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=n_models)[:, None] - rng.normal(size=n_items) + rng.logistic(size=(n_models, n_items))
    about = {"item_id": [f"i{k}" for k in range(n_items)], "subtask": [f"s{k % 3}" for k in range(n_items)]}
    return about | {f"m{k:02d}": (row > 0).astype(np.uint8) for k, row in enumerate(latent)}


def write_board(path: Path, **changes: Any) -> Path:
    """Write the table as Parquet, with some columns replaced."""
    pq.write_table(pa.table(columns() | changes), path)
    return path


def command(board: Path, out: Path, *more: str, engine: str = "serial", runs: int = 20) -> list[str]:
    """The arguments of a sweep of the table: 3 sizes, 2 numbers of source models, 2 methods, one of them with a fit."""
    return [
        "sweep",
        "benchmark=scores",
        f"benchmark.path={board}",
        "methods=[random,stratified_confidence]",
        "grid.sizes=[5,10,20]",
        "grid.n_source=[10,20]",
        "grid.n_target=15",
        f"grid.runs={runs}",
        "n_resamples=100",
        "figures=false",
        "report=false",
        f"engine={engine}",
        f"out={out}",
        *more,
    ]


def read_cells(out: Path) -> pa.Table:
    """All cells of an output folder, sorted by their key, without the files' metadata."""
    table = ds.dataset(sorted(map(str, (out / "cells").glob("*.parquet"))), format="parquet").to_table().replace_schema_metadata()
    return table.combine_chunks().sort_by([(name, "ascending") for name in CELL])


def read_tables(out: Path) -> dict[str, pa.Table]:
    """The reduced tables and the cells of an output folder."""
    return {name: pq.read_table(out / f"{name}.parquet") for name in TABLES} | {"cells": read_cells(out)}


def assert_same_tables(out: Path, other: Path) -> None:
    """Check that both output folders hold equal, non-empty tables, including their metadata."""
    ours, theirs = read_tables(out), read_tables(other)
    for name, table in ours.items():
        assert len(table), name
        assert table.equals(theirs[name], check_metadata=True), name


def with_flipped_bit(content: bytes, column: str = "mean_abs_error") -> bytes:
    """The content of a Parquet file with one bit of a page changed."""
    file = pq.ParquetFile(pa.BufferReader(content))
    chunk = file.metadata.row_group(0).column(file.schema_arrow.names.index(column))
    start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    damaged = bytearray(content)
    damaged[start + chunk.total_compressed_size - 1] ^= 4
    return bytes(damaged)
