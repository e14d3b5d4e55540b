"""A full disk: the sweep waits for space and loses nothing; if the disk stays full, it stops and can be resumed."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.storage import store
from tests.helpers.processes import Completed, run_function
from tests.helpers.small_sweep import assert_same_tables, command

NEW_MOUNT_NAMESPACE = 0x20000
Sweep = Callable[[float, float | None], Completed]


class Freed(logging.Handler):
    """Deletes a file some time after the first warning, in a thread."""

    def __init__(self, file: Path, seconds: float) -> None:
        super().__init__(logging.WARNING)
        self.file, self.seconds, self.started = file, seconds, False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.started:
            self.started = True
            threading.Timer(self.seconds, self.file.unlink).start()


def sweep_on_a_small_disk(disk: Path, copy: Path, arguments: list[str], patience: float, free_after: float | None) -> None:
    """In a new mount namespace: sweep to a disk of 400 kB that is mostly full, and copy the results.

    With `free_after`, space is freed so many seconds after the first warning. Otherwise the sweep fails, and is run again after
    space is freed.
    """
    assert ctypes.CDLL(None).unshare(NEW_MOUNT_NAMESPACE) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], check=True)
    store.DISK_PATIENCE = patience
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(320_000))
    if free_after is not None:
        logging.getLogger("microbench_ray").addHandler(Freed(ballast, free_after))
    print("exit code", main(arguments), flush=True)
    assert not list((disk / "out").rglob("*.tmp")), "a partly written file"
    if free_after is None:
        ballast.unlink()
        assert main(arguments) == 0
    shutil.copytree(disk / "out", copy)


@pytest.fixture
def on_a_small_disk(board: Path, tmp_path: Path) -> Sweep:
    if os.geteuid():
        pytest.skip("only root can mount a disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces in this environment")

    def sweep(patience: float, free_after: float | None) -> Completed:
        arguments = command(board, disk / "out")
        return run_function(sweep_on_a_small_disk, disk, tmp_path / "copy", arguments, patience, free_after, seconds=120)

    return sweep


@pytest.mark.slow
def test_a_disk_that_is_full_for_a_while_loses_nothing(on_a_small_disk: Sweep, reference: Path, tmp_path: Path) -> None:
    done = on_a_small_disk(60, 1)
    assert done.returncode == 0, done.stderr
    assert "exit code 0" in done.stdout
    assert done.stderr.count("No space left on device") == 1, "one warning"
    assert "60 s" in done.stderr
    assert_same_tables(tmp_path / "copy", reference)


@pytest.mark.slow
def test_a_sweep_on_a_disk_that_stays_full_stops_and_can_be_resumed(
    on_a_small_disk: Sweep, reference: Path, tmp_path: Path
) -> None:
    done = on_a_small_disk(1, None)
    assert done.returncode == 0, done.stderr
    assert "exit code 1" in done.stdout
    assert "got:   No space left on device" in done.stderr
    assert "hint:" in done.stderr
    assert "cells are already done" in done.stderr
    assert_same_tables(tmp_path / "copy", reference)
