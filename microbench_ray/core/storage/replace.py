"""Replacing a folder by a new one, so that at every instant one of the two is whole under a name that is known."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, to be filled; it takes the place of `target` when the block ends without an error.

    The two folders change places in one step where the operating system has one (Linux), and else in two renames. Whatever
    interrupts this, the old folder or the new one is whole under the target's name; after a kill between two renames, the old
    folder is put back by the next call, or by `recover`. What killed calls have left beside the target is removed by the next one.

    Raises
    ------
    OSError
        The folder cannot be written. The message says where the old and the new folder lie, if not in their places.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    token = f"{os.getpid()}-{secrets.token_hex(4)}"
    new, old = (target.parent / f".{target.name}.{token}.{kind}" for kind in ("tmp", "old"))
    new.mkdir()
    try:
        yield new
        _swap(new, target, old)
    finally:
        if target.exists():
            for leftover in (new, old):
                _remove(leftover)
        elif not old.exists():
            _remove(new)  # there was no folder before, and the new one is not whole


def recover(target: Path) -> None:
    """Put back the folder that a killed `replacing` had moved away, and remove what else it has left."""
    form = re.compile(rf"\.{re.escape(target.name)}\.(\d+)-[0-9a-f]{{8}}\.(tmp|old)")
    if not target.parent.is_dir():
        return
    found = [(path, match) for path in sorted(target.parent.iterdir()) if (match := form.fullmatch(path.name))]
    abandoned = [(path, match[2]) for path, match in found if not _is_running(int(match[1]))]
    for path, kind in abandoned:
        if kind == "old" and not target.exists():
            path.rename(target)
            logger.warning("%s was put back: it had been moved to %s by a process that was killed.", target, path.name)
    for path, _ in abandoned:
        if target.exists() or path.name.endswith(".tmp"):
            _remove(path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another user
        return True
    return True


def _swap(new: Path, target: Path, old: Path) -> None:
    """Put `new` in the place of `target`, whose content is afterwards in `new` or `old`."""
    if not target.exists():
        new.rename(target)
        return
    if _exchange(new, target):
        return
    try:
        target.rename(old)
        new.rename(target)
    except BaseException:  # Ctrl-C may come between a call and its return
        if not target.exists():
            _put_back(new, target, old)
        raise


def _put_back(new: Path, target: Path, old: Path) -> None:
    try:
        old.rename(target)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: the old folder is now {old}, and the new one {new}", str(target)) from None


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system or the file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _remove(folder: Path) -> None:
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        logger.warning("The temporary folder %s could not be removed: %s", folder, error)
