"""Shard files: a shard is done once its cells are written, and damaged files are moved away and reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import StoreError
from microbench_ray.core.schemas import SCHEMA_VERSION, SCHEMAS
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import build_method
from microbench_ray.sweeps.engine.serial import compute
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.inventory import scan_shard_files
from microbench_ray.sweeps.results import DamagedFiles, SweepStore
from microbench_ray.sweeps.reuse import CellSelection, Identity
from microbench_ray.sweeps.shards import Shard, plan_sweep
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import with_flipped_bit

Tables = dict[str, pa.Table]


def computed_tables(shard: Shard, board: Benchmark) -> Tables:
    tables = compute(shard, board)
    assert isinstance(tables, Mapping)
    return dict(tables)


@pytest.fixture(scope="module")
def board() -> Benchmark:
    return synthetic("w", 20, 60, 3)


@pytest.fixture(scope="module")
def shard(board: Benchmark) -> Shard:
    methods = [build_method(label, {"name": "random"}, {"name": "mean"}) for label in ("a", "b")]
    grid = Grid(sizes=(5, 10), n_source=(5,), n_target=8, runs=3)
    return plan_sweep([board], methods, grid, Targets()).shards[0]


@pytest.fixture(scope="module")
def with_estimates(shard: Shard) -> Shard:
    return dataclasses.replace(shard, keep_estimates=True)


@pytest.fixture(scope="module")
def computed(shard: Shard, board: Benchmark) -> Tables:
    return computed_tables(shard, board)


@pytest.fixture(scope="module")
def computed_with_estimates(with_estimates: Shard, board: Benchmark) -> Tables:
    return computed_tables(with_estimates, board)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def store(out: Path) -> SweepStore:
    store = SweepStore(out, patience=0)
    store.prepare()
    return store


@pytest.fixture
def cells_file(store: SweepStore, shard: Shard, computed: Tables) -> str:
    """The name of a stored shard's file of cells."""
    store.write_shard(shard, computed)
    return f"cells/{shard.id}.parquet"


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def scan(store: SweepStore, caplog: pytest.LogCaptureFixture, *, estimates: bool = False) -> tuple[list[Identity], list[str]]:
    """The identities of the usable files, and the warnings."""
    caplog.clear()
    identities = scan_shard_files(store, estimates=estimates)
    return identities, [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_shards_cells_are_written_last(
    store: SweepStore,
    with_estimates: Shard,
    computed_with_estimates: Tables,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    written: list[str] = []
    replace = Path.replace

    def record(path: Path, target: Path) -> None:
        written.append(target.parent.name)
        replace(path, target)

    monkeypatch.setattr(Path, "replace", record)
    store.write_shard(with_estimates, computed_with_estimates)
    assert written == ["estimates", "cells"]
    assert scan(store, caplog) == ([Identity.of(with_estimates)], [])
    assert files(out) == [f"{name}/{with_estimates.id}.parquet" for name in ("cells", "estimates")]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[:-30],
    "empty": lambda content: b"",
    "a few bytes": lambda content: b"PAR1",
    "text": lambda content: b"hello, this is no table at all",
}


def with_identity(table: pa.Table, old: bytes, new: bytes) -> pa.Table:
    identity = table.schema.metadata[b"microbench_ray"]
    assert old in identity
    return table.replace_schema_metadata({b"microbench_ray": identity.replace(old, new)})


VERSION = f'"schema_version": {SCHEMA_VERSION}'.encode()
OTHER_TABLES: dict[str, tuple[Callable[[pa.Table], pa.Table], str]] = {
    "of another program": (lambda table: pa.table({"benchmark": [1.5]}), ""),
    "without identity": (lambda table: table.replace_schema_metadata(), ""),
    "with other columns": (lambda table: table.drop_columns(["run"]), "cells"),
    "with missing rows": (lambda table: table.slice(1), "23 rows"),
    "of another version": (lambda table: with_identity(table, VERSION, b'"schema_version": 1'), "version 1"),
    "of other runs": (lambda table: with_identity(table, b'"runs": [0, 1, 2]', b'"runs": [3, 4, 5]'), ""),
    "with an identity that is not JSON": (lambda table: table.replace_schema_metadata({b"microbench_ray": b"{"}), "Expecting"),
    "with a list as identity": (lambda table: table.replace_schema_metadata({b"microbench_ray": b"[]"}), "metadata"),
}


@pytest.mark.parametrize("case", [*DAMAGE, *OTHER_TABLES])
def test_a_damaged_file_is_moved_away_and_named(
    case: str, store: SweepStore, cells_file: str, shard: Shard, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = out / cells_file
    fact = ""
    if case in DAMAGE:
        path.write_bytes(DAMAGE[case](path.read_bytes()))
    else:
        change, fact = OTHER_TABLES[case]
        pq.write_table(change(pq.read_table(path)), path)
    content = path.read_bytes()
    usable, (warning,) = scan(store, caplog)
    assert usable == []
    new_name = f"set_aside/cells-{shard.id}.parquet"
    for part in (str(path), new_name, fact):
        assert part in warning
    assert len(warning) > len(f"{path}{new_name}") + 20, "the problem is described"
    assert files(out) == [new_name]
    assert (out / new_name).read_bytes() == content
    assert scan(store, caplog) == ([], [])


def test_a_file_with_another_shards_name_is_moved_away(
    store: SweepStore, cells_file: str, shard: Shard, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (out / cells_file).rename(out / "cells" / "other.parquet")
    usable, (warning,) = scan(store, caplog)
    assert usable == []
    assert "other.parquet" in warning
    assert shard.id in warning


def test_the_first_few_of_many_damaged_files_are_named(store: SweepStore, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    for k in range(25):
        (out / "cells" / f"{k}.parquet").write_bytes(b"")
    _, warnings = scan(store, caplog)
    assert len(warnings) == 11
    assert "15" in warnings[-1]
    assert len(files(out / "set_aside")) == 25


def test_missing_estimates_matter_only_to_a_sweep_that_keeps_them(
    store: SweepStore,
    shard: Shard,
    computed: Tables,
    with_estimates: Shard,
    computed_with_estimates: Tables,
    out: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store.write_shard(with_estimates, computed_with_estimates)
    store.write_shard(shard, computed)
    assert {each.id for each in scan(store, caplog)[0]} == {with_estimates.id, shard.id}
    assert [each.id for each in scan(store, caplog, estimates=True)[0]] == [with_estimates.id]
    (out / "estimates" / f"{with_estimates.id}.parquet").write_bytes(b"PAR1")
    assert {each.id for each in scan(store, caplog)[0]} == {with_estimates.id, shard.id}
    usable, warnings = scan(store, caplog, estimates=True)
    assert usable == []
    assert len(warnings) == 2
    assert "estimates" in warnings[0]
    assert files(out) == [
        f"cells/{shard.id}.parquet",
        f"set_aside/cells-{with_estimates.id}.parquet",
        f"set_aside/estimates-{with_estimates.id}.parquet",
    ]


def test_estimates_without_cells_which_an_interrupted_write_left_are_deleted(
    store: SweepStore, with_estimates: Shard, computed_with_estimates: Tables, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.write_shard(with_estimates, computed_with_estimates)
    (out / "cells" / f"{with_estimates.id}.parquet").unlink()
    assert scan(store, caplog, estimates=True) == ([], [])
    assert files(out) == []


def test_a_flipped_bit_is_noticed_when_its_page_is_read(
    store: SweepStore, cells_file: str, shard: Shard, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = out / cells_file
    path.write_bytes(with_flipped_bit(path.read_bytes()))
    assert scan(store, caplog) == ([Identity.of(shard)], [])
    with refuses(DamagedFiles, "read", where=str(path), got="CRC", hint="microbench sweep") as caught:
        store.read_selected("cells", [CellSelection(shard.id)])
    assert isinstance(caught.value, DamagedFiles)
    assert list(caught.value.files) == [cells_file]


@pytest.mark.usefixtures("cells_file")
def test_only_selected_cells_are_read(store: SweepStore, shard: Shard, computed: Tables) -> None:
    assert store.read_selected("cells", [CellSelection(shard.id)]).equals(computed["cells"])
    selections = [
        CellSelection(shard.id, methods=("b",), sizes=((10, None),), runs=(0, 2)),
        CellSelection(shard.id, methods=("a",), sizes=((5, None),), runs=(1,)),
    ]
    rows = store.read_selected("cells", selections)
    assert list(zip(*(rows[name].to_pylist() for name in ("method", "size", "run")), strict=True)) == [
        ("b", 10, 0),
        ("b", 10, 0),
        ("b", 10, 2),
        ("b", 10, 2),
        ("a", 5, 1),
        ("a", 5, 1),
    ]
    # A size configured as a fraction of the items is another cell.
    fraction = CellSelection(shard.id, methods=("a",), sizes=((5, 0.1),), runs=(1,))
    assert len(store.read_selected("cells", [fraction])) == 0


def test_a_missing_file_is_damage_unless_its_shard_failed(store: SweepStore) -> None:
    with refuses(DamagedFiles, "read", where="gone", got="no such file"):
        store.read_selected("cells", [CellSelection("gone")])
    assert len(store.read_selected("cells", [CellSelection("gone")], absent={"gone"})) == 0


def test_a_shard_with_other_columns_is_not_written(store: SweepStore, shard: Shard, out: Path) -> None:
    with refuses(StoreError, "schema of cells"):
        store.write_shard(shard, {"cells": SCHEMAS["cells"].empty_table().drop_columns(["run"])})
    assert files(out) == []


def test_an_empty_folder_has_empty_tables_and_no_manifest(store: SweepStore, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert store.read_selected("resamples", []).schema.equals(SCHEMAS["resamples"], check_metadata=True)
    assert store.manifest() is None
    missing = SweepStore(out / "missing")
    assert missing.shard_files("cells") == set()
    assert scan(missing, caplog) == ([], [])


def test_a_manifest_is_read_as_it_was_written_and_damage_is_named(store: SweepStore, out: Path) -> None:
    store.write_manifest({"seed": 1})
    assert store.manifest() == {"seed": 1}
    for content, kind in (("[]", StoreError), ("{", DamagedFiles)):
        (out / "manifest.json").write_text(content)
        with refuses(kind, "read", where=str(out / "manifest.json")):
            store.manifest()
