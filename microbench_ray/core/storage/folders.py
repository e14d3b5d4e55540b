"""A folder of result files on a local disk or in an object store. Every write is atomic."""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.causes import diagnose, one_line
from microbench_ray.core.storage.urls import check_place, check_url, is_url, join_url, local_path, open_filesystem, without_query

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

TEMPORARY = re.compile(r"\..+\.[0-9a-f]+\.tmp|\.probe\.[0-9a-f]+")
"""Names of temporary files; results never have such names."""
MAX_NAME_BYTES = 150
"""Limit for a file name derived from data; file systems allow 255 bytes."""
MADE_LATER = ("figures", "set_aside")
"""Subfolders that are written to after the work: checked before it."""


class Folder(Protocol):
    """Files with names such as `cells/abc.parquet`. Every method raises OSError, or FileNotFoundError for a missing file."""

    def at(self, name: str = "") -> str:
        """The path or URL of a file, for messages."""
        ...

    def prepare(self, names: tuple[str, ...]) -> None:
        """Create subfolders and check that the folder can be written."""
        ...

    def files(self, name: str = "") -> Mapping[str, int]:
        """Names and sizes in bytes of the files in a subfolder, including hidden files; empty if the subfolder does not exist."""
        ...

    def read(self, name: str) -> bytes:
        """Read a whole file."""
        ...

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for random access."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: if the write fails, the file is unchanged."""
        ...

    def move(self, name: str, to: str) -> None:
        """Rename a file."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file."""
        ...


class LocalFolder:
    """A local folder. A file is written under a temporary name, flushed to the disk and renamed.

    The folder itself may be a link. Below it no writer follows one: a link in place of a file is replaced, and one in place of a
    subfolder is refused with a StoreError, because files elsewhere would be replaced and deleted through it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def at(self, name: str = "") -> str:
        """The path of a file."""
        return str(self.path / name)

    def prepare(self, names: tuple[str, ...]) -> None:
        """Create the subfolders, and create and delete a file as a test."""
        for name in (*names, *MADE_LATER):
            self._path(f"{name}/")
        for name in names:
            (self.path / name).mkdir(parents=True, exist_ok=True)
        probe = self.path / f".probe.{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink(missing_ok=True)  # a driver that starts at the same moment sweeps such files away

    def files(self, name: str = "") -> Mapping[str, int]:
        """List a subfolder."""
        try:
            with os.scandir(self.path / name) as entries:
                return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}
        except (FileNotFoundError, NotADirectoryError):
            return {}

    def read(self, name: str) -> bytes:
        """The bytes."""
        return (self.path / name).read_bytes()

    def open(self, name: str) -> pa.NativeFile:
        """Memory-map a file."""
        import pyarrow as pa

        return pa.memory_map(str(self.path / name))

    def write(self, name: str, content: bytes) -> None:
        """Write a file; write it again if a starting process deleted the temporary file as a leftover."""
        try:
            self._write(self._path(name), content)
        except FileNotFoundError as error:
            logger.debug("%s disappeared during the write; writing it again: %s", self.at(name), error)
            self._write(self._path(name), content)

    def _path(self, name: str) -> Path:
        """The path of a file to be written or deleted; StoreError where one of its subfolders is a link."""
        folder = self.path
        for part in name.split("/")[:-1]:
            folder /= part
            if folder.is_symlink():
                raise not_ours(folder, "a link")
        return self.path / name

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            try:
                temporary.unlink(missing_ok=True)
            except OSError as error:
                logger.debug("Cannot delete %s: %s", temporary, error)
            raise

    def move(self, name: str, to: str) -> None:
        """Rename a file; the target's folder is created."""
        source, target = self._path(name), self._path(to)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    def delete(self, name: str) -> None:
        """Delete a file."""
        self._path(name).unlink()


class RemoteFolder:
    """A prefix in an object store. An object becomes visible once its upload is complete."""

    def __init__(self, url: str) -> None:
        self.url = check_url(url)
        self._opened: tuple[Any, str] | None = None

    def at(self, name: str = "") -> str:
        """The URL of a file, without its query."""
        return join_url(without_query(self.url), name)

    def prepare(self, names: tuple[str, ...]) -> None:
        """Write and delete an object as a test; object stores have no folders to create."""
        probe = f".probe.{secrets.token_hex(4)}"
        self.write(probe, b"")
        self.delete(probe)

    def files(self, name: str = "") -> Mapping[str, int]:
        """List a prefix."""
        from pyarrow.fs import FileSelector

        filesystem, path = self._open(name)
        infos = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
        return {info.base_name: info.size for info in infos if info.is_file}

    def read(self, name: str) -> bytes:
        """The bytes."""
        with self.open(name) as file:
            content: bytes = file.read()
        return content

    def open(self, name: str) -> pa.NativeFile:
        """Open an object; its ranges are requested as they are read."""
        filesystem, path = self._open(name)
        return filesystem.open_input_file(path)

    def write(self, name: str, content: bytes) -> None:
        """Upload an object. Closing the stream completes the upload, so it is closed only after all content has been written."""
        filesystem, path = self._open(name)
        stream = filesystem.open_output_stream(path)
        stream.write(content)
        stream.close()

    def move(self, name: str, to: str) -> None:
        """Copy an object, then delete the original."""
        filesystem, path = self._open(name)
        filesystem.move(path, self._open(to)[1])

    def delete(self, name: str) -> None:
        """Delete an object."""
        filesystem, path = self._open(name)
        filesystem.delete_file(path)

    def _open(self, name: str) -> tuple[Any, str]:
        """The file system, and the path of a file in it."""
        if self._opened is None:
            self._opened = open_filesystem(self.url)
        filesystem, path = self._opened
        return filesystem, f"{path}/{name}" if name and path else name or path


def open_folder(place: str | Path) -> Folder:
    """The folder at a path or URL; ConfigError for a malformed one. No request is made, and the folder need not exist."""
    check_place(place)
    return RemoteFolder(str(place)) if is_url(place) else LocalFolder(local_path(place))


def remove_leftovers(path: Path) -> None:
    """Delete the temporary files that killed writes of a file have left beside it; one that is being written is written again."""
    form = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.tmp")
    for leftover in path.parent.iterdir() if path.parent.is_dir() else ():
        if form.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)


def not_ours(path: Path, what: str) -> StoreError:
    """The error for something in an output folder that this program has not made and must not write through."""
    target = f" to {path.readlink()}" if path.is_symlink() else ""
    return StoreError(
        "The output folder holds something that is not its own.",
        where=str(path),
        got=f"{what}{target}",
        hint="remove it, or set out=DIR to another folder",
    )


def io_error(folder: Folder, name: str, error: OSError, what: str, hint: str) -> StoreError:
    """Describe a failed operation on a file.

    Parameters
    ----------
    folder, name
        The file; an empty name stands for the folder.
    error
        The error of the operating system or the object store.
    what
        The operation that failed, a sentence. For an object store, the cause is added.
    hint
        What to do on a local disk. For an object store, the hint depends on the cause.
    """
    if isinstance(folder, RemoteFolder):
        cause = diagnose(error)
        what, hint = f"{what} {cause.what}", cause.hint
    return StoreError(what, where=folder.at(name), got=one_line(error), hint=hint)


def file_name(text: str, replacement: str = "_") -> str:
    """Turn a name from data into a safe file name: only letters, digits and -_., neither hidden nor too long.

    Parameters
    ----------
    text
        For instance the name of a benchmark.
    replacement
        Replaces every other character.
    """
    safe = "".join(letter if letter.isalnum() or letter in "-_." else replacement for letter in text).strip(".") or "_"
    if len(safe.encode()) <= MAX_NAME_BYTES:
        return safe
    short = safe.encode()[: MAX_NAME_BYTES - 17].decode(errors="ignore")
    return f"{short}-{blake2b(text.encode(errors='replace'), digest_size=8).hexdigest()}"
