"""A folder of result files, on this machine or in an object store: files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.urls import below, check_url, connect, explained, is_url, local_path, reason, shown

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY = re.compile(r"\..+\.[0-9a-f]+\.tmp|\.probe\.[0-9a-f]+")
"""Names of files that are being written; no result has such a name."""
MAX_BYTES = 150
"""Of a name that comes from data: file systems take 255."""


class Folder(Protocol):
    """Files by names such as `cells/abc.parquet`. Every method raises OSError, FileNotFoundError for a file that is not there."""

    def at(self, name: str = "") -> str:
        """Where a file is, for people."""
        ...

    def prepare(self, names: tuple[str, ...]) -> None:
        """Make folders below, and see that they can be written."""
        ...

    def files(self, name: str = "") -> Mapping[str, int]:
        """Names and bytes of the files in a folder below, hidden ones too; none where there is no such folder."""
        ...

    def read(self, name: str) -> bytes:
        """All of a file."""
        ...

    def open(self, name: str) -> pa.NativeFile:
        """A file to be read here and there."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file: whole, or as it was before."""
        ...

    def move(self, name: str, to: str) -> None:
        """Give a file another name."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file."""
        ...


class LocalFolder:
    """A folder on this machine: written under a temporary name, flushed to the disk, and renamed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def at(self, name: str = "") -> str:
        """The path."""
        return str(self.path / name)

    def prepare(self, names: tuple[str, ...]) -> None:
        """Make the folders, and a file that is removed again."""
        for name in names:
            (self.path / name).mkdir(parents=True, exist_ok=True)
        probe = self.path / f".probe.{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()

    def files(self, name: str = "") -> Mapping[str, int]:
        """By listing the folder."""
        try:
            with os.scandir(self.path / name) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def read(self, name: str) -> bytes:
        """The bytes."""
        return (self.path / name).read_bytes()

    def open(self, name: str) -> pa.NativeFile:
        """Mapped into memory."""
        import pyarrow as pa

        return pa.memory_map(str(self.path / name))

    def write(self, name: str, content: bytes) -> None:
        """Under a temporary name first; once more where a driver that starts just now took that for left behind, and removed it."""
        try:
            self._write(self.path / name, content)
        except FileNotFoundError:
            self._write(self.path / name, content)

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def move(self, name: str, to: str) -> None:
        """Rename."""
        (self.path / to).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).rename(self.path / to)

    def delete(self, name: str) -> None:
        """Unlink."""
        (self.path / name).unlink()


class RemoteFolder:
    """A prefix of an object store. An object appears when it is whole: all bytes are at hand before one is sent."""

    def __init__(self, url: str) -> None:
        self.url = check_url(url)
        self._connected: tuple[Any, str] | None = None

    def at(self, name: str = "") -> str:
        """The URL, without its query."""
        return below(shown(self.url), name)

    def prepare(self, names: tuple[str, ...]) -> None:
        """Write an object and remove it: there are no folders to make."""
        probe = f".probe.{secrets.token_hex(4)}"
        self.write(probe, b"")
        self.delete(probe)

    def files(self, name: str = "") -> Mapping[str, int]:
        """By listing the prefix."""
        from pyarrow.fs import FileSelector

        filesystem, path = self._open(name)
        found = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
        return {info.base_name: info.size for info in found if info.is_file}

    def read(self, name: str) -> bytes:
        """The bytes."""
        with self.open(name) as file:
            content: bytes = file.read()
        return content

    def open(self, name: str) -> pa.NativeFile:
        """Read by ranges."""
        filesystem, path = self._open(name)
        return filesystem.open_input_file(path)

    def write(self, name: str, content: bytes) -> None:
        """In one go. Closing a stream completes the object, so it is closed only when all of the content is in it."""
        filesystem, path = self._open(name)
        stream = filesystem.open_output_stream(path)
        stream.write(content)
        stream.close()

    def move(self, name: str, to: str) -> None:
        """Copy, then delete."""
        filesystem, path = self._open(name)
        filesystem.move(path, self._open(to)[1])

    def delete(self, name: str) -> None:
        """Remove the object."""
        filesystem, path = self._open(name)
        filesystem.delete_file(path)

    def _open(self, name: str) -> tuple[Any, str]:
        if self._connected is None:
            self._connected = connect(self.url)
        filesystem, path = self._connected
        return filesystem, f"{path}/{name}" if name and path else name or path


def open_folder(place: str | Path) -> Folder:
    """The folder at a path or URL; nothing is looked at yet."""
    return RemoteFolder(str(place)) if is_url(place) else LocalFolder(local_path(place))


def io_error(folder: Folder, name: str, error: OSError, what: str, hint: str) -> StoreError:
    """The error to raise: of this machine with the given words, of an object store with what is wrong there."""
    if isinstance(folder, RemoteFolder):
        said, hint = explained(error)
        what = f"{what} {said}"
    return StoreError(what, where=folder.at(name), got=reason(error), hint=hint)


def file_name(text: str, other: str = "_") -> str:
    """A name from data as one harmless part of a path: letters, digits and -_. alone, neither hidden nor too long.

    Parameters
    ----------
    text
        Such as the name of a benchmark.
    other
        What stands for every other sign.
    """
    kept = "".join(letter if letter.isalnum() or letter in "-_." else other for letter in text).strip(".") or "_"
    if len(kept.encode()) <= MAX_BYTES:
        return kept
    short = kept.encode()[: MAX_BYTES - 17].decode(errors="ignore")
    return f"{short}-{blake2b(text.encode(errors='replace'), digest_size=8).hexdigest()}"
