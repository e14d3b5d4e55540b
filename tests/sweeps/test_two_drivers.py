"""One driver at a time uses an output folder: a second one stops or waits, and a killed one does not block the next."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage import lock
from microbench_ray.core.storage.folders import LocalFolder, RemoteFolder, open_folder
from microbench_ray.core.storage.lock import FileLock, FolderLock, Lease, Times, lock_folder
from tests.helpers.drivers import PausedDriver, serial_driver
from tests.helpers.errors import refuses
from tests.helpers.processes import Child
from tests.helpers.small_sweep import assert_same_tables, command

QUICK = Times(renew=0.3, stale=2.0, settle=0.05, poll=0.05)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "TIMES", QUICK)


@pytest.fixture(scope="module")
def reference(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    assert main(command(board, out, runs=10)) == 0
    return out


@pytest.fixture(params=["on a disk", pytest.param("in an object store", marks=pytest.mark.slow)])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "on a disk":
        return str(tmp_path / "out")
    return f"s3://{request.getfixturevalue('s3').bucket()}/out"


def swept(board: Path, out: str, *more: str) -> list[str]:
    return [*command(board, Path("x"), *more, runs=10), f"out={out}"]


@pytest.fixture
def driver(board: Path, out: str, tmp_path: Path) -> Iterator[PausedDriver]:
    """A driver that is paused after its second shard."""
    paused = PausedDriver(serial_driver, swept(board, out), tmp_path, QUICK)
    yield paused
    paused.close()


def local(out: str, tmp_path: Path) -> Path:
    """The output folder, or a local copy of one in an object store."""
    if not out.startswith("s3://"):
        return Path(out)
    for name in ("", "cells"):
        (tmp_path / "copy" / name).mkdir(parents=True, exist_ok=True)
        for file in open_folder(out).files(name):
            path = f"{name}/{file}" if name else file
            (tmp_path / "copy" / path).write_bytes(open_folder(out).read(path))
    return tmp_path / "copy"


def hidden(out: str) -> list[str]:
    return [name for name in open_folder(out).files() if name.startswith(".")]


def test_a_second_driver_names_the_first_and_stops(
    driver: PausedDriver, board: Path, out: str, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(open_folder(out).files("cells"))
    for arguments in (swept(board, out), swept(board, out, "grid.sizes=[7]"), swept(board, out, "wait_for_out=1")):
        assert main(arguments) == 1
        error = capsys.readouterr().err
        assert f"where: {out}" in error
        assert f"process {driver.child.pid} on {os.uname().nodename}" in error
        assert "wait_for_out=SECONDS" in error
    assert set(open_folder(out).files("cells")) == before
    assert driver.finish() == 0, driver.log.read_text()
    assert_same_tables(local(out, tmp_path), reference)
    assert hidden(out) == []


def test_a_second_driver_waits_when_asked_to(driver: PausedDriver, board: Path, out: str, reference: Path, tmp_path: Path) -> None:
    log = tmp_path / "second.log"
    second = Child(serial_driver, driver.gate, swept(board, out, "wait_for_out=60"), QUICK, stdout=log)
    try:
        deadline = time.monotonic() + 60
        while f"process {driver.child.pid} on" not in log.read_text() if log.exists() else True:
            assert second.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert driver.finish() == 0
        code = second.wait(60)
    finally:
        second.kill()
    assert code == 0, log.read_text()
    assert "120 of 120 cells" in log.read_text()
    assert_same_tables(local(out, tmp_path), reference)
    assert hidden(out) == []


def test_a_killed_driver_does_not_block_the_next(
    driver: PausedDriver, board: Path, out: str, reference: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver.child.send_signal(signal.SIGKILL)
    driver.child.wait()
    started = time.monotonic()
    assert main(swept(board, out)) == 0
    messages = [record.getMessage() for record in caplog.records]
    assert any("60 of 120 cells" in text for text in messages), "the two shards before the gate are reused"
    if out.startswith("s3://"):
        (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert f"process {driver.child.pid} on" in warning
        assert time.monotonic() - started > QUICK.stale
    assert_same_tables(local(out, tmp_path), reference)
    assert hidden(out) == []


@pytest.mark.slow
@pytest.mark.parametrize("out", ["in an object store"], indirect=True)  # a lock of the operating system cannot be taken over
def test_a_driver_whose_lease_was_taken_over_stops_before_it_writes(driver: PausedDriver, out: str) -> None:
    driver.child.send_signal(signal.SIGSTOP)  # like a machine that sleeps or is disconnected
    try:
        lease = lock_folder(open_folder(out), 0)
        before = open_folder(out).files("cells")
    finally:
        driver.child.send_signal(signal.SIGCONT)
    assert driver.finish() == 1
    log = driver.log.read_text()
    assert f"where: {out}" in log
    assert open_folder(out).files("cells") == before
    if f"process {os.getpid()} on" in log:  # else it was stopped between reading and renewing its lease, and both drivers end
        lease.check()
    lease.release()


def test_reduce_locks_the_folder_too(driver: PausedDriver, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads(open_folder(out).read("manifest.json"))
    open_folder(out).write("manifest.json", json.dumps(manifest | {"finished": "now"}).encode())
    assert main(["reduce", f"out={out}", "figures=false"]) == 1
    assert f"process {driver.child.pid} on" in capsys.readouterr().err


Holder = Callable[..., FolderLock]


@pytest.fixture(params=["lock", "lease on a disk", pytest.param("lease in an object store", marks=pytest.mark.slow)])
def holder(request: pytest.FixtureRequest, tmp_path: Path) -> Holder:
    """Makes holds on one folder."""
    kind = FileLock if request.param == "lock" else Lease
    place = f"s3://{request.getfixturevalue('s3').bucket()}/x" if "object" in request.param else str(tmp_path)
    folder = open_folder(place)

    def make(wait: float = 0, times: Times = QUICK) -> FolderLock:
        return kind(folder, wait, times)  # type: ignore[arg-type]

    return make


@contextmanager
def busy() -> Iterator[None]:
    """Expect the error of a folder that another driver of this process uses."""
    with refuses(StoreError, "output folder", got=f"process {os.getpid()} on", hint="wait_for_out=SECONDS"):
        yield


def test_a_released_hold_can_be_taken_at_once(holder: Holder) -> None:
    for _ in range(3):
        first = holder()
        first.check()
        with busy():
            holder()
        first.release()


def test_waiting_ends_when_the_holder_releases(holder: Holder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="microbench_ray")
    first = holder()
    threading.Timer(1.0, first.release).start()
    second = holder(30)
    (record,) = caplog.records
    assert f"process {os.getpid()} on" in record.getMessage()
    second.check()
    second.release()


def test_a_lease_is_renewed_between_writes(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    lease = Lease(folder, 0, QUICK)
    time.sleep(QUICK.stale + 1)
    with busy():
        Lease(folder, 0, QUICK)
    lease.check()
    lease.release()


def test_of_drivers_that_start_at_the_same_moment_one_gets_the_lease(tmp_path: Path) -> None:
    leases: list[Lease] = []
    errors: list[StoreError] = []

    def start() -> None:
        try:
            leases.append(Lease(LocalFolder(tmp_path), 0, Times(0.3, 2.0, 0.5, 0.05)))
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(leases), len(errors)) == (1, 3)
    leases[0].check()
    leases[0].release()


def test_a_lease_that_cannot_be_renewed_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(tmp_path)
    lease = Lease(folder, 0, QUICK)

    def fail(name: str) -> bytes:
        raise OSError("AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(folder, "read", fail)
    lease.check()
    time.sleep(QUICK.stale / 2 + 0.2)
    with refuses(StoreError, "renewed", where=str(tmp_path), got="NETWORK_CONNECTION"):
        lease.check()
    lease.release()


def test_a_lease_that_is_read_while_it_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(tmp_path)
    lease = Lease(folder, 0, QUICK)
    read = LocalFolder.read
    failed: list[str] = []

    def torn(self: LocalFolder, name: str) -> bytes:
        if len(failed) < lock.READ_ATTEMPTS - 1:
            failed.append(name)
            raise OSError("AWS Error INTERNAL_FAILURE during GetObject operation: Failed to flush response stream")
        return read(self, name)

    monkeypatch.setattr(LocalFolder, "read", torn)
    with busy():
        Lease(folder, 0, QUICK)
    assert failed == [lock.LEASE_FILE] * (lock.READ_ATTEMPTS - 1)
    lease.check()
    lease.release()


def test_a_removed_lease_is_lost(tmp_path: Path) -> None:
    lease = Lease(LocalFolder(tmp_path), 0, QUICK)
    (tmp_path / lock.LEASE_FILE).unlink()
    time.sleep(2 * QUICK.renew)
    with refuses(StoreError, "taken over", where=str(tmp_path), got="deleted"):
        lease.check()
    lease.release()


def test_a_lease_of_another_program_is_watched_like_any_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="microbench_ray")
    (tmp_path / lock.LEASE_FILE).write_bytes(b"\xff not ours")
    started = time.monotonic()
    lease = Lease(LocalFolder(tmp_path), 0, QUICK)
    assert time.monotonic() - started >= QUICK.stale
    assert lock.UNKNOWN_PROCESS in caplog.records[0].getMessage()
    lease.release()


def test_a_lease_is_used_on_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    lease = lock_folder(LocalFolder(tmp_path), 0)
    assert isinstance(lease, Lease)
    with busy():
        lock_folder(LocalFolder(tmp_path), 0)
    lease.release()


def test_a_lock_is_not_inherited_by_child_processes(tmp_path: Path) -> None:
    first = FileLock(LocalFolder(tmp_path), 0, QUICK)
    child = subprocess.Popen(["sh", "-c", "echo started; exec sleep 30"], close_fds=False, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert first._descriptor is not None
    try:
        assert child.stdout.readline() == b"started\n"  # by now the kernel has closed what is not inherited
        os.close(first._descriptor)  # as the kernel does when a driver is killed
        first._descriptor = None
        FileLock(LocalFolder(tmp_path), 0, QUICK).release()
    finally:
        child.kill()
        child.communicate()


def test_a_url_opens_a_remote_folder(tmp_path: Path) -> None:
    assert isinstance(open_folder("s3://b/x"), RemoteFolder)
    assert isinstance(open_folder(str(tmp_path)), LocalFolder)
