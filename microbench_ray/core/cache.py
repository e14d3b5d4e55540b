"""A cache of this user for content that takes long to make and never changes, where a folder can be written."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import tempfile
from hashlib import blake2b
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = "microbench-ray"


def cache_folder() -> Path:
    """The folder in `XDG_CACHE_HOME`, or in `.cache` of the home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / FOLDER


def read_cached(name: str) -> bytes | None:
    """The cached content of a name; None if there is none, it is damaged, or another user could have written it."""
    try:
        folder = cache_folder()
        _check_own(folder.lstat(), folder)
        number = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(number, "rb") as file:  # noqa: PTH123 - an open file, which nobody can exchange any more
            _check_own(os.fstat(number), folder / name)
            digest, _, content = file.read().partition(b"\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        logger.debug("%s is not read from the cache: %s", name, error)
        return None
    return content if digest == _digest(content) else None


def write_cached(name: str, content: bytes) -> None:
    """Cache content under a name; files of the same suffix, of earlier versions, are removed. No error where that fails."""
    try:
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_own(folder.lstat(), folder)  # files are removed below: not those of a folder that another user links to
        number, temporary = tempfile.mkstemp(dir=folder, suffix=Path(name).suffix)  # one that a killed process leaves is removed
        try:
            with open(number, "wb") as file:  # noqa: PTH123 - an open file
                file.write(_digest(content) + b"\n" + content)
            Path(temporary).replace(folder / name)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        for other in folder.glob(f"*{Path(name).suffix}"):
            if other.name != name:
                other.unlink()
    except (OSError, RuntimeError) as error:
        logger.debug("%s is not cached: %s", name, error)


def _check_own(status: os.stat_result, path: Path) -> None:
    """PermissionError for a link, and for a file or folder that another user could have written."""
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path} is a link, or can be written by other users")


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).hexdigest().encode()
