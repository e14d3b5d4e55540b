"""A disk that is full: waited for, and nothing is lost; one that stays full is told of, and the same command goes on later."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.small_sweep import assert_same_tables, command

# In a mount namespace of its own: a disk of 400 kB with something on it, and a sweep whose out is there.
PROGRAM = """
import shutil, subprocess, sys, threading, time
from pathlib import Path

disk, copy, patience, free_after = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], check=True)
from microbench_ray.cli import main as cli
from microbench_ray.core.storage import store

store.DISK_PATIENCE = patience
ballast = disk / "ballast"
ballast.write_bytes(bytes(320_000))

told = threading.Event()

class Watched:
    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        if "waiting for room" in text:
            told.set()
        return self.stream.write(text)

    def __getattr__(self, name):
        return getattr(self.stream, name)

def free():
    told.wait()
    time.sleep(free_after)
    ballast.unlink()

sys.stderr = Watched(sys.stderr)

if free_after:
    threading.Thread(target=free, daemon=True).start()
code = cli.main(sys.argv[5:])
print("code", code, flush=True)
assert not list((disk / "out").rglob("*.tmp")), "nothing by halves"
if code:
    ballast.unlink()
    assert cli.main(sys.argv[5:]) == 0
shutil.copytree(disk / "out", copy)
"""


@pytest.fixture
def on_a_small_disk(board: Path, tmp_path: Path) -> Callable[[float, float], subprocess.CompletedProcess[str]]:
    disk = tmp_path / "disk"
    disk.mkdir()
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("a disk can be mounted by root alone")

    def sweep(patience: float, free_after: float) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", PROGRAM, str(disk), str(tmp_path / "copy"), str(patience), str(free_after)]
        return subprocess.run(
            ["unshare", "-m", *words, *command(board, disk / "out")], capture_output=True, text=True, timeout=120, check=False
        )

    return sweep


def test_a_disk_that_is_full_for_a_while_loses_nothing(on_a_small_disk, reference: Path, tmp_path: Path) -> None:
    done = on_a_small_disk(60, 4)
    assert done.returncode == 0, done.stderr
    assert "code 0" in done.stdout
    assert done.stderr.count("No space left on device; waiting for room, for 60 s at most") == 1
    assert_same_tables(tmp_path / "copy", reference)


def test_a_disk_that_stays_full_is_told_of_and_the_same_command_goes_on_later(
    on_a_small_disk, reference: Path, tmp_path: Path
) -> None:
    done = on_a_small_disk(2, 0)
    assert done.returncode == 0, done.stderr
    assert "code 1" in done.stdout
    assert "A result file cannot be written." in done.stderr
    assert "make room on the disk and run the same command again: finished shards are kept" in done.stderr
    assert " cells are done already" in done.stdout
    assert_same_tables(tmp_path / "copy", reference)
