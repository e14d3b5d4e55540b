"""Content that takes long to make and never changes, kept for this user between processes where a folder can be written."""

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


def kept_folder() -> Path:
    """The folder in `XDG_CACHE_HOME`, or in `.cache` of the home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / FOLDER


def read_kept(name: str) -> bytes | None:
    """The content kept under a name; None if there is none, it is damaged, or another user could have written it."""
    try:
        path = kept_folder() / name
        for each in (path.parent, path):
            status = each.stat()
            if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError(f"{each} can be written by other users")
        digest, _, content = path.read_bytes().partition(b"\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        logger.debug("Nothing is kept as %s: %s", name, error)
        return None
    return content if digest == _digest(content) else None


def keep(name: str, content: bytes) -> None:
    """Keep content under a name; files of the same suffix, which earlier versions kept, are removed. No error where that fails."""
    try:
        folder = kept_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, temporary = tempfile.mkstemp(dir=folder)
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
        logger.debug("%s is not kept: %s", name, error)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).hexdigest().encode()
