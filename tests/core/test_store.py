"""Files appear whole or not at all, and what is wrong with one is said with its name."""

from __future__ import annotations

import dataclasses
import errno
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import StoreError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.store import DamagedFiles, Store
from microbench_ray.data import synthetic
from microbench_ray.methods import build_method
from microbench_ray.sweeps.engine.serial import compute
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.inventory import scan_shard_files
from microbench_ray.sweeps.reuse import Identity, Wanted
from microbench_ray.sweeps.shards import Shard, plan_sweep
from tests.helpers.small_sweep import with_flipped_bit

WORLD = synthetic("w", 20, 60, 3)
METHODS = [build_method(label, {"name": "random"}, {"name": "mean"}) for label in ("a", "b")]
SHARD = plan_sweep([WORLD], METHODS, Grid(sizes=(5, 10), n_source=(5,), n_target=8, runs=3), Targets()).shards[0]
KEPT = dataclasses.replace(SHARD, keep_estimates=True)
COMPUTED = compute(SHARD, WORLD)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "out", patience=0)
    store.prepare()
    return store


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def failing(number: int):
    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def empty(name: str) -> pa.Table:
    return SCHEMAS[name].empty_table()


def surveyed(store: Store, *, estimates: bool = False) -> tuple[list[Identity], list[str]]:
    said: list[str] = []
    return scan_shard_files(store, said.append, estimates=estimates), said


def write(store: Store, shard: Shard = SHARD) -> str:
    store.write_shard(shard, compute(shard, WORLD))
    return f"cells/{shard.id}.parquet"


def test_a_shard_is_done_once_its_cells_are_there(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda path, target: written.append(target.parent.name) or replace(path, target))
    write(store, KEPT)
    assert written == ["estimates", "cells"]
    assert surveyed(store) == ([Identity.of(KEPT)], [])
    assert files(out) == [f"cells/{KEPT.id}.parquet", f"estimates/{KEPT.id}.parquet"]


def test_a_write_that_fails_leaves_no_file(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(StoreError, match="cannot be written"):
        store.write("x.json", b"the first half")
    assert files(out) == []


def test_a_write_that_is_interrupted_leaves_no_file(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.write("x.json", b"the first half")
    assert files(out) == []


def test_a_write_that_fails_leaves_the_former_file_as_it_was(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write_manifest({"seed": 1})
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(StoreError, match="cannot be written"):
        store.write_manifest({"seed": 2})
    assert files(out) == ["manifest.json"]
    assert store.manifest() == {"seed": 1}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_what_to_do(number: int, store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(number))
    with pytest.raises(StoreError, match="cannot be written") as caught:
        write(store)
    assert "make room on the disk and run the same command again: finished shards are kept" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert str(out / "cells" / f"{SHARD.id}.parquet") in str(caught.value)
    assert files(out) == []


def test_a_disk_that_is_full_for_a_while_is_waited_for(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    store = Store(out, patience=5, tell=told.append)
    fsync, left = os.fsync, [2]

    def full_at_first(descriptor: int) -> None:
        left[0] -= 1
        (failing(errno.ENOSPC) if left[0] >= 0 else fsync)(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_first)
    store.write("x", b"1")
    assert files(out) == ["x"]
    assert told == [f"{out / 'x'}: No space left on device; waiting for room, for 5 s at most"]


def test_a_temporary_file_that_another_driver_swept_away_is_written_again(
    store: Store, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, times = Path.replace, []

    def swept_away_once(path: Path, target: Path) -> None:
        times.append(path)
        if len(times) == 1:
            path.unlink()
        replace(path, target)

    monkeypatch.setattr(Path, "replace", swept_away_once)
    store.write("figures/x.png", b"PNG")
    assert len(times) == 2
    assert files(out) == ["figures/x.png"]


def test_what_an_interrupted_write_left_is_swept_away_by_the_one_who_holds_the_folder(store: Store, out: Path) -> None:
    left = [f"cells/.{SHARD.id}.parquet.123.tmp", ".manifest.json.4.tmp", ".probe.123", "figures/.x.png.7.tmp"]
    mine = ["cells/.hidden", "notes.txt", "set_aside/.x.1.tmp", "figures/x.png"]
    for name in [*left, *mine]:
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"PAR1")
    assert surveyed(store) == ([], [])
    with store.held(0, lambda text: None):
        assert files(out) == sorted([".lock", *mine])
    assert files(out) == sorted(mine)


DAMAGE = {
    "cut short": lambda whole: whole[:-30],
    "empty": lambda whole: b"",
    "a few bytes": lambda whole: b"PAR1",
    "no table": lambda whole: b"hello, this is no table at all",
}


def foreign(path: Path, how: str) -> None:
    """Put a Parquet file there that is none of ours, or not what it says."""
    table = pq.read_table(path)
    if how == "another program's":
        table = pa.table({"benchmark": [1.5]})
    elif how == "without identity":
        table = table.replace_schema_metadata()
    elif how == "of other columns":
        table = table.drop_columns(["run"])
    elif how == "with rows lost":
        table = table.slice(1)
    elif how == "of another version":
        head = table.schema.metadata[b"microbench_ray"].replace(b'"schema_version": 2', b'"schema_version": 1')
        table = table.replace_schema_metadata({b"microbench_ray": head})
    elif how == "of other runs than its own":
        head = table.schema.metadata[b"microbench_ray"].replace(b'"runs": [0, 1, 2]', b'"runs": [3, 4, 5]')
        table = table.replace_schema_metadata({b"microbench_ray": head})
    elif how == "whose identity is no JSON":
        table = table.replace_schema_metadata({b"microbench_ray": b"{"})
    elif how == "whose identity is a list":
        table = table.replace_schema_metadata({b"microbench_ray": b"[]"})
    pq.write_table(table, path)


FOREIGN = {
    "another program's": "no file of cells of this program",
    "without identity": "no file of cells of this program",
    "of other columns": "not of the form of cells",
    "with rows lost": "23 rows for 12 cells",
    "of another version": "schema version 1, where 2 is expected",
    "of other runs than its own": "contradicts itself",
    "whose identity is no JSON": "Expecting",
    "whose identity is a list": "its identity is incomplete",
}


@pytest.mark.parametrize("how", [*DAMAGE, *FOREIGN])
def test_a_file_that_is_damaged_or_foreign_is_set_aside_and_named(how: str, store: Store, out: Path) -> None:
    name = write(store)
    if how in DAMAGE:
        (out / name).write_bytes(DAMAGE[how]((out / name).read_bytes()))
    else:
        foreign(out / name, how)
    content = (out / name).read_bytes()
    found, (said,) = surveyed(store)
    assert found == []
    new = f"set_aside/cells-{SHARD.id}.parquet"
    assert said.startswith(f"{out / name} is set aside as {new}: ")
    assert FOREIGN.get(how, "") in said
    assert files(out) == [new]
    assert (out / new).read_bytes() == content
    assert surveyed(store) == ([], [])


def test_a_file_under_another_name_is_set_aside(store: Store, out: Path) -> None:
    name = write(store)
    (out / name).rename(out / "cells" / "other.parquet")
    found, (said,) = surveyed(store)
    assert found == []
    assert f"it is the file of shard {SHARD.id}" in said


def test_nothing_that_lies_in_set_aside_is_overwritten(store: Store, out: Path) -> None:
    for content in (b"1", b"2", b"3"):
        (out / "cells" / "x.parquet").write_bytes(content)
        surveyed(store)
    assert {name: (out / name).read_bytes() for name in files(out)} == {
        "set_aside/cells-x.parquet": b"1",
        "set_aside/cells-x.parquet.1": b"2",
        "set_aside/cells-x.parquet.2": b"3",
    }


def test_of_many_files_the_first_few_are_named(store: Store, out: Path) -> None:
    for k in range(25):
        (out / "cells" / f"{k}.parquet").write_bytes(b"")
    _, said = surveyed(store)
    assert len(said) == 11
    assert said[-1] == "… and 15 more files"
    assert len(files(out / "set_aside")) == 25


def test_estimates_that_are_not_there_matter_where_they_are_wanted(store: Store, out: Path) -> None:
    write(store, KEPT)
    write(store, SHARD)
    assert {each.id for each in surveyed(store)[0]} == {KEPT.id, SHARD.id}
    assert [each.id for each in surveyed(store, estimates=True)[0]] == [KEPT.id]
    (out / "estimates" / f"{KEPT.id}.parquet").write_bytes(b"PAR1")
    assert {each.id for each in surveyed(store)[0]} == {KEPT.id, SHARD.id}
    found, said = surveyed(store, estimates=True)
    assert found == []
    assert len(said) == 2
    assert "without its estimates" in said[0]
    assert files(out) == [
        f"cells/{SHARD.id}.parquet",
        f"set_aside/cells-{KEPT.id}.parquet",
        f"set_aside/estimates-{KEPT.id}.parquet",
    ]


def test_estimates_whose_cells_were_never_written_are_set_aside(store: Store, out: Path) -> None:
    (out / write(store, KEPT)).unlink()
    found, (said,) = surveyed(store, estimates=True)
    assert found == []
    assert "its cells are not there" in said


def test_a_flipped_bit_in_a_page_is_noticed_when_the_page_is_read(store: Store, out: Path) -> None:
    name = write(store)
    (out / name).write_bytes(with_flipped_bit((out / name).read_bytes()))
    assert surveyed(store) == ([Identity.of(SHARD)], [])
    with pytest.raises(DamagedFiles) as caught:
        store.read_wanted("cells", [Wanted(SHARD.id)])
    assert list(caught.value.files) == [name]
    assert "CRC checksum" in caught.value.files[name]
    assert caught.value.where == str(out / name)
    assert "run the same microbench sweep again" in str(caught.value)


def test_what_is_wanted_of_a_file_is_read_and_no_more(store: Store) -> None:
    write(store)
    whole = store.read_wanted("cells", [Wanted(SHARD.id)])
    assert whole.equals(COMPUTED["cells"])
    some = store.read_wanted(
        "cells", [Wanted(SHARD.id, ("b",), ((10, None),), (0, 2)), Wanted(SHARD.id, ("a",), ((5, None),), (1,))]
    )
    assert list(zip(some["method"].to_pylist(), some["size"].to_pylist(), some["run"].to_pylist(), strict=True)) == [
        ("b", 10, 0),
        ("b", 10, 0),
        ("b", 10, 2),
        ("b", 10, 2),
        ("a", 5, 1),
        ("a", 5, 1),
    ]
    # A size that was configured as a fraction of the items is another cell.
    assert len(store.read_wanted("cells", [Wanted(SHARD.id, ("a",), ((5, 0.1),), (1,))])) == 0


def test_a_file_that_is_gone_is_damage_unless_its_shard_failed(store: Store) -> None:
    with pytest.raises(DamagedFiles, match="cannot be read") as caught:
        store.read_wanted("cells", [Wanted("gone")])
    assert caught.value.got == "no such file"
    assert len(store.read_wanted("cells", [Wanted("gone")], absent={"gone"})) == 0


def test_a_table_that_is_cut_short_or_of_another_form_is_named(store: Store, out: Path) -> None:
    (out / "failures.parquet").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be read") as caught:
        store.read_table("failures")
    assert caught.value.where == str(out / "failures.parquet")
    pq.write_table(pa.table({"benchmark": ["x"], "value": [1.0]}), out / "failures.parquet")
    with pytest.raises(StoreError, match="not of the form of failures") as caught:
        store.read_table("failures")
    assert caught.value.where == str(out / "failures.parquet")


def test_a_table_of_another_form_is_not_written(store: Store, out: Path) -> None:
    with pytest.raises(StoreError, match="not of the form of mdad"):
        store.write_table("mdad", pa.table({"benchmark": ["x"], "value": [1.0]}))
    with pytest.raises(StoreError, match="not of the form of cells"):
        store.write_shard(SHARD, {"cells": empty("cells").drop_columns(["run"])})
    assert files(out) == []


def test_nothing_read_is_an_empty_table_of_the_right_form(store: Store, out: Path) -> None:
    assert store.read_wanted("resamples", []).schema.equals(SCHEMAS["resamples"], check_metadata=True)
    assert store.manifest() is None
    nowhere = Store(out / "nowhere")
    assert nowhere.shard_files("cells") == set()
    assert surveyed(nowhere) == ([], [])
