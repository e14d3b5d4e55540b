"""One driver at a time on one output folder: a locked file on this machine, a lease that is renewed in an object store."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.folders import Folder, LocalFolder, io_error

logger = logging.getLogger(__name__)

LOCK = ".lock"
LEASE = ".lease.json"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems say that have no locks."""
READS = 3


@dataclass(frozen=True)
class Times:
    """In seconds.

    Attributes
    ----------
    renew
        How often a lease is renewed.
    stale
        A lease that has not changed for so long, by the watcher's own clock, is taken over.
    settle
        How long after writing its lease a driver looks whether another one wrote at the same moment.
    poll
        How often one that waits looks.
    """

    renew: float = 10.0
    stale: float = 60.0
    settle: float = 1.0
    poll: float = 0.5


TIMES = Times()


class Hold(Protocol):
    """The right to write into a folder."""

    def check(self) -> None:
        """Raise StoreError where it is lost: to be called before every write."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


def hold(folder: Folder, wait: float, times: Times | None = None) -> Hold:
    """Become the folder's one driver.

    Parameters
    ----------
    folder
        An output folder that is there.
    wait
        Seconds to wait for another driver to end.
    times
        `TIMES`, but for tests.

    Raises
    ------
    StoreError
        Another driver is at work there, and still is after `wait`.
    OSError
        The folder cannot be written.
    """
    times = times or TIMES
    if isinstance(folder, LocalFolder):
        try:
            return FileLock(folder, wait, times)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
    return Lease(folder, wait, times)


class FileLock:
    """A lock of the operating system, which ends with the process however that ends."""

    def __init__(self, folder: LocalFolder, wait: float, times: Times) -> None:
        self._path = folder.path / LOCK
        deadline, told = time.monotonic() + wait, False
        while (descriptor := self._try()) is None:
            with contextlib.suppress(OSError):
                holder = _who(self._path.read_bytes())
            if time.monotonic() >= deadline:
                raise _busy(folder, holder)
            if not told:
                logger.info("%s is in use by %s; waiting up to %g s for it to finish", folder.at(), holder, wait)
                told = True
            time.sleep(min(times.poll, max(0.0, deadline - time.monotonic())))
        self._descriptor: int | None = descriptor

    def _try(self) -> int | None:
        while True:
            # Not inherited by what this process starts: it would keep the lock.
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same(descriptor, self._path):
                    os.ftruncate(descriptor, 0)
                    with contextlib.suppress(OSError):  # a full disk: the lock holds, and only the name is not told
                        os.write(descriptor, _about().encode())
                    return descriptor
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # the former holder removed the file in between

    def check(self) -> None:
        """A lock is not lost."""

    def release(self) -> None:
        """Remove the file while it is still locked, so that nobody else's is removed."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                if _same(self._descriptor, self._path):
                    self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


class Lease:
    """An object with a token of our own, renewed by a thread; clocks of different machines are never compared."""

    def __init__(self, folder: Folder, wait: float, times: Times) -> None:
        self._folder, self._times = folder, times
        self._about = json.loads(_about()) | {"token": secrets.token_hex(16)}
        self._beat = 0
        self._taken_by: str | None = None
        self._stop, self._mutex = threading.Event(), threading.Lock()
        deadline = time.monotonic() + wait
        while True:
            self._until_free(deadline)
            self._write()
            time.sleep(times.settle)
            if self._is_ours(self._read()):
                break
        self._renewed = _clock()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def _until_free(self, deadline: float) -> None:
        """Return when there is no lease, or one that nobody renews."""
        seen = self._read()
        if seen is None:
            return
        logger.info(
            "%s is locked by %s; checking for up to %g s whether that process is still running",
            self._folder.at(),
            _who(seen),
            self._times.stale,
        )
        since = time.monotonic()
        while time.monotonic() - since < self._times.stale:
            time.sleep(min(self._times.poll, self._times.stale))
            now = self._read()
            if now is None:
                return
            if now != seen:
                if time.monotonic() >= deadline:
                    raise _busy(self._folder, _who(now))
                seen, since = now, time.monotonic()
        logger.warning("%s has not renewed its lease for %g s; taking over", _who(seen), self._times.stale)

    def check(self) -> None:
        """Raise StoreError where another driver took the lease, or where it could not be renewed for too long to know."""
        if self._taken_by is None and _clock() - self._renewed > self._times.stale / 2:
            try:
                self._renew()
            except OSError as error:
                what = "The lease of the output folder cannot be renewed."
                raise io_error(self._folder, LEASE, error, what, "run the same command again") from None
        if self._taken_by is not None:
            raise StoreError(
                "Another driver has taken over the output folder.",
                where=self._folder.at(),
                got=self._taken_by,
                hint="let that one end: what this one has written is kept; then run the same command again",
            )

    def release(self) -> None:
        """Stop renewing, and remove the object if it is ours."""
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            if self._is_ours(self._read()):
                self._folder.delete(LEASE)

    def _keep(self) -> None:
        while not self._stop.wait(self._times.renew):
            with contextlib.suppress(OSError):  # tried again; `check` tells where it lasts
                self._renew()

    def _renew(self) -> None:
        with self._mutex:
            started = _clock()
            content = self._read()
            if self._is_ours(content):
                self._write()
                self._renewed = _clock()
                if self._renewed - started > self._times.stale / 2:  # who took it meanwhile has been written over, and stops too
                    self._taken_by = f"no answer for {self._renewed - started:.0f} s: nobody knows who holds it"
            else:
                self._taken_by = "the lease was removed" if content is None else _who(content)

    def _read(self) -> bytes | None:
        for left in reversed(range(READS)):
            try:
                return self._folder.read(LEASE)
            except FileNotFoundError:
                return None
            except OSError:  # such as an object that was written anew or removed while it was read
                if not left:
                    raise
                time.sleep(self._times.poll)
        raise AssertionError("not reached")

    def _write(self) -> None:
        self._beat += 1
        self._folder.write(LEASE, json.dumps(self._about | {"beat": self._beat}).encode())

    def _is_ours(self, content: bytes | None) -> bool:
        return content is not None and self._about["token"].encode() in content


def _clock() -> float:
    """Seconds, those included for which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _about() -> str:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": started})


def _who(content: bytes) -> str:
    try:
        about = json.loads(content)
        return f"process {about['pid']} on {about['host']}, since {about['started']}"
    except (ValueError, KeyError, TypeError):
        return "another driver"


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _busy(folder: Folder, holder: str) -> StoreError:
    return StoreError(
        "Another driver is at work in the output folder.",
        where=folder.at(),
        got=holder,
        hint="let it end and run the same command again; or wait_for_out=SECONDS, or out=DIR with another folder",
    )
