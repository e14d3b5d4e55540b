"""Locks of local folders where other processes release, sweep or start at the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.lock import LOCK_FILE, FileLock, Times
from microbench_ray.core.storage.store import Store

QUICK = Times(renew=0.3, stale=2.0, settle=0.05, poll=0.01)


def test_a_lock_that_is_released_before_its_holder_is_read_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = FileLock(LocalFolder(tmp_path), 0, QUICK)
    read = Path.read_bytes

    def read_after_the_release(path: Path) -> bytes:
        first.release()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_after_the_release)
    second = FileLock(LocalFolder(tmp_path), 0, QUICK)
    second.release()
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_probe_that_another_driver_sweeps_away_proves_that_the_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch, swept = Path.touch, []

    def touch_beside_a_sweep(path: Path, *arguments: object) -> None:
        touch(path)
        swept.append(path.name)
        Store(tmp_path)._delete_temporary_files()

    monkeypatch.setattr(Path, "touch", touch_beside_a_sweep)
    Store(tmp_path).prepare()
    assert len(swept) == 1
    assert list(tmp_path.iterdir()) == []
