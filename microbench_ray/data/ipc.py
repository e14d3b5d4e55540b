"""A benchmark's two tables in a folder, written atomically and memory-mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from microbench_ray.core.errors import DataError, first_line
from microbench_ray.core.storage.causes import one_line
from microbench_ray.core.storage.replace import recover, replacing
from microbench_ray.data.responses import MODELS

FORMAT_VERSION = 2
OLDER = (1,)
"""Format versions that are read as well, and written where they can hold the content: 1 has no truth other than `micro`."""
FILES = ("models.arrow", "items.arrow")
_KEY = b"microbench_ray"
_REWRITE = "write the folder again with Benchmark.save from the original scores"


class StoredBenchmark(NamedTuple):
    """The content of a folder; for the fields see `Benchmark`."""

    name: str
    models: pa.Table
    items: pa.Table
    units: int
    notes: tuple[str, ...]
    truth: str


def save_tables(folder: Path, models: pa.Table, items: pa.Table, facts: dict[str, Any]) -> None:
    """Write both tables, with `facts` (name, units, notes, digest, truth) in their schema metadata.

    The files are written to a new folder, which then takes the place of `folder` (`storage.replace`).

    Raises
    ------
    DataError
        `folder` is a file, contains other files, or cannot be written.
    """
    folder = folder.absolute()
    if facts["truth"] == "micro":
        content = {"version": OLDER[0]} | {key: value for key, value in facts.items() if key != "truth"}
    else:
        content = {"version": FORMAT_VERSION} | facts
    head = {_KEY: json.dumps(content).encode()}
    try:
        recover(folder)
        if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - set(FILES)):
            raise DataError(
                "A benchmark must be saved to a new folder or to the folder of a benchmark.",
                where=str(folder),
                got="a folder with other files" if folder.is_dir() else "a file",
                hint="give a new folder",
            )
        with replacing(folder) as new:
            for name, table in zip(FILES, (models, items), strict=True):
                _write(new / name, table.replace_schema_metadata(head))
    except OSError as error:
        hint = "free space, or give another folder"
        raise DataError("The benchmark cannot be saved.", where=str(folder), got=one_line(error), hint=hint) from None


def open_tables(folder: Path) -> StoredBenchmark:
    """Memory-map both tables.

    Raises
    ------
    DataError
        A file is missing, truncated, or of another format or version, or the files belong to different benchmarks.
    """
    for name in FILES:
        if not (folder / name).is_file():
            files = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else None
            raise DataError(
                f"Not a saved benchmark: {name} is missing.",
                where=str(folder),
                got="no such folder" if files is None else f"files {files[:8]}",
                hint="a folder of microbench ingest is read by benchmark=ingested benchmark.path=FOLDER"
                if MODELS in (files or ())
                else "give a folder written by Benchmark.save, or a Parquet, Feather or CSV table",
            )
    (models, facts), (items, item_facts) = (_read(folder / name) for name in FILES)
    if facts["digest"] != item_facts["digest"]:
        raise DataError("The two files belong to different benchmarks.", where=str(folder), hint=_REWRITE)
    width = models.schema.field("score").type.list_size
    if width != items.num_rows:
        raise DataError(
            "The two files have different numbers of items.",
            where=str(folder),
            got=f"{width} scores, {items.num_rows} items",
            hint=_REWRITE,
        )
    models, items = (table.replace_schema_metadata(None) for table in (models, items))
    return StoredBenchmark(
        name=facts["name"],
        models=models,
        items=items,
        units=facts["units"],
        notes=tuple(facts["notes"]),
        truth=facts.get("truth", "micro"),
    )


def _write(path: Path, table: pa.Table) -> None:
    with path.open("wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            "The file is truncated or not an Arrow file.", where=str(path), got=first_line(error), hint=_REWRITE
        ) from None
    head = (table.schema.metadata or {}).get(_KEY)
    facts: dict[str, Any] = json.loads(head) if head else {}
    if facts.get("version") not in (FORMAT_VERSION, *OLDER):
        got = f"format version {facts['version']}" if facts else "an Arrow file of another program"
        what = f"The file is not a benchmark of format version {FORMAT_VERSION}."
        raise DataError(what, where=str(path), got=got, hint=_REWRITE)
    return table, facts
