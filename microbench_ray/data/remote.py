"""Local copies of benchmarks in object stores. Errors refer to the URLs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.causes import diagnose, one_line
from microbench_ray.core.storage.folders import RemoteFolder
from microbench_ray.core.storage.urls import check_place, is_url, local_path, parent_and_name, without_query

CHUNK_BYTES = 2**24


class LocalCopies:
    """Local copies of remote files, see `local_copies`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._urls: dict[str, str] = {}

    def fetch(self, path: str | Path, is_companion: Callable[[str], bool]) -> Path:
        """Return a local path to read instead of a path or URL.

        Parameters
        ----------
        path
            A local path, whose `~` is expanded, or the URL of a file or folder.
        is_companion
            Whether a file with this name, in the folder of the URL's file, is copied as well. All files of a folder are copied.

        Raises
        ------
        ConfigError
            The path or URL is malformed.
        DataError
            The object store cannot be read.
        """
        check_place(path, "path")
        if not is_url(path):
            return local_path(path)
        parent, name = parent_and_name(str(path))
        folder = self._scratch / str(len(self._urls))
        folder.mkdir()
        if without_query(parent).endswith(":/"):  # the URL of a bucket, which is a folder
            self._urls[str(folder)] = without_query(str(path)).rstrip("/")
            self._copy(str(path), folder, lambda file: True)
            return folder
        self._urls[str(folder)] = without_query(parent)
        copied = self._copy(parent, folder, lambda file: file == name or is_companion(file))
        if name not in copied:  # a folder, or missing
            (folder / name).mkdir()
            if not self._copy(str(path), folder / name, lambda file: True):
                (folder / name).rmdir()
        return folder / name

    def _copy(self, url: str, folder: Path, selects: Callable[[str], bool]) -> list[str]:
        remote = RemoteFolder(url)
        try:
            names = [name for name in remote.files() if selects(name) and name not in ("", ".", "..") and "\0" not in name]
            for name in names:
                with remote.open(name) as source, (folder / name).open("wb") as sink:
                    shutil.copyfileobj(source, sink, CHUNK_BYTES)
        except OSError as error:
            cause = diagnose(error)
            what = f"The benchmark cannot be read. {cause.what}"
            raise DataError(what, where=remote.at(), got=one_line(error), hint=cause.hint) from None
        return names

    def with_urls(self, error: DataError) -> DataError:
        """The error with URLs instead of the paths of the copies."""

        def restore(text: str) -> str:
            for folder, url in self._urls.items():
                text = text.replace(folder, url)
            return text

        where, got, hint = (text and restore(text) for text in (error.where, error.got, error.hint))
        return DataError(restore(error.what), where=where, got=got, hint=hint)


@contextmanager
def local_copies() -> Iterator[LocalCopies]:
    """Make local copies and delete them afterwards; files memory-mapped until then stay valid. Errors refer to the URLs."""
    with tempfile.TemporaryDirectory(prefix="microbench-") as scratch:
        copies = LocalCopies(Path(scratch))
        try:
            yield copies
        except DataError as error:
            raise copies.with_urls(error) from None
