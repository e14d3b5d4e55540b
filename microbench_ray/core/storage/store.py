"""Files and tables in one output folder. Files appear whole or not at all, and one process at a time writes."""

from __future__ import annotations

import contextlib
import errno
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from microbench_ray.core.errors import StoreError
from microbench_ray.core.schemas import conform
from microbench_ray.core.storage.folders import TEMPORARY, LocalFolder, io_error, open_folder
from microbench_ray.core.storage.lock import Hold, hold

logger = logging.getLogger(__name__)

SET_ASIDE = "set_aside"
DISK_PATIENCE = 120.0
"""Seconds for which a write to a full disk is tried again before the sweep stops."""
READERS = 8
FULL = (errno.ENOSPC, errno.EDQUOT)
WRITE = "A result file cannot be written."
READ = "A result file cannot be read."
ANOTHER = "out=DIR with another folder"

Value = TypeVar("Value")


class Store:
    """Files and tables of one output folder.

    Parameters
    ----------
    place
        The folder: a path or a URL. It need not exist before `prepare`.
    patience
        Seconds for which a write to a full disk is tried again; None for `DISK_PATIENCE`.
    folders
        The folders below that it writes into.
    """

    def __init__(
        self,
        place: str | Path,
        *,
        patience: float | None = None,
        folders: tuple[str, ...] = (),
    ) -> None:
        self.folder = open_folder(place)
        self._folders = folders
        self._patience = DISK_PATIENCE if patience is None else patience
        self._hold: Hold | None = None

    def at(self, name: str = "") -> str:
        """Where a file of the folder is, for people."""
        return self.folder.at(name)

    def prepare(self) -> None:
        """Make the folder and see that it can be written; StoreError if not."""
        self._written("", lambda: self.folder.prepare(self._folders), "The output folder cannot be written.")

    @contextlib.contextmanager
    def held(self, wait: float) -> Iterator[None]:
        """Prepare the folder, and be its one driver meanwhile: see `lease.hold`."""
        self.prepare()
        self._hold = self._written("", lambda: hold(self.folder, wait), "The output folder cannot be written.")
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

    def read_files(self, names: Sequence[str]) -> list[bytes | None]:
        """The content of each file, None for a missing one."""

        def read(name: str) -> bytes | None:
            try:
                return self.folder.read(name)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise io_error(self.folder, name, error, READ, ANOTHER) from None

        if isinstance(self.folder, LocalFolder):
            return [read(name) for name in names]
        with ThreadPoolExecutor(READERS) as readers:  # waiting for answers, not for a processor
            return list(readers.map(read, names))

    def write_table(self, name: str, table: pa.Table, schema: str | None = None) -> None:
        """Write `NAME.parquet`, of the schema of that name or of another."""
        self.write(f"{name}.parquet", parquet_bytes(conform(table, schema or name)))

    def read_table(self, name: str, schema: str | None = None) -> pa.Table:
        """Read `NAME.parquet`, of the schema of that name or of another."""
        file = f"{name}.parquet"
        (content,) = self.read_files([file])
        try:
            return conform(pq.ParquetFile(pa.BufferReader(content or b"")).read(), schema or name, where=self.at(file))
        except (pa.ArrowException, OSError) as error:
            got = "no such file" if content is None else str(error).splitlines()[0]
            hint = "run the same microbench sweep again: it makes this table anew"
            raise StoreError(READ, where=self.at(file), got=got, hint=hint) from None

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
            raise io_error(self.folder, name, error, "The output folder cannot be read.", ANOTHER) from None

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
                    logger.warning("%s: %s; waiting up to %g s for free space", self.at(name), error.strerror, self._patience)
                    deadline = now + self._patience
                if not full or deadline is None or now >= deadline:
                    hint = (
                        "make room on the disk and run the same command again: finished shards are kept"
                        if full
                        else "out=DIR with a folder that you may write"
                    )
                    raise io_error(self.folder, name, error, what, hint) from None
                time.sleep(min(1.0, self._patience / 4))


def parquet_bytes(table: pa.Table) -> bytes:
    """A file's bytes, with a checksum of every page."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
