"""Benchmarks in object stores: their files are copied to a temporary folder, and errors name the URLs."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.folders import RemoteFolder
from microbench_ray.core.storage.urls import check_url, explained, is_url, parent_and_name, reason, shown

CHUNK = 2**24


class Copies:
    """Copies of remote files, for as long as they are read: see `copies`."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._urls: dict[str, str] = {}

    def of(self, path: str | Path, belongs: Callable[[str], bool]) -> Path:
        """A local path that stands for a path.

        Parameters
        ----------
        path
            A path of this machine, which is returned as it is, or the URL of a file or of a folder.
        belongs
            Whether a file beside the one of the URL is copied with it, by its name. Of a folder all files are copied.

        Raises
        ------
        DataError
            The object store cannot be read.
        """
        if not is_url(path):
            return Path(path)
        above, name = parent_and_name(check_url(str(path)))
        folder = self._scratch / str(len(self._urls))
        folder.mkdir()
        if shown(above).endswith(":/"):  # a bucket is a folder
            self._urls[str(folder)] = shown(str(path)).rstrip("/")
            self._copy(str(path), folder, lambda file: True)
            return folder
        self._urls[str(folder)] = shown(above)
        found = self._copy(above, folder, lambda file: file == name or belongs(file))
        if name not in found:
            (folder / name).mkdir()
            if not self._copy(str(path), folder / name, lambda file: True):
                (folder / name).rmdir()
        return folder / name

    def _copy(self, url: str, folder: Path, chosen: Callable[[str], bool]) -> list[str]:
        remote = RemoteFolder(url)
        try:
            names = [name for name in remote.files() if chosen(name) and name not in ("", ".", "..") and "\0" not in name]
            for name in names:
                with remote.open(name) as source, (folder / name).open("wb") as sink:
                    shutil.copyfileobj(source, sink, CHUNK)
        except OSError as error:
            what, hint = explained(error)
            raise DataError(f"A benchmark cannot be read. {what}", where=remote.at(), got=reason(error), hint=hint) from None
        return names

    def renamed(self, error: DataError) -> DataError:
        """The error with URLs in place of the copies' paths."""
        texts = [error.what, error.where, error.got, error.hint]
        for folder, url in self._urls.items():
            texts = [text and text.replace(folder, url) for text in texts]
        return DataError(texts[0] or "", where=texts[1], got=texts[2], hint=texts[3])


@contextlib.contextmanager
def copies() -> Iterator[Copies]:
    """Copies that are removed afterwards; what is mapped into memory by then stays. Errors of reading them name the URLs."""
    with tempfile.TemporaryDirectory(prefix="microbench-") as scratch:
        made = Copies(Path(scratch))
        try:
            yield made
        except DataError as error:
            raise made.renamed(error) from None
