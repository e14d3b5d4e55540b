"""Replacing a folder by a new one, so that at every instant one of the two is whole under a name that is known."""

from __future__ import annotations

import ctypes
import errno
import fcntl
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
_LEFTOVER = re.compile(r"\.(.+)\.[0-9a-f]{8}\.(tmp|old)")
"""Names of folders that a killed process leaves beside a folder, whose name is the first group."""


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, to be filled; it takes the place of `target` when the block ends without an error.

    The new folder is flushed to disk. The two then change places in one step where the operating system has one (Linux), and else
    in two renames. Whatever interrupts this, the old folder or the new one is whole under the target's name; after a kill between
    two renames, the old folder is put back by the next call, or by `recover`. What killed calls have left beside the target is
    removed by the next one. Where `target` is a link, the folder that it points to is replaced.

    Raises
    ------
    OSError
        The folder cannot be written. The message says where the old and the new folder lie, if not in their places.
    """
    target = Path(os.path.realpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    new, lock = _new_folder(target)
    old = new.with_suffix(".old")
    try:
        yield new
        _flush(new)
        _swap(new, target, old)
        _sync(target.parent)
    finally:
        os.close(lock)
        if target.exists():
            for leftover in (new, old):
                _remove(leftover)
        elif not old.exists():
            _remove(new)  # there was no folder before, and the new one is not whole


def recover(target: Path) -> None:
    """Put back the folder that a killed `replacing` had moved away, and remove what else it has left.

    Raises
    ------
    OSError
        The folder beside which leftovers are looked for cannot be read, or the old folder cannot be put back.
    """
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        return
    leftovers = ((path, _LEFTOVER.fullmatch(path.name)) for path in sorted(target.parent.iterdir()))
    found = [path for path, match in leftovers if match and match[1] == target.name and not path.is_symlink()]
    abandoned = [path for path in found if not _is_locked(path.with_suffix(".tmp"))]
    for path in abandoned:
        if path.suffix == ".old" and not target.exists():
            path.rename(target)
            logger.warning("%s was put back: it had been moved to %s by a process that was killed.", target, path.name)
    for path in abandoned:
        if target.exists() or path.suffix == ".tmp":
            _remove(path)


def recover_all(parent: Path) -> None:
    """`recover` for every folder that is or was in `parent`.

    Raises
    ------
    OSError
        As for `recover`.
    """
    if parent.is_dir():
        for name in sorted({match[1] for path in parent.iterdir() if (match := _LEFTOVER.fullmatch(path.name))}):
            recover(parent / name)


def remove(folder: Path) -> None:
    """Remove a folder: under its name it is whole or gone, at every instant.

    Raises
    ------
    OSError
        The folder cannot be renamed. What then cannot be removed is reported, and removed by the next `recover`.
    """
    removed = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    folder.rename(removed)
    _remove(removed)


def _new_folder(target: Path) -> tuple[Path, int]:
    """An empty folder beside `target`, and a descriptor by which it is locked while this process fills it.

    A lock ends with its process, whatever ends that. A process id would not do: in a container the next process has the same one.
    """
    while True:
        new = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        new.mkdir()
        try:
            lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # another process took it for abandoned
            continue
        except BaseException:
            _remove(new)
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
        except OSError as error:  # some network file systems
            logger.debug("%s cannot be locked: %s", new, error)
        except BaseException:
            os.close(lock)
            _remove(new)
            raise
        if new.exists():
            return new, lock
        os.close(lock)


def _is_locked(folder: Path) -> bool:
    """Whether a process is filling this folder; False where nothing can be locked: what is swept too early fails with a message."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        logger.debug("%s cannot be locked: %s", folder, error)
    finally:
        os.close(descriptor)
    return False


def _flush(folder: Path) -> None:
    """Write a folder's files to disk, so that a crash of the machine after the exchange leaves no empty ones."""
    for path in folder.iterdir():
        _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that flush no folders
            raise
    finally:
        os.close(descriptor)


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
