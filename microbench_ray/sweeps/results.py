"""The output folder of a sweep: shard files, the manifest and tables.

A shard is done when its file in `cells` exists. Only the driver writes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from microbench_ray.core.errors import StoreError
from microbench_ray.core.lazy_arrow import pc
from microbench_ray.core.parquet import parquet_bytes, read_parquet
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.folders import Folder, io_error
from microbench_ray.core.storage.store import CANNOT_READ, USE_ANOTHER_FOLDER, Store
from microbench_ray.sweeps.reuse import CellSelection
from microbench_ray.sweeps.shard_files import MANIFEST, SHARDED, identified_tables
from microbench_ray.sweeps.shards import Shard

NO_SUCH_FILE = "no such file"
EDITED = "the content is not the one that manifest.json names"
DIGESTS = "cell_digests"
"""Key of the manifest: by id of a shard, the digest of its file of cells."""

logger = logging.getLogger(__name__)


class DamagedFiles(StoreError):
    """Shard files or a manifest that cannot be read: `files` maps their names to the problem."""

    def __init__(self, folder: Folder, files: Mapping[str, str]) -> None:
        self.files = files
        name, problem = next(iter(files.items()))
        hint = "rerun the same microbench sweep: it moves the damaged file away and recomputes its cells"
        super().__init__(CANNOT_READ, where=folder.at(name), got=problem, hint=hint)


class SweepStore(Store):
    """The shard files, tables and manifest of one sweep.

    Parameters
    ----------
    place
        The folder: a path or a URL. It need not exist before `prepare`.
    patience
        Seconds for which a write to a full disk is retried; None for `DISK_PATIENCE`.

    Attributes
    ----------
    digests
        By id of a shard, the digest of its file of cells, where known: from the manifest, or because it was written or read.
    """

    def __init__(self, place: str | Path, *, patience: float | None = None) -> None:
        super().__init__(place, patience=patience, folders=SHARDED)
        self.digests: dict[str, str] = {}

    def expect_digests(self, manifest: Mapping[str, Any] | None) -> None:
        """Take the digests of a manifest: cells whose content is another one are then damaged."""
        digests = (manifest or {}).get(DIGESTS, {})
        if isinstance(digests, dict):
            self.digests.update({str(shard_id): str(digest) for shard_id, digest in digests.items()})
        else:  # edited by hand
            logger.debug("The manifest's %s are not a mapping but %r", DIGESTS, digests)

    def shard_files(self, name: str) -> Collection[str]:
        """Ids of the shards with a file in the folder `name`: `cells` or a companion."""
        return {file.removesuffix(".parquet") for file in self.files(name) if file.endswith(".parquet") and file[0] != "."}

    def write_shard(self, shard: Shard, tables: Mapping[str, pa.Table]) -> None:
        """Write a shard's tables, `cells` last, because its presence marks the shard as done."""
        for name, table in identified_tables(shard, tables).items():
            content = parquet_bytes(table)
            self.write(f"{name}/{shard.id}.parquet", content)
            if name == "cells":
                self.digests[shard.id] = digest_of(content)

    def read_selected(self, name: str, selections: Sequence[CellSelection], absent: Collection[str] = ()) -> pa.Table:
        """Read the selected rows of `cells` or a companion.

        Parameters
        ----------
        name
            The table.
        selections
            The cells to read from each file.
        absent
            Ids of shards that may have no file.

        Raises
        ------
        DamagedFiles
            Some files are missing or cannot be read.
        """
        ids = [file for file in dict.fromkeys(selection.file for selection in selections) if file not in absent]
        tables: dict[str, pa.Table] = {}
        damaged: dict[str, str] = {}
        for shard_id, content in zip(ids, self.read_files([f"{name}/{each}.parquet" for each in ids]), strict=True):
            if content is None:
                damaged[f"{name}/{shard_id}.parquet"] = NO_SUCH_FILE
                continue
            try:
                table = read_parquet(pa.BufferReader(content), len(content), page_checksum_verification=True)
                table = table.replace_schema_metadata()
                tables[shard_id] = table if table.schema.equals(SCHEMAS[name], check_metadata=True) else conform(table, name)
            except (pa.ArrowException, OSError, StoreError) as error:
                damaged[f"{name}/{shard_id}.parquet"] = str(error).splitlines()[0]
                continue
            if name == "cells" and self.digests.setdefault(shard_id, digest := digest_of(content)) != digest:
                damaged[f"{name}/{shard_id}.parquet"] = EDITED
        if damaged:
            raise DamagedFiles(self.folder, damaged)
        parts = [_filtered(tables[selection.file], selection) for selection in selections if selection.file in tables]
        return pa.concat_tables([SCHEMAS[name].empty_table(), *parts])

    def manifest(self) -> dict[str, Any] | None:
        """The content of `manifest.json`; None if there is no such file.

        Raises
        ------
        DamagedFiles
            The file is not JSON.
        StoreError
            The file is not a JSON object, or cannot be read.
        """
        try:
            text = self.folder.read(MANIFEST)
        except (FileNotFoundError, NotADirectoryError):
            return None  # `prepare` reports a path that cannot be a folder
        except OSError as error:
            raise io_error(self.folder, MANIFEST, error, "The manifest cannot be read.", USE_ANOTHER_FOLDER) from None
        try:
            content = json.loads(text)
        except ValueError as error:
            raise DamagedFiles(self.folder, {MANIFEST: str(error)}) from None
        if not isinstance(content, dict):
            got = f"a JSON {type(content).__name__} instead of an object"
            raise StoreError("The manifest cannot be read.", where=self.at(MANIFEST), got=got, hint=USE_ANOTHER_FOLDER)
        return content

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write `manifest.json`."""
        self.write(MANIFEST, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def digest_of(content: bytes) -> str:
    """32 hexadecimal digits of BLAKE2b."""
    return blake2b(content, digest_size=16).hexdigest()


def _filtered(table: pa.Table, selection: CellSelection) -> pa.Table:
    """The selected rows of one file."""
    if selection.methods is None or selection.sizes is None or selection.runs is None:
        return table

    mask = pc.is_in(table["method"], pa.array(selection.methods, pa.string()))
    if "run" in table.column_names:
        mask = pc.and_(mask, pc.is_in(table["run"], pa.array(selection.runs, pa.int32())))
    any_size = None
    for size, fraction in selection.sizes:
        same = pc.is_null(table["fraction"]) if fraction is None else pc.fill_null(pc.equal(table["fraction"], fraction), False)
        this_size = pc.and_(pc.equal(table["size"], size), same)
        any_size = this_size if any_size is None else pc.or_(any_size, this_size)
    return table.filter(pc.and_(mask, any_size))
