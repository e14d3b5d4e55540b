"""Files of finished shards: `cells/ID.parquet`, and of the same name in the folders of their companions where a shard has these."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from microbench_ray.core.errors import StoreError
from microbench_ray.core.parquet import parquet_bytes, read_parquet
from microbench_ray.core.schemas import conform
from microbench_ray.core.storage.folders import io_error, open_folder
from microbench_ray.sweeps.reuse import Identity
from microbench_ray.sweeps.shards import Shard

IDENTITY = b"microbench_ray"
"""Key of a shard file's identity in its schema's metadata."""
MANIFEST = "manifest.json"
SHARDED = ("cells", "estimates", "resamples", "costs", "stops")

logger = logging.getLogger(__name__)


def identity_bytes(shard: Shard) -> bytes:
    """What a shard's files hold, for their metadata."""
    return json.dumps(Identity.of(shard).content(), sort_keys=True).encode()


def identified_tables(shard: Shard, tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """The tables as they are stored, by name; `cells` is last, because its file marks the shard as done."""
    metadata = {IDENTITY: identity_bytes(shard)}
    names = sorted(tables, key=lambda name: name == "cells")
    return {name: conform(tables[name], name).replace_schema_metadata(metadata) for name in names}


class ShardFiles:
    """The finished shards and the tables of a sweep in this process, in a folder without a manifest and without a lock.

    Shards are named by what their results depend on, and files are replaced atomically: a second process in the same folder, or a
    sweep of another grid, can only write the same content under the same name.

    Parameters
    ----------
    place
        The folder: a path or a URL. It need not exist.
    """

    def __init__(self, place: str | Path) -> None:
        self.folder = open_folder(place)

    def prepare(self) -> None:
        """Create the folder and check that it can be written; StoreError if not, and where it is one of `microbench sweep`."""
        try:
            managed = MANIFEST in self.folder.files()
            if not managed:
                self.folder.prepare(SHARDED)
        except OSError as error:
            raise io_error(self.folder, "", error, "The output folder cannot be written.", "use another folder") from None
        if managed:
            raise StoreError(
                "The output folder belongs to microbench sweep.",
                where=self.folder.at(),
                got=MANIFEST,
                hint="use another folder: its tables are those of that sweep",
            )

    def read(self, shard: Shard) -> dict[str, pa.Table] | None:
        """The tables of a finished shard; None where it is not finished, or a file is damaged."""
        tables = {}
        for name in ("cells", *Identity.of(shard).companions):
            file = f"{name}/{shard.id}.parquet"
            try:
                content = self.folder.read(file)
                table = read_parquet(pa.BufferReader(content), len(content), page_checksum_verification=True)
                if (table.schema.metadata or {}).get(IDENTITY) != identity_bytes(shard):
                    raise StoreError("The file holds other cells.", where=self.folder.at(file))
                tables[name] = conform(table.replace_schema_metadata(), name)
            except FileNotFoundError:
                return None
            except (pa.ArrowException, OSError, StoreError) as error:
                logger.warning("%s cannot be read, and its cells are computed again: %s", self.folder.at(file), error)
                return None
        return tables

    def write(self, shard: Shard, tables: Mapping[str, pa.Table]) -> None:
        """Write the tables of a finished shard; StoreError where that fails."""
        for name, table in identified_tables(shard, tables).items():
            self._write(f"{name}/{shard.id}.parquet", table)

    def write_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """Write tables to `NAME.parquet`; StoreError where that fails."""
        for name, table in tables.items():
            self._write(f"{name}.parquet", conform(table, name))

    def _write(self, name: str, table: pa.Table) -> None:
        try:
            self.folder.write(name, parquet_bytes(table))
        except OSError as error:
            hint = "use a folder with write permission and free space; finished cells in it are kept"
            raise io_error(self.folder, name, error, "A result file cannot be written.", hint) from None
