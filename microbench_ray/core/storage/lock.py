"""Locks that allow one process at a time to write an output folder: a locked file on a local disk, a lease in an object store."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import secrets
import socket
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.folders import Folder, LocalFolder, io_error, not_ours

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"
LEASE_FILE = ".lease.json"
NO_FILE_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""Errors of file systems that do not support locks."""
READ_ATTEMPTS = 3
UNKNOWN_PROCESS = "another process"


@dataclass(frozen=True)
class Times:
    """Times of locks, in seconds.

    Attributes
    ----------
    renew
        Interval between renewals of a lease.
    stale
        Time without renewal, by the waiting process's clock, after which a lease is taken over.
    settle
        Time between writing a lease and checking whether another process has written one at the same moment.
    poll
        Interval between checks while waiting.
    """

    renew: float = 10.0
    stale: float = 60.0
    settle: float = 1.0
    poll: float = 0.5


TIMES = Times()


class FolderLock(Protocol):
    """An acquired lock on a folder."""

    def check(self) -> None:
        """Raise StoreError if the lock is lost; called before every write."""
        ...

    def release(self) -> None:
        """Release the lock."""
        ...


def lock_folder(folder: Folder, wait: float, times: Times | None = None) -> FolderLock:
    """Acquire the lock of a folder.

    Parameters
    ----------
    folder
        An existing output folder.
    wait
        Seconds to wait for another process to release the lock.
    times
        Replaces `TIMES` in tests.

    Raises
    ------
    StoreError
        Another process still holds the lock after `wait` seconds, or the lock file is a link.
    OSError
        The folder cannot be written.
    """
    times = times or TIMES
    if isinstance(folder, LocalFolder):
        try:
            return FileLock(folder, wait, times)
        except OSError as error:
            if error.errno not in NO_FILE_LOCKS:
                raise
            logger.debug("%s does not support file locks (%s); using a lease", folder.at(), error.strerror)
    return Lease(folder, wait, times)


class FileLock:
    """A file lock of the operating system, which is released when the process ends for any reason."""

    def __init__(self, folder: LocalFolder, wait: float, times: Times) -> None:
        self._path = folder.path / LOCK_FILE
        deadline = time.monotonic() + wait
        holder, reported = UNKNOWN_PROCESS, False
        while (descriptor := self._try_lock()) is None:
            try:
                holder = _describe_holder(self._path.read_bytes())
            except FileNotFoundError:  # released in this moment
                continue
            except OSError as error:
                logger.debug("Cannot read %s: %s", self._path, error)
            if time.monotonic() >= deadline:
                raise _in_use(folder, holder)
            if not reported:
                logger.info("%s is in use by %s; waiting up to %g s for it to finish", folder.at(), holder, wait)
                reported = True
            time.sleep(min(times.poll, max(0.0, deadline - time.monotonic())))
        self._descriptor: int | None = descriptor

    def _try_lock(self) -> int | None:
        """The descriptor of the locked file; None if another process holds the lock."""
        while True:
            # Child processes must not inherit the descriptor, because they would keep the lock.
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_same_file(descriptor, self._path):
                    os.ftruncate(descriptor, 0)
                    try:
                        os.write(descriptor, json.dumps(_describe_process()).encode())
                    except OSError as error:  # a full disk; the lock is valid without the description
                        logger.debug("Cannot write to %s: %s", self._path, error)
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # the previous holder deleted the file before this process locked it

    def _open(self) -> int:
        """Open the lock file for writing; StoreError if it is a link or not a regular file."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        except OSError:
            if self._path.is_symlink():
                raise not_ours(self._path, "a link") from None
            raise
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
            return descriptor
        os.close(descriptor)
        raise not_ours(self._path, "a link" if stat.S_ISREG(status.st_mode) else "not a file")

    def check(self) -> None:
        """Do nothing: a file lock cannot be lost."""

    def release(self) -> None:
        """Delete the file, then unlock it, so that no other process's file is deleted."""
        if self._descriptor is not None:
            try:
                if _is_same_file(self._descriptor, self._path):
                    self._path.unlink()
            except OSError as error:
                logger.debug("Cannot delete %s: %s", self._path, error)
            os.close(self._descriptor)
            self._descriptor = None


class Lease:
    """An object with this process's token, renewed by a thread. Clocks of different machines are never compared."""

    def __init__(self, folder: Folder, wait: float, times: Times) -> None:
        self._folder, self._times = folder, times
        self._holder = _describe_process() | {"token": secrets.token_hex(16)}
        self._renewals = 0
        self._taken_by: str | None = None
        self._stop, self._mutex = threading.Event(), threading.Lock()
        deadline = time.monotonic() + wait
        while True:
            self._wait_until_free(deadline)
            self._write()
            time.sleep(times.settle)
            if self._is_own(self._read()):
                break
        self._renewed = _clock()
        self._thread = threading.Thread(target=self._renew_regularly, name="lease", daemon=True)
        self._thread.start()

    def _wait_until_free(self, deadline: float) -> None:
        """Return when there is no lease or only a stale one."""
        content = self._read()
        if content is None:
            return
        logger.info(
            "%s is locked by %s; checking for up to %g s whether that process is still running",
            self._folder.at(),
            _describe_holder(content),
            self._times.stale,
        )
        last_change = time.monotonic()
        while time.monotonic() - last_change < self._times.stale:
            time.sleep(min(self._times.poll, self._times.stale))
            new_content = self._read()
            if new_content is None:
                return
            if new_content != content:
                if time.monotonic() >= deadline:
                    raise _in_use(self._folder, _describe_holder(new_content))
                content, last_change = new_content, time.monotonic()
        logger.warning("%s has not renewed its lease for %g s; taking over", _describe_holder(content), self._times.stale)

    def check(self) -> None:
        """Raise StoreError if another process took the lease, or if the lease has not been renewed for too long."""
        if self._taken_by is None and _clock() - self._renewed > self._times.stale / 2:
            try:
                self._renew()
            except OSError as error:
                what = "The lock of the output folder cannot be renewed."
                raise io_error(self._folder, LEASE_FILE, error, what, "rerun the command to resume") from None
        if self._taken_by is not None:
            raise StoreError(
                "Another process has taken over the output folder.",
                where=self._folder.at(),
                got=self._taken_by,
                hint="wait for that process to finish, then rerun the command; results written so far are kept",
            )

    def release(self) -> None:
        """Stop renewing, and delete the lease if this process still holds it."""
        self._stop.set()
        self._thread.join()
        try:
            if self._is_own(self._read()):
                self._folder.delete(LEASE_FILE)
        except OSError as error:
            logger.debug("Cannot delete %s: %s", self._folder.at(LEASE_FILE), error)

    def _renew_regularly(self) -> None:
        while not self._stop.wait(self._times.renew):
            try:
                self._renew()
            except OSError as error:  # the next renewal may succeed; `check` reports a lasting failure
                logger.debug("Cannot renew %s: %s", self._folder.at(LEASE_FILE), error)

    def _renew(self) -> None:
        with self._mutex:
            started = _clock()
            content = self._read()
            if self._is_own(content):
                self._write()
                self._renewed = _clock()
                if self._renewed - started > self._times.stale / 2:
                    # Another process may have taken the lease in between. This write has replaced its token, so it stops as well.
                    self._taken_by = f"unknown: the storage did not respond for {self._renewed - started:.0f} s"
            else:
                self._taken_by = "the lock was deleted" if content is None else _describe_holder(content)

    def _read(self) -> bytes | None:
        """The content of the lease; None if there is no lease."""
        for attempts_left in reversed(range(READ_ATTEMPTS)):
            try:
                return self._folder.read(LEASE_FILE)
            except FileNotFoundError:
                return None
            except OSError as error:  # for instance an object that was replaced or deleted during the read
                if not attempts_left:
                    raise
                logger.debug("Cannot read %s, trying again: %s", self._folder.at(LEASE_FILE), error)
                time.sleep(self._times.poll)
        raise AssertionError("not reached")

    def _write(self) -> None:
        self._renewals += 1
        self._folder.write(LEASE_FILE, json.dumps(self._holder | {"beat": self._renewals}).encode())

    def _is_own(self, content: bytes | None) -> bool:
        return content is not None and str(self._holder["token"]).encode() in content


def _clock() -> float:
    """Seconds since boot, including time during which the machine was suspended."""
    # macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC includes that time.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _describe_process() -> dict[str, str | int]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started}


def _describe_holder(content: bytes) -> str:
    """The process that wrote a lock file, for messages."""
    try:
        process = json.loads(content)
        return f"process {process['pid']} on {process['host']}, since {process['started']}"
    except (ValueError, KeyError, TypeError) as error:  # for instance a file that is still empty
        logger.debug("A lock file does not name its process: %r", error)
        return UNKNOWN_PROCESS


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _in_use(folder: Folder, holder: str) -> StoreError:
    return StoreError(
        "The output folder is in use by another process.",
        where=folder.at(),
        got=holder,
        hint="wait for it to finish, or set wait_for_out=SECONDS or another out=DIR",
    )
