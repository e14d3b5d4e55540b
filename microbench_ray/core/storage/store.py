"""Files and tables in one output folder. Writes are atomic, and only one process at a time may write."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from microbench_ray.core.errors import StoreError
from microbench_ray.core.parquet import parquet_bytes, read_parquet
from microbench_ray.core.schemas import conform
from microbench_ray.core.storage.folders import TEMPORARY, LocalFolder, io_error, open_folder
from microbench_ray.core.storage.lock import FolderLock, lock_folder

logger = logging.getLogger(__name__)

SET_ASIDE = "set_aside"
DISK_PATIENCE = 120.0
"""Seconds for which a write to a full disk is retried."""
READ_THREADS = 8
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
CANNOT_READ = "A result file cannot be read."
USE_ANOTHER_FOLDER = "set out=DIR to another folder"

Value = TypeVar("Value")


class Store:
    """Files and tables of one output folder.

    Parameters
    ----------
    place
        The folder: a path or a URL. It need not exist before `prepare`.
    patience
        Seconds for which a write to a full disk is retried; None for `DISK_PATIENCE`.
    folders
        Subfolders that are written to.
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
        self._lock: FolderLock | None = None

    def at(self, name: str = "") -> str:
        """The path or URL of a file, for messages."""
        return self.folder.at(name)

    def prepare(self) -> None:
        """Create the folder and check that it can be written; StoreError if not, or if a subfolder is a link."""
        self._write_with("", lambda: self.folder.prepare(self._folders), "The output folder cannot be written.")

    @contextmanager
    def locked(self, wait: float) -> Iterator[None]:
        """Prepare and lock the folder; parameters and errors as for `lock.lock_folder`."""
        self.prepare()
        self._lock = self._write_with("", lambda: lock_folder(self.folder, wait), "The output folder cannot be written.")
        try:
            self._delete_temporary_files()
            yield
        finally:
            self._lock.release()
            self._lock = None

    def _delete_temporary_files(self) -> None:
        """Delete the temporary files of killed processes. In an object store, these are only probes."""
        for subfolder in ("", *self._folders, "figures") if isinstance(self.folder, LocalFolder) else ("",):
            try:
                for file in self.folder.files(subfolder):
                    if TEMPORARY.fullmatch(file):
                        self.folder.delete(f"{subfolder}/{file}" if subfolder else file)
            except OSError as error:
                logger.debug("Cannot delete temporary files in %s: %s", self.at(subfolder), error)

    def read_files(self, names: Sequence[str]) -> list[bytes | None]:
        """Read files; None stands for a missing file."""

        def read(name: str) -> bytes | None:
            try:
                return self.folder.read(name)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise io_error(self.folder, name, error, CANNOT_READ, USE_ANOTHER_FOLDER) from None

        if isinstance(self.folder, LocalFolder):
            return [read(name) for name in names]
        with ThreadPoolExecutor(READ_THREADS) as readers:  # they mostly wait for responses
            return list(readers.map(read, names))

    def write_table(self, name: str, table: pa.Table, schema: str | None = None) -> None:
        """Write a table to `NAME.parquet`; its schema is `SCHEMAS[schema]`, or `SCHEMAS[name]` by default."""
        self.write(f"{name}.parquet", parquet_bytes(conform(table, schema or name)))

    def read_table(self, name: str, schema: str | None = None) -> pa.Table:
        """Read a table from `NAME.parquet`; its schema is `SCHEMAS[schema]`, or `SCHEMAS[name]` by default."""
        file = f"{name}.parquet"
        (content,) = self.read_files([file])
        try:
            table = read_parquet(pa.BufferReader(content or b""), len(content or b""))
            return conform(table, schema or name, where=self.at(file))
        except (pa.ArrowException, OSError) as error:
            got = "no such file" if content is None else str(error).splitlines()[0]
            hint = "rerun the same microbench sweep: it computes this table again"
            raise StoreError(CANNOT_READ, where=self.at(file), got=got, hint=hint) from None

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        if self.has(name):
            self._write_with(name, lambda: self.folder.delete(name), "An old file cannot be deleted.")

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        subfolder, _, file = name.rpartition("/")
        return file in self.files(subfolder)

    def files(self, subfolder: str = "") -> Collection[str]:
        """Names of the files in a subfolder; StoreError if it cannot be listed."""
        try:
            return self.folder.files(subfolder).keys()
        except OSError as error:
            raise io_error(self.folder, subfolder, error, "The output folder cannot be read.", USE_ANOTHER_FOLDER) from None

    def write(self, name: str, content: bytes) -> None:
        """Write a file; StoreError if this fails or the lock is lost."""
        self._write_with(name, lambda: self.folder.write(name, content), "A result file cannot be written.")

    def set_aside(self, name: str) -> str:
        """Move a file to the folder `set_aside`, without replacing other files, and return its new name."""
        flat_name = name.replace("/", "-")
        existing = self.files(SET_ASIDE)
        candidates = (f"{flat_name}.{k}" if k else flat_name for k in range(len(existing) + 1))
        new_name = f"{SET_ASIDE}/{next(each for each in candidates if each not in existing)}"
        self._write_with(new_name, lambda: self.folder.move(name, new_name), "A damaged file cannot be moved away.")
        return new_name

    def _write_with(self, name: str, write: Callable[[], Value], what: str) -> Value:
        """Call `write`, repeatedly while the disk is full; StoreError with the message `what` if it fails."""
        deadline: float | None = None
        while True:
            if self._lock is not None:
                self._lock.check()
            try:
                return write()
            except OSError as error:
                full = error.errno in DISK_FULL
                now = time.monotonic()
                if deadline is None and full and self._patience > 0:
                    logger.warning("%s: %s; waiting up to %g s for free space", self.at(name), error.strerror, self._patience)
                    deadline = now + self._patience
                if not full or deadline is None or now >= deadline:
                    hint = (
                        "free space on the disk, then rerun the command to resume: results written so far are kept"
                        if full
                        else "set out=DIR to a folder with write permission"
                    )
                    raise io_error(self.folder, name, error, what, hint) from None
                time.sleep(min(1.0, self._patience / 4))
