"""The results of a sweep in its output folder: files of shards, the manifest, tables.

A shard whose cells file exists is done. Only the driver writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import StoreError
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.folders import Folder, io_error
from microbench_ray.core.storage.store import ANOTHER, READ, Store, parquet_bytes
from microbench_ray.sweeps.reuse import Identity, Wanted
from microbench_ray.sweeps.shards import Shard

MANIFEST = "manifest.json"
SHARDED = ("cells", "estimates", "resamples")
IDENTITY = b"microbench_ray"
"""Key of a shard file's identity in its schema's metadata."""


class DamagedFiles(StoreError):
    """Files of shards that cannot be read: `files` maps their names to what is wrong."""

    def __init__(self, folder: Folder, files: Mapping[str, str]) -> None:
        self.files = files
        name, problem = next(iter(files.items()))
        hint = "run the same microbench sweep again: it sets this file aside and computes its cells again"
        super().__init__(READ, where=folder.at(name), got=problem, hint=hint)


class SweepStore(Store):
    """Shards, tables and the manifest of one sweep.

    Parameters
    ----------
    place
        The folder: a path or a URL. It need not exist before `prepare`.
    patience
        Seconds for which a write to a full disk is tried again; None for `DISK_PATIENCE`.
    """

    def __init__(self, place: str | Path, *, patience: float | None = None) -> None:
        super().__init__(place, patience=patience, folders=SHARDED)

    def shard_files(self, name: str) -> Collection[str]:
        """Ids of the shards that have a file in `cells`, `estimates` or `resamples`."""
        try:
            return {
                file.removesuffix(".parquet") for file in self.folder.files(name) if file.endswith(".parquet") and file[0] != "."
            }
        except OSError as error:
            raise io_error(self.folder, name, error, "The output folder cannot be read.", ANOTHER) from None

    def write_shard(self, shard: Shard, tables: Mapping[str, pa.Table]) -> None:
        """Write what a shard returned, its cells last: their presence marks it as done."""
        head = {IDENTITY: json.dumps(Identity.of(shard).content(), sort_keys=True).encode()}
        for name in sorted(tables, key=lambda name: name == "cells"):
            table = conform(tables[name], name).replace_schema_metadata(head)
            self.write(f"{name}/{shard.id}.parquet", parquet_bytes(table))

    def read_wanted(self, name: str, wanted: Sequence[Wanted], absent: Collection[str] = ()) -> pa.Table:
        """The wanted rows of `cells` or `resamples`.

        Parameters
        ----------
        name
            The table.
        wanted
            Which files, and what of them.
        absent
            Ids of shards that may have no file.

        Raises
        ------
        DamagedFiles
            Some cannot be read, or are not there.
        """
        ids = [each for each in dict.fromkeys(each.file for each in wanted) if each not in absent]
        read: dict[str, pa.Table] = {}
        damaged: dict[str, str] = {}
        for shard_id, content in zip(ids, self.read_files([f"{name}/{each}.parquet" for each in ids]), strict=True):
            if content is None:
                damaged[f"{name}/{shard_id}.parquet"] = "no such file"
                continue
            try:
                with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
                    table = file.read(use_threads=False).replace_schema_metadata()
                read[shard_id] = table if table.schema.equals(SCHEMAS[name], check_metadata=True) else conform(table, name)
            except (pa.ArrowException, OSError, StoreError) as error:
                damaged[f"{name}/{shard_id}.parquet"] = str(error).splitlines()[0]
        if damaged:
            raise DamagedFiles(self.folder, damaged)
        parts = [_some(read[each.file], each) for each in wanted if each.file in read]
        return pa.concat_tables([SCHEMAS[name].empty_table(), *parts])

    def manifest(self) -> dict[str, Any] | None:
        """What `write_manifest` wrote; None where there is none.

        Raises
        ------
        DamagedFiles
            It is no JSON: cut short, or of something else.
        StoreError
            It is JSON of something else.
        """
        try:
            text = self.folder.read(MANIFEST)
        except (FileNotFoundError, NotADirectoryError):
            return None  # `prepare` says what is wrong
        except OSError as error:
            raise io_error(self.folder, MANIFEST, error, "The manifest cannot be read.", ANOTHER) from None
        try:
            content = json.loads(text)
        except ValueError as error:
            raise DamagedFiles(self.folder, {MANIFEST: str(error)}) from None
        if not isinstance(content, dict):
            got = f"a JSON {type(content).__name__}, where an object is expected"
            raise StoreError("The manifest cannot be read.", where=self.at(MANIFEST), got=got, hint=ANOTHER)
        return content

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, as JSON."""
        self.write(MANIFEST, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def _some(table: pa.Table, wanted: Wanted) -> pa.Table:
    """The rows that are wanted of a file's."""
    if wanted.methods is None or wanted.sizes is None or wanted.runs is None:
        return table
    import pyarrow.compute as pc

    kept = pc.is_in(table["method"], pa.array(wanted.methods, pa.string()))
    if "run" in table.column_names:
        kept = pc.and_(kept, pc.is_in(table["run"], pa.array(wanted.runs, pa.int32())))
    of_sizes = None
    for size, fraction in wanted.sizes:
        same = pc.is_null(table["fraction"]) if fraction is None else pc.fill_null(pc.equal(table["fraction"], fraction), False)
        one = pc.and_(pc.equal(table["size"], size), same)
        of_sizes = one if of_sizes is None else pc.or_(of_sizes, one)
    return table.filter(pc.and_(kept, of_sizes))
