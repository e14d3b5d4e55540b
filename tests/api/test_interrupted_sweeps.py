"""Ctrl-C in `mb.sweep` keeps the finished cells, and `out=` continues from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import microbench_ray as mb
from microbench_ray.api import sweep as module
from microbench_ray.cli.main import main
from microbench_ray.core.errors import StoreError
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid
from microbench_ray.sweeps.shard_files import ShardFiles
from microbench_ray.sweeps.shards import plan_sweep
from tests.helpers.errors import refuses

GRID: dict[str, Any] = {"sizes": [5, 10], "n_source": [10, 20], "n_target": 15, "runs": 3, "n_resamples": 100}
METHODS: list[Any] = ["random", "stratified_confidence"]


@pytest.fixture(scope="module")
def world() -> mb.Benchmark:
    return mb.synthetic(n_models=50, n_items=120)


class Counted:
    """Evaluates shards, counts them, and is interrupted at one of them, as by Ctrl-C; None: never."""

    def __init__(self, interrupted_at: int | None = None) -> None:
        self.interrupted_at, self.calls = interrupted_at, 0

    def __call__(self, *given: Any) -> Any:
        self.calls += 1
        if self.calls == self.interrupted_at:
            raise KeyboardInterrupt
        return evaluate_shard(*given)


def swept(monkeypatch: pytest.MonkeyPatch, world: mb.Benchmark, counted: Counted, **more: Any) -> mb.Result:
    monkeypatch.setattr(module, "evaluate_shard", counted)
    return mb.sweep(world, METHODS, **(GRID | more))


def test_the_finished_cells_are_returned_with_a_warning(world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted()
    whole = swept(monkeypatch, world, counted)
    assert whole.complete
    assert counted.calls > 2
    with pytest.warns(UserWarning, match=r"of 24 .*out=") as caught:
        part = swept(monkeypatch, world, Counted(3))
    assert caught[0].filename == __file__  # the line that called mb.sweep
    assert not part.complete
    assert repr(part).startswith("Incomplete")
    kept, everything = part.tables["cells"].to_pylist(), whole.tables["cells"].to_pylist()
    assert 0 < len(kept) < len(everything)
    assert all(row in everything for row in kept)


def test_an_interrupt_before_the_first_cell_is_raised(world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        swept(monkeypatch, world, Counted(1))


def test_the_same_call_continues_with_equal_tables(world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = swept(monkeypatch, world, first := Counted(), keep_estimates=True)
    with pytest.warns(UserWarning, match="same call"):
        swept(monkeypatch, world, Counted(3), out=tmp_path / "out", keep_estimates=True)
    second = Counted()
    resumed = swept(monkeypatch, world, second, out=tmp_path / "out", keep_estimates=True)
    assert second.calls == first.calls - 2
    third = Counted(1)
    again = swept(monkeypatch, world, third, out=tmp_path / "out", keep_estimates=True)
    assert third.calls == 0
    for result in (resumed, again):
        assert result.complete
        assert {
            name: table.equals(whole.tables[name], check_metadata=True) for name, table in result.tables.items()
        } == dict.fromkeys(whole.tables, True)


def test_damaged_and_foreign_files_are_computed_again(
    world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = swept(monkeypatch, world, first := Counted(), out=tmp_path)
    files = sorted((tmp_path / "cells").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].write_bytes(files[2].read_bytes())
    again = swept(monkeypatch, world, second := Counted(), out=tmp_path)
    assert (first.calls, second.calls) == (len(files), 2)
    assert again.tables["mdad"].equals(whole.tables["mdad"])
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_result_is_saved_as_tables(world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = swept(monkeypatch, world, Counted())
    result.save(tmp_path / "new" / "folder")
    written = {file.stem for file in (tmp_path / "new" / "folder").glob("*.parquet")}
    assert written == set(result.tables)
    (tmp_path / "file").write_text("")
    with refuses(StoreError, "cannot be written", where="file"):
        result.save(tmp_path / "file")


def test_a_folder_of_the_command_is_refused_and_the_command_reuses_one_of_the_library(
    world: mb.Benchmark, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.save(tmp_path / "board")
    world = mb.Benchmark.open(tmp_path / "board")
    result = swept(monkeypatch, world, Counted(), out=tmp_path / "out")
    grid = "grid.sizes=[5,10] grid.n_source=[10,20] grid.n_target=15 grid.runs=3 n_resamples=100 engine=serial figures=false"
    command = ["sweep", "benchmark=synthetic", "benchmark.n_models=50", "benchmark.n_items=120", *grid.split(), "report=false"]
    assert main([*command, "methods=[random,stratified_confidence]", f"out={tmp_path / 'out'}"]) == 0
    assert "24 of 24 cells are already done" in capsys.readouterr().err
    import pyarrow.parquet as pq

    assert pq.read_table(tmp_path / "out" / "mdad.parquet").equals(result.tables["mdad"])
    with refuses(StoreError, "microbench sweep", got="manifest.json"):
        swept(monkeypatch, world, Counted(1), out=tmp_path / "out")


def test_reading_an_unfinished_shard_says_nothing(world: mb.Benchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grid = Grid(sizes=(5,), n_source=(10,), n_target=10, runs=1)
    shard, *_ = plan_sweep([world], [mb.method("random")], grid, mb.Targets()).shards
    assert ShardFiles(tmp_path / "none").read(shard) is None
    assert not caplog.records
