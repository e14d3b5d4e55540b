"""Writes are atomic, full disks are waited for, and errors name the file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import StoreError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.store import Store
from tests.helpers.errors import refuses


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def store(out: Path) -> Store:
    store = Store(out, patience=0, folders=("cells",))
    store.prepare()
    return store


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def failing(number: int) -> Callable[..., None]:
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_failed_write_leaves_no_file(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with refuses(StoreError, "written", where=str(out / "x.json"), got=os.strerror(errno.EIO), hint="out=DIR"):
        store.write("x.json", b"the first half")
    assert files(out) == []


def test_an_interrupted_write_leaves_no_file(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write("x.json", b"the first half")
    assert files(out) == []


def test_a_failed_write_leaves_the_previous_file_unchanged(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("x.json", b"1")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with refuses(StoreError, "written", where=str(out / "x.json")):
        store.write("x.json", b"2")
    assert files(out) == ["x.json"]
    assert store.read_files(["x.json", "y.json"]) == [b"1", None]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_what_to_do(number: int, store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    with refuses(StoreError, "written", where=str(out / "cells" / "x"), got=os.strerror(number), hint="space"):
        store.write("cells/x", b"1")
    assert files(out) == []


def test_a_write_waits_while_the_disk_is_full(out: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    store = Store(out, patience=5)
    fsync, failures_left = os.fsync, [2]

    def full_at_first(descriptor: int) -> None:
        failures_left[0] -= 1
        (failing(errno.ENOSPC) if failures_left[0] >= 0 else fsync)(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_first)
    store.write("x", b"1")
    assert files(out) == ["x"]
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    for fact in (str(out / "x"), "No space left on device", "5 s"):
        assert fact in record.getMessage()


def test_a_temporary_file_deleted_by_another_process_is_written_again(
    store: Store, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = Path.replace, []

    def deleted_once(path: Path, target: Path) -> None:
        calls.append(path)
        if len(calls) == 1:
            path.unlink()
        replace(path, target)

    monkeypatch.setattr(Path, "replace", deleted_once)
    store.write("figures/x.png", b"PNG")
    assert len(calls) == 2
    assert files(out) == ["figures/x.png"]


def test_locking_the_folder_deletes_what_interrupted_writes_left(store: Store, out: Path) -> None:
    leftovers = ["cells/.x.parquet.123.tmp", ".manifest.json.4.tmp", ".probe.123", "figures/.x.png.7.tmp"]
    other_files = ["cells/.hidden", "notes.txt", "set_aside/.x.1.tmp", "figures/x.png"]
    for name in [*leftovers, *other_files]:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"PAR1")
    with store.locked(0):
        assert files(out) == sorted([".lock", *other_files])
    assert files(out) == sorted(other_files)


def test_a_file_moved_away_replaces_no_other(store: Store, out: Path) -> None:
    for content in (b"1", b"2", b"3"):
        store.write("cells/x.parquet", content)
        store.set_aside("cells/x.parquet")
    assert {name: (out / name).read_bytes() for name in files(out)} == {
        "set_aside/cells-x.parquet": b"1",
        "set_aside/cells-x.parquet.1": b"2",
        "set_aside/cells-x.parquet.2": b"3",
    }


def test_a_file_is_removed_if_it_exists(store: Store, out: Path) -> None:
    store.write("cells/x", b"1")
    store.remove("cells/y")
    assert store.has("cells/x")
    store.remove("cells/x")
    assert not store.has("cells/x")
    assert files(out) == []


def test_a_truncated_table_and_one_with_another_schema_are_named(store: Store, out: Path) -> None:
    path = str(out / "failures.parquet")
    with refuses(StoreError, "read", where=path, got="no such file"):
        store.read_table("failures")
    Path(path).write_bytes(b"")
    with refuses(StoreError, "read", where=path, got="Parquet"):
        store.read_table("failures")
    pq.write_table(pa.table({"benchmark": ["x"], "value": [1.0]}), path)
    with refuses(StoreError, "schema of failures", where=path):
        store.read_table("failures")


def test_a_table_with_another_schema_is_not_written(store: Store, out: Path) -> None:
    with refuses(StoreError, "schema of mdad"):
        store.write_table("mdad", pa.table({"benchmark": ["x"], "value": [1.0]}))
    assert files(out) == []


def test_a_table_is_read_as_it_was_written(store: Store) -> None:
    table = SCHEMAS["failures"].empty_table()
    store.write_table("failures", table)
    store.write_table("other", table, "failures")
    assert store.read_table("failures").equals(table, check_metadata=True)
    assert store.read_table("other", "failures").equals(table, check_metadata=True)
