"""One driver at a time on an output folder: the second says so and stops, or waits; one that is killed is no obstacle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage import lock as lease
from microbench_ray.core.storage.folders import LocalFolder, RemoteFolder, open_folder
from microbench_ray.core.storage.lock import FileLock, Lease, Times, hold
from tests.helpers.object_store import ObjectStore
from tests.helpers.small_sweep import assert_same_tables, command

QUICK = Times(renew=0.3, stale=2.0, settle=0.05, poll=0.05)

# A driver that stops after its second shard until a file appears; it renews its lease meanwhile.
SLOW = f"""
import sys, time
from pathlib import Path
from microbench_ray.cli import main as cli
from microbench_ray.core.storage import lock as lease
from microbench_ray.cli.settings import sweep as settings
from microbench_ray.sweeps.engine.serial import SerialEngine

lease.TIMES = lease.{QUICK}
gate = Path(sys.argv[1])

class Slow(SerialEngine):
    def run(self, benchmarks, shards):
        for place, pair in enumerate(super().run(benchmarks, shards)):
            yield pair
            if place == 1:
                gate.with_suffix(".reached").touch()
                while not gate.exists():
                    time.sleep(0.02)

settings.SerialEngine = Slow
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TIMES", QUICK)


@pytest.fixture(scope="module")
def reference(board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    assert main(command(board, out, runs=10)) == 0
    return out


@pytest.fixture(params=["on a disk", "in an object store"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "on a disk":
        return str(tmp_path / "out")
    return f"s3://{request.getfixturevalue('s3').bucket()}/out"


def swept(board: Path, out: str, *more: str) -> list[str]:
    return [*command(board, Path("x"), *more, runs=10), f"out={out}"]


class Slow:
    """A driver in a process of its own, held half way."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.gate, self.log = folder / "gate", folder / "log"
        with self.log.open("w") as log:
            words = [sys.executable, "-c", SLOW, str(self.gate), *arguments]
            self.process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self.gate.with_suffix(".reached").exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self) -> int:
        """Let it go on to its end."""
        self.gate.touch()
        return self.process.wait(timeout=60)


@pytest.fixture
def slow(board: Path, out: str, tmp_path: Path) -> Iterator[Slow]:
    driver = Slow(swept(board, out), tmp_path)
    yield driver
    if driver.process.poll() is None:
        driver.process.kill()
        driver.process.wait()


def local(out: str, tmp_path: Path) -> Path:
    """The folder, or a copy of it."""
    if not out.startswith("s3://"):
        return Path(out)
    for name in ("", "cells"):
        (tmp_path / "copy" / name).mkdir(parents=True, exist_ok=True)
        for file in open_folder(out).files(name):
            place = f"{name}/{file}" if name else file
            (tmp_path / "copy" / place).write_bytes(open_folder(out).read(place))
    return tmp_path / "copy"


def hidden(out: str) -> list[str]:
    return [name for name in open_folder(out).files() if name.startswith(".")]


def test_the_second_driver_says_who_is_there_and_stops(
    slow: Slow, board: Path, out: str, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(open_folder(out).files("cells"))
    for words in (swept(board, out), swept(board, out, "grid.sizes=[7]"), swept(board, out, "wait_for_out=1")):
        assert main(words) == 1
        said = capsys.readouterr().err
        assert "Another driver is at work in the output folder." in said
        assert out in said
        assert f"process {slow.process.pid} on {os.uname().nodename}, since 20" in said
        assert "wait_for_out=SECONDS" in said
    assert set(open_folder(out).files("cells")) == before
    assert slow.end() == 0, slow.log.read_text()
    assert_same_tables(local(out, tmp_path), reference)
    assert hidden(out) == []


def test_the_second_driver_waits_when_asked(
    slow: Slow, board: Path, out: str, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-c", SLOW, str(slow.gate), *swept(board, out, "wait_for_out=60")]
    log = tmp_path / "second"
    with log.open("w") as sink:
        second = subprocess.Popen([words[0], "-u", *words[1:]], stdout=sink, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while "waiting for it to end" not in log.read_text() and "still runs" not in log.read_text():
            assert second.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert slow.end() == 0
        code = second.wait(timeout=60)
    finally:
        second.kill()
        second.wait()
    said = log.read_text()
    assert code == 0, said
    assert f"process {slow.process.pid} on" in said
    assert "120 of 120 cells are done already" in said
    assert_same_tables(local(out, tmp_path), reference)
    assert hidden(out) == []


def test_a_driver_that_is_killed_is_no_obstacle(
    slow: Slow, board: Path, out: str, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.kill(slow.process.pid, signal.SIGKILL)
    slow.process.wait()
    started = time.monotonic()
    assert main(swept(board, out)) == 0
    said = capsys.readouterr().out
    assert " of 120 cells are done already" in said
    if out.startswith("s3://"):
        assert "going on in its place" in said
        assert time.monotonic() - started > QUICK.stale
    assert_same_tables(local(out, tmp_path), reference)
    assert hidden(out) == []


def test_a_driver_whose_lease_was_taken_stops_before_it_writes(slow: Slow, out: str, s3: ObjectStore) -> None:
    if not out.startswith("s3://"):
        pytest.skip("a lock of the operating system is not taken away")
    os.kill(slow.process.pid, signal.SIGSTOP)  # as a machine that sleeps, or that is cut off
    try:
        with_lease = hold(open_folder(out), 0, lambda text: None)
        before = open_folder(out).files("cells")
    finally:
        os.kill(slow.process.pid, signal.SIGCONT)
    assert slow.end() == 1
    assert "Another driver has taken over the output folder." in slow.log.read_text()
    assert open_folder(out).files("cells") == before
    if "nobody knows" not in slow.log.read_text():  # it was stopped between looking at its lease and renewing it: then both end
        assert f"process {os.getpid()} on" in slow.log.read_text()
        with_lease.check()
    with_lease.release()


def test_reduce_takes_the_folder_too(slow: Slow, board: Path, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads(open_folder(out).read("manifest.json"))
    open_folder(out).write("manifest.json", json.dumps(manifest | {"finished": "now"}).encode())
    assert main(["reduce", f"out={out}", "figures=false"]) == 1
    assert "Another driver is at work" in capsys.readouterr().err


Holder = Callable[..., Any]


@pytest.fixture(params=["lock", "lease on a disk", "lease in an object store"])
def holder(request: pytest.FixtureRequest, tmp_path: Path) -> Holder:
    """Makes holds of one folder."""
    kind = FileLock if request.param == "lock" else Lease
    place = f"s3://{request.getfixturevalue('s3').bucket()}/x" if "object" in request.param else str(tmp_path)
    folder = open_folder(place)

    def make(wait: float = 0, say: Callable[[str], None] = lambda text: None, times: Times = QUICK) -> Any:
        return kind(folder, wait, say, times)

    return make


def test_a_hold_that_is_released_can_be_taken_at_once(holder: Holder) -> None:
    for _ in range(3):
        started = time.monotonic()
        one = holder()
        one.check()
        with pytest.raises(StoreError, match="at work"):
            holder()
        one.release()
        assert time.monotonic() - started < QUICK.stale


def test_waiting_ends_when_the_holder_does(holder: Holder) -> None:
    import threading

    one = holder()
    threading.Timer(1.0, one.release).start()
    said: list[str] = []
    two = holder(30, said.append)
    assert len(said) == 1
    two.check()
    two.release()


def test_a_lease_is_renewed_while_nothing_is_written(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    one = Lease(folder, 0, lambda text: None, QUICK)
    time.sleep(QUICK.stale + 1)
    with pytest.raises(StoreError, match="at work"):
        Lease(folder, 0, lambda text: None, QUICK)
    one.check()
    one.release()


def test_two_that_start_at_the_same_moment_are_not_both_let_in(tmp_path: Path) -> None:
    import threading

    got: list[Lease] = []
    refused: list[StoreError] = []

    def start() -> None:
        try:
            got.append(Lease(LocalFolder(tmp_path), 0, lambda text: None, Times(0.3, 2.0, 0.5, 0.05)))
        except StoreError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 3)
    got[0].check()
    got[0].release()


def test_a_lease_that_cannot_be_renewed_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(tmp_path)
    one = Lease(folder, 0, lambda text: None, QUICK)

    def fail(name: str) -> bytes:
        raise OSError("AWS Error NETWORK_CONNECTION")

    monkeypatch.setattr(folder, "read", fail)
    one.check()
    time.sleep(QUICK.stale / 2 + 0.2)
    with pytest.raises(StoreError, match="cannot be renewed"):
        one.check()
    one.release()


def test_a_lease_that_is_written_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(tmp_path)
    one = Lease(folder, 0, lambda text: None, QUICK)
    read, failed = LocalFolder.read, []

    def torn(self: LocalFolder, name: str) -> bytes:
        if len(failed) < lease.READS - 1:
            failed.append(name)
            raise OSError("AWS Error INTERNAL_FAILURE during GetObject operation: Failed to flush response stream")
        return read(self, name)

    monkeypatch.setattr(LocalFolder, "read", torn)
    with pytest.raises(StoreError, match="at work"):
        Lease(folder, 0, lambda text: None, QUICK)
    assert failed == [lease.LEASE] * (lease.READS - 1)
    one.check()
    one.release()


def test_a_lease_that_was_removed_is_lost(tmp_path: Path) -> None:
    one = Lease(LocalFolder(tmp_path), 0, lambda text: None, QUICK)
    (tmp_path / lease.LEASE).unlink()
    time.sleep(2 * QUICK.renew)
    with pytest.raises(StoreError, match="taken over") as caught:
        one.check()
    assert caught.value.got == "the lease was removed"
    one.release()


def test_a_lease_of_something_else_is_watched_as_any_other(tmp_path: Path) -> None:
    (tmp_path / lease.LEASE).write_bytes(b"\xff not ours")
    said: list[str] = []
    started = time.monotonic()
    one = Lease(LocalFolder(tmp_path), 0, said.append, QUICK)
    assert time.monotonic() - started >= QUICK.stale
    assert "another driver" in said[0]
    one.release()


def test_where_there_are_no_locks_a_lease_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(lease.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lease.fcntl, "flock", fail)
    one = hold(LocalFolder(tmp_path), 0, lambda text: None)
    assert isinstance(one, Lease)
    with pytest.raises(StoreError, match="at work"):
        hold(LocalFolder(tmp_path), 0, lambda text: None)
    one.release()


def test_a_lock_is_not_kept_by_what_the_driver_started(tmp_path: Path) -> None:
    one = FileLock(LocalFolder(tmp_path), 0, lambda text: None, QUICK)
    words = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(30)"]
    child = subprocess.Popen(words, close_fds=False, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"started\n"  # the kernel closes what is not inherited a moment after it is started
        os.close(one._descriptor)  # what the kernel does with a driver that is killed
        one._descriptor = None
        FileLock(LocalFolder(tmp_path), 0, lambda text: None, QUICK).release()
    finally:
        child.kill()
        child.communicate()


def test_a_url_opens_a_remote_folder(tmp_path: Path) -> None:
    assert isinstance(open_folder("s3://b/x"), RemoteFolder)
    assert isinstance(open_folder(str(tmp_path)), LocalFolder)
