"""The output folder: the driver's only. Files appear whole or not at all; a shard's cells file that is there is done."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import StoreError
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.core.storage.folders import TEMPORARY, Folder, LocalFolder, open_folder, trouble
from microbench_ray.core.storage.lock import Hold, hold
from microbench_ray.sweeps.reuse import Identity, Wanted
from microbench_ray.sweeps.shards import Shard

MANIFEST = "manifest.json"
SHARDED = ("cells", "estimates", "resamples")
SET_ASIDE = "set_aside"
IDENTITY = b"microbench_ray"
"""Key of a shard file's identity in its schema's metadata."""
DISK_PATIENCE = 120.0
"""Seconds for which a write to a full disk is tried again before the sweep stops."""
READERS = 8
FULL = (errno.ENOSPC, errno.EDQUOT)
WRITE = "A result file cannot be written."
READ = "A result file cannot be read."
ANOTHER = "out=DIR with another folder"

Value = TypeVar("Value")


class DamagedFiles(StoreError):
    """Files of shards that cannot be read: `files` maps their names to what is wrong."""

    def __init__(self, folder: Folder, files: Mapping[str, str]) -> None:
        self.files = files
        name, problem = next(iter(files.items()))
        mend = "run the same microbench sweep again: it sets this file aside and computes its cells again"
        super().__init__(READ, where=folder.at(name), got=problem, mend=mend)


class Store:
    """Tables, shards and the manifest of one output folder.

    Parameters
    ----------
    place
        The folder: a path or a URL. It need not exist before `prepare`.
    patience
        Seconds for which a write to a full disk is tried again; None for `DISK_PATIENCE`.
    tell
        Is told of a full disk: by default, standard error.
    folders
        The folders below that it writes into.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        patience: float | None = None,
        tell: Callable[[str], object] | None = None,
        folders: tuple[str, ...] = SHARDED,
    ) -> None:
        self.folder = open_folder(place)
        self._folders = folders
        self._patience = DISK_PATIENCE if patience is None else patience
        self._tell = tell or (lambda text: sys.stderr.write(f"{text}\n"))
        self._hold: Hold | None = None

    def at(self, name: str = "") -> str:
        """Where a file of the folder is, for people."""
        return self.folder.at(name)

    def prepare(self) -> None:
        """Make the folder and see that it can be written; StoreError if not."""
        self._written("", lambda: self.folder.prepare(self._folders), "The output folder cannot be written.")

    @contextlib.contextmanager
    def held(self, wait: float, say: Callable[[str], None]) -> Iterator[None]:
        """Prepare the folder, and be its one driver meanwhile: see `lease.hold`."""
        self.prepare()
        self._hold = self._written("", lambda: hold(self.folder, wait, say), "The output folder cannot be written.")
        try:
            self._sweep_away()
            yield
        finally:
            self._hold.release()
            self._hold = None

    def _sweep_away(self) -> None:
        """Remove the temporary files that killed drivers left; in an object store nothing but a probe is ever there by halves."""
        for name in ("", *self._folders, "figures") if isinstance(self.folder, LocalFolder) else ("",):
            with contextlib.suppress(OSError):
                for found in self.folder.files(name):
                    if TEMPORARY.fullmatch(found):
                        self.folder.delete(f"{name}/{found}" if name else found)

    def shard_files(self, name: str) -> Collection[str]:
        """Ids of the shards that have a file in `cells`, `estimates` or `resamples`."""
        try:
            return {
                file.removesuffix(".parquet") for file in self.folder.files(name) if file.endswith(".parquet") and file[0] != "."
            }
        except OSError as error:
            raise trouble(self.folder, name, error, "The output folder cannot be read.", ANOTHER) from None

    def write_shard(self, shard: Shard, tables: Mapping[str, pa.Table]) -> None:
        """Write what a shard returned, its cells last: their presence marks it as done."""
        head = {IDENTITY: json.dumps(Identity.of(shard).content(), sort_keys=True).encode()}
        for name in sorted(tables, key=lambda name: name == "cells"):
            table = conform(tables[name], name).replace_schema_metadata(head)
            self.write(f"{name}/{shard.id}.parquet", _parquet(table))

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
        for shard_id, content in zip(ids, self._read_all([f"{name}/{each}.parquet" for each in ids]), strict=True):
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

    def _read_all(self, names: Sequence[str]) -> list[bytes | None]:
        def read(name: str) -> bytes | None:
            try:
                return self.folder.read(name)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise trouble(self.folder, name, error, READ, ANOTHER) from None

        if isinstance(self.folder, LocalFolder):
            return [read(name) for name in names]
        with ThreadPoolExecutor(READERS) as readers:  # waiting for answers, not for a processor
            return list(readers.map(read, names))

    def write_table(self, name: str, table: pa.Table, schema: str | None = None) -> None:
        """Write `NAME.parquet`, of the schema of that name or of another."""
        self.write(f"{name}.parquet", _parquet(conform(table, schema or name)))

    def read_table(self, name: str, schema: str | None = None) -> pa.Table:
        """Read `NAME.parquet`, of the schema of that name or of another."""
        file = f"{name}.parquet"
        (content,) = self._read_all([file])
        try:
            return conform(pq.ParquetFile(pa.BufferReader(content or b"")).read(), schema or name, where=self.at(file))
        except (pa.ArrowException, OSError) as error:
            got = "no such file" if content is None else str(error).splitlines()[0]
            mend = "run the same microbench sweep again: it makes this table anew"
            raise StoreError(READ, where=self.at(file), got=got, mend=mend) from None

    def remove(self, name: str) -> None:
        """Remove a file, where it is there."""
        if self.has(name):
            self._written(name, lambda: self.folder.delete(name), "A file of before cannot be removed.")

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        above, _, file = name.rpartition("/")
        try:
            return file in self.folder.files(above)
        except OSError as error:
            raise trouble(self.folder, name, error, "The output folder cannot be read.", ANOTHER) from None

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
            raise trouble(self.folder, MANIFEST, error, "The manifest cannot be read.", ANOTHER) from None
        try:
            content = json.loads(text)
        except ValueError as error:
            raise DamagedFiles(self.folder, {MANIFEST: str(error)}) from None
        if not isinstance(content, dict):
            got = f"a JSON {type(content).__name__}, where an object is expected"
            raise StoreError("The manifest cannot be read.", where=self.at(MANIFEST), got=got, mend=ANOTHER)
        return content

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, as JSON."""
        self.write(MANIFEST, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())

    def write(self, name: str, content: bytes) -> None:
        """Write a file; StoreError where that fails, or where the folder is another driver's by now."""
        self._written(name, lambda: self.folder.write(name, content), WRITE)

    def set_aside(self, name: str) -> str:
        """Move a file to `set_aside/`, beside what lies there; returns its new name."""
        plain = name.replace("/", "-")
        there = self.folder.files(SET_ASIDE)
        numbered = (f"{plain}.{k}" if k else plain for k in range(len(there) + 1))
        new = f"{SET_ASIDE}/{next(each for each in numbered if each not in there)}"
        self._written(new, lambda: self.folder.move(name, new), "A damaged file cannot be set aside.")
        return new

    def _written(self, name: str, write: Callable[[], Value], what: str) -> Value:
        """Call what writes, again and again for a while where the disk is full."""
        deadline: float | None = None
        while True:
            if self._hold is not None:
                self._hold.check()
            try:
                return write()
            except OSError as error:
                full = error.errno in FULL
                now = time.monotonic()
                if deadline is None and full and self._patience > 0:
                    self._tell(f"{self.at(name)}: {error.strerror}; waiting for room, for {self._patience:g} s at most")
                    deadline = now + self._patience
                if not full or deadline is None or now >= deadline:
                    mend = (
                        "make room on the disk and run the same command again: finished shards are kept"
                        if full
                        else "out=DIR with a folder that you may write"
                    )
                    raise trouble(self.folder, name, error, what, mend) from None
                time.sleep(min(1.0, self._patience / 4))


def _parquet(table: pa.Table) -> bytes:
    """A file's bytes, with a checksum of every page."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


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
