"""What is known of the machine, also where the system is not Linux: macOS has no /proc, no affinity and no CLOCK_BOOTTIME."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.host import cpu, describe_host, free_memory, usable_cores
from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.lock import Lease, Times
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from tests.helpers.small_sweep import command, write_board

LINUX_FOLDERS = ("/proc/", "/sys/")


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without what only Linux has."""
    without_files(monkeypatch, lambda path: path.startswith(LINUX_FOLDERS))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    describe_host.cache_clear()
    yield
    describe_host.cache_clear()


def without_files(monkeypatch: pytest.MonkeyPatch, missing: Callable[[str], bool]) -> None:
    read = Path.read_text

    def read_if_there(path: Path, *arguments: str, **options: str) -> str:
        if missing(str(path)):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return read(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_if_there)


@pytest.mark.usefixtures("macos")
def test_a_sweep_runs_without_what_only_linux_has(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(command(write_board(tmp_path / "board.parquet"), out, runs=2)) == 0
    assert (out / "agreement.parquet").exists()


@pytest.mark.usefixtures("macos")
def test_all_memory_and_all_cores_are_counted_where_no_part_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = os.sysconf("SC_PHYS_PAGES")
    assert free_memory() == pages * os.sysconf("SC_PAGE_SIZE")
    assert usable_cores() == os.cpu_count()
    assert LocalRayEngine().n_workers == os.cpu_count()
    assert cpu()

    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert free_memory() == sys.maxsize


@pytest.mark.usefixtures("macos")
def test_a_lease_is_renewed_by_a_clock_that_every_system_has(tmp_path: Path) -> None:
    lease = Lease(LocalFolder(tmp_path), 0, Times(renew=0.05, stale=1.0, settle=0.01, poll=0.01))
    time.sleep(0.2)
    lease.check()
    lease.release()


def test_the_memory_left_by_a_containers_limit_is_the_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text
    limits = {"/sys/fs/cgroup/memory.max": "1000\n", "/sys/fs/cgroup/memory.current": "400\n"}
    monkeypatch.setattr(Path, "read_text", lambda path, *more: limits.get(str(path)) or read(path, *more))
    assert free_memory() == 600
    limits["/sys/fs/cgroup/memory.max"] = "max\n"
    assert free_memory() > 600


def test_the_cores_of_this_process_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
