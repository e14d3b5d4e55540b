"""Files appear whole or not at all, and what is wrong with one is said with its name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.errors import StoreError
from microbench_ray.schemas import SCHEMAS
from microbench_ray.store import Store, atomically


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "out")
    store.prepare()
    return store


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def failing(number: int):
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def empty(name: str) -> pa.Table:
    return SCHEMAS[name].empty_table()


def test_a_shard_is_done_once_its_cells_are_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, target: written.append(target.parent.name) or replace(path, target))
    store.write_shard("abc", {"cells": empty("cells"), "resamples": empty("resamples"), "estimates": empty("estimates")})
    assert written[-1] == "cells"
    assert store.done() == {"abc"}
    assert files(store.root) == ["cells/abc.parquet", "estimates/abc.parquet", "resamples/abc.parquet"]


def test_a_write_that_fails_leaves_no_file(store: Store) -> None:
    def write(path: Path) -> None:
        path.write_text("the first half")
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(StoreError, match="cannot be written"):
        atomically(store.root / "x.json", write)
    assert files(store.root) == []


def test_a_write_that_fails_leaves_the_former_file_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_manifest({"seed": 1})
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(StoreError, match="cannot be written"):
        store.write_manifest({"seed": 2})
    assert files(store.root) == ["manifest.json"]
    assert store.manifest() == {"seed": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_to_do(number: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(StoreError, match="cannot be written") as caught:
        store.write_shard("abc", {"cells": empty("cells")})
    assert "make room on the disk and run the same command again: finished shards are kept" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert str(store.root / "cells" / "abc.parquet") in str(caught.value)
    assert files(store.root) == []
    assert store.done() == set()


def test_a_disk_that_is_full_while_writing_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(table: pa.Table, path: Path, **options: object) -> None:
        path.write_bytes(b"PAR1")
        failing(errno.ENOSPC)()

    monkeypatch.setattr(pq, "write_table", write)
    with pytest.raises(StoreError, match="cannot be written") as caught:
        store.write_table("agreement", empty("agreement"))
    assert "make room" in str(caught.value)
    assert files(store.root) == []


def test_what_an_interrupted_write_left_is_no_result(store: Store) -> None:
    (store.root / "cells" / ".abc.parquet.123.tmp").write_bytes(b"PAR1")
    (store.root / "cells" / ".probe.123").touch()
    store.prepare()
    assert store.done() == set()
    assert len(store.read_shards("cells", ["abc"])) == 0


def test_a_file_that_is_cut_short_is_named(store: Store) -> None:
    for name in ("good", "short"):
        store.write_shard(name, {"cells": empty("cells")})
    path = store.root / "cells" / "short.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(StoreError, match="cannot be read") as caught:
        store.read_shards("cells", ["good", "short"])
    assert caught.value.where == str(path)
    assert "delete this file and run the sweep again" in str(caught.value)
    (store.root / "failures.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be read") as caught:
        store.read_table("failures")
    assert caught.value.where == str(store.root / "failures.parquet")


def test_a_table_of_another_form_is_refused(store: Store) -> None:
    foreign = pa.table({"benchmark": ["x"], "value": [1.0]})
    with pytest.raises(StoreError, match="not of the form of mdad"):
        store.write_table("mdad", foreign)
    with pytest.raises(StoreError, match="not of the form of cells"):
        store.write_shard("abc", {"cells": empty("cells").drop_columns(["run"])})
    assert files(store.root) == []
    pq.write_table(foreign, store.root / "failures.parquet")
    with pytest.raises(StoreError, match="not of the form of failures") as caught:
        store.read_table("failures")
    assert caught.value.where == str(store.root / "failures.parquet")


def test_cells_of_another_form_are_refused(store: Store) -> None:
    pq.write_table(pa.table({"benchmark": [1.5]}), store.root / "cells" / "abc.parquet")
    with pytest.raises(StoreError):
        store.read_shards("cells", ["abc"])


def test_nothing_read_is_an_empty_table_of_the_right_form(store: Store) -> None:
    assert store.read_shards("resamples", ["abc"]).schema.equals(SCHEMAS["resamples"], check_metadata=True)
    assert store.manifest() is None
    assert Store(store.root / "nowhere").done() == set()
