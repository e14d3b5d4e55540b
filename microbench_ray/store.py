"""The output folder: the driver's only. Files appear whole or not at all; a shard's cells file that is there is done."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.errors import StoreError
from microbench_ray.schemas import SCHEMAS, conform

MANIFEST = "manifest.json"


class Store:
    """Tables, shards and the manifest of one output folder.

    Parameters
    ----------
    root
        The folder; it need not exist before `prepare`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the folder and see that it can be written; StoreError if not."""
        try:
            for name in ("cells", "resamples", "estimates"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "cells" / f".probe.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StoreError(
                "The output folder cannot be written.",
                where=str(self.root),
                got=error.strerror,
                mend="out=DIR with a folder that you may write",
            ) from None

    def done(self) -> set[str]:
        """Ids of the shards whose cells are there."""
        folder = self.root / "cells"
        return {path.stem for path in folder.glob("*.parquet")} if folder.is_dir() else set()

    def write_shard(self, shard_id: str, tables: Mapping[str, pa.Table]) -> None:
        """Write what a shard returned, its cells last: their presence marks it as done."""
        for name in sorted(tables, key=lambda name: name == "cells"):
            self._write(self.root / name / f"{shard_id}.parquet", conform(tables[name], name))

    def read_shards(self, name: str, shard_ids: Iterable[str]) -> pa.Table:
        """The rows of `cells`, `resamples` or `estimates` of some shards, those that have such a file."""
        paths = [self.root / name / f"{shard_id}.parquet" for shard_id in shard_ids]
        there = [str(path) for path in paths if path.exists()]
        if not there:
            return SCHEMAS[name].empty_table()
        import pyarrow.dataset as ds  # brings pandas, which takes a second: what is wrong should be said before

        try:
            return conform(ds.dataset(there, schema=SCHEMAS[name], format="parquet").to_table(), name)
        except (pa.ArrowException, OSError):
            raise self._damaged(there) from None

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write `NAME.parquet`."""
        self._write(self.root / f"{name}.parquet", conform(table, name))

    def read_table(self, name: str) -> pa.Table:
        """Read `NAME.parquet`."""
        path = self.root / f"{name}.parquet"
        try:
            return conform(pq.read_table(path), name, where=str(path))
        except (pa.ArrowException, OSError):
            raise self._damaged([str(path)]) from None

    def manifest(self) -> dict[str, Any] | None:
        """What `write_manifest` wrote; None where there is none."""
        path = self.root / MANIFEST
        try:
            content = json.loads(path.read_text())
            if not isinstance(content, dict):
                raise ValueError(f"a JSON {type(content).__name__}, where an object is expected")
            return content
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return None  # prepare says what is wrong
        except (OSError, ValueError) as error:
            raise StoreError(
                "The manifest cannot be read.", where=str(path), got=str(error), mend="out=DIR with another folder"
            ) from None

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, as JSON."""
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        atomically(self.root / MANIFEST, lambda path: path.write_text(text))

    def _write(self, path: Path, table: pa.Table) -> None:
        atomically(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))

    def _damaged(self, paths: Sequence[str]) -> StoreError:
        for path in paths:
            try:
                pq.read_table(path)
            except (pa.ArrowException, OSError) as error:
                return StoreError(
                    "A result file cannot be read.",
                    where=path,
                    got=str(error).splitlines()[0],
                    mend="delete this file and run the sweep again: it computes what is missing",
                )
        return StoreError("Result files do not fit together.", where=str(self.root), mend="out=DIR with another folder")


def atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it; StoreError where that fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreError(
            "A result file cannot be written.",
            where=str(path),
            got=error.strerror or str(error),
            mend="make room on the disk and run the same command again: finished shards are kept"
            if full
            else "out=DIR with a folder that you may write",
        ) from None
