"""A benchmark's two tables in a folder: written all or nothing, opened by memory map."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.core.errors import DataError

FORMAT_VERSION = 1
FILES = ("models.arrow", "items.arrow")
_KEY = b"microbench_ray"
_REWRITE = "make the folder anew with Benchmark.save from the original scores"


class Stored(NamedTuple):
    """What a folder holds; see `Benchmark` for the fields."""

    name: str
    models: pa.Table
    items: pa.Table
    units: int
    notes: tuple[str, ...]


def save_tables(folder: Path, models: pa.Table, items: pa.Table, facts: dict[str, Any]) -> None:
    """Write both tables, with the facts (name, units, notes, digest) in their schema metadata.

    Files are written to a temporary folder beside `folder`, flushed to disk, and renamed into place.

    Raises
    ------
    DataError
        If `folder` is a file or holds other files, or cannot be written.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - set(FILES)):
        raise DataError(
            "A benchmark is saved to a folder of its own.",
            where=str(folder),
            got="a folder with other files" if folder.is_dir() else "a file",
            hint="give a new folder",
        )
    head = {_KEY: json.dumps({"version": FORMAT_VERSION} | facts).encode()}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            fresh, old = Path(scratch) / "new", Path(scratch) / "old"
            fresh.mkdir()
            for name, table in zip(FILES, (models, items), strict=True):
                _write(fresh / name, table.replace_schema_metadata(head))
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise DataError("A benchmark cannot be saved.", where=str(folder), got=str(error)) from None


def open_tables(folder: Path) -> Stored:
    """Memory-map both tables.

    Raises
    ------
    DataError
        If a file is missing, cut short, not of this format and version, or of another benchmark than its twin.
    """
    for name in FILES:
        if not (folder / name).is_file():
            found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else None
            raise DataError(
                f"There is no {name}: not a saved benchmark.",
                where=str(folder),
                got="no such folder" if found is None else f"files {found[:8]}",
                hint="give a folder written by Benchmark.save, or a Parquet, Feather or CSV table",
            )
    (models, facts), (items, item_facts) = (_read(folder / name) for name in FILES)
    if facts["digest"] != item_facts["digest"]:
        raise DataError("The two files are of different benchmarks.", where=str(folder), hint=_REWRITE)
    width = models.schema.field("score").type.list_size
    if width != items.num_rows:
        raise DataError(
            "The two files disagree about the items.",
            where=str(folder),
            got=f"{width} scores, {items.num_rows} items",
            hint=_REWRITE,
        )
    models, items = (table.replace_schema_metadata(None) for table in (models, items))
    return Stored(facts["name"], models, items, facts["units"], tuple(facts["notes"]))


def _write(path: Path, table: pa.Table) -> None:
    with path.open("wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        sink.flush()
        os.fsync(sink.fileno())


def _read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            "The file is cut short, or no Arrow file.", where=str(path), got=_first_line(error), hint=_REWRITE
        ) from None
    head = (table.schema.metadata or {}).get(_KEY)
    facts: dict[str, Any] = json.loads(head) if head else {}
    if facts.get("version") != FORMAT_VERSION:
        got = f"format version {facts['version']}" if facts else "an Arrow file of something else"
        raise DataError(f"The file is no benchmark of format version {FORMAT_VERSION}.", where=str(path), got=got, hint=_REWRITE)
    return table, facts


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["nothing readable"])[0]
