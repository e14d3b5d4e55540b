"""A sweep into the folder of earlier sweeps: finished cells are reused, new ones computed, and tables equal a fresh sweep's."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microbench_ray.core.errors import StoreError
from microbench_ray.core.parquet import parquet_bytes
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import Method, build_method
from microbench_ray.sweeps import results
from microbench_ray.sweeps.driver import SweepJob, SweepOutcome, run_reduce, run_sweep
from microbench_ray.sweeps.engine.base import Result
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
from microbench_ray.sweeps.results import DamagedFiles
from microbench_ray.sweeps.reuse import Cell, CellSelection, Identity, assign, blocks_of, remaining
from microbench_ray.sweeps.shards import Shard, plan_sweep
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import TABLES, with_flipped_bit

WORLD = synthetic("w", 24, 48, 3)
METHODS = {
    "random": build_method("random", {"name": "random"}, {"name": "mean"}),
    "equal": build_method("equal", {"name": "random_subtask_equal"}, {"name": "mean"}),
    "strata": build_method("strata", {"name": "stratified_confidence", "strata": 3}, {"name": "mean"}),
    "strata_ht": build_method("strata_ht", {"name": "stratified_confidence", "strata": 3}, {"name": "horvitz_thompson"}),
    "tiny": build_method("tiny", {"name": "fixed", "items": list(WORLD.item_ids[:9])}, {"name": "mean"}),
}
CHANGED = {
    "strata": build_method("strata", {"name": "stratified_confidence", "strata": 4}, {"name": "mean"}),
    "tiny": build_method("tiny", {"name": "fixed", "items": list(WORLD.item_ids[:8])}, {"name": "mean"}),
}
BASE: dict[str, Any] = {"sizes": (3, 6), "n_source": (5,), "n_target": 8, "runs": 4}


class Recorder(SerialEngine):
    """Records every computed cell."""

    def __init__(self) -> None:
        self.cells: list[tuple[Any, ...]] = []

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        for shard in shards:
            self.cells += [(shard.base, shard.keep_estimates, *cell) for cell in Identity.of(shard).cells()]
        yield from super().run(benchmarks, shards)


def a_sweep(out: Path, methods: Sequence[str | Method] = ("random", "strata"), **changes: Any) -> tuple[SweepJob, Recorder]:
    options = {key: changes.pop(key) for key in ("keep_estimates", "sizes_apart", "seed", "targets") if key in changes}
    world = changes.pop("world", WORLD)
    built = tuple(METHODS[each] if isinstance(each, str) else each for each in methods)
    engine = Recorder()
    targets = options.pop("targets", Targets())
    grid = Grid(**(BASE | changes))
    job = SweepJob(
        benchmarks=(world,),
        methods=built,
        grid=grid,
        targets=targets,
        rules=Rules(n_resamples=100),
        engine=engine,
        out=out,
        **options,
    )
    return job, engine


def run(sweep: SweepJob) -> SweepOutcome:
    return run_sweep(sweep, sweep.plan())


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def content(out: Path) -> dict[str, bytes]:
    return {name: (out / f"{name}.parquet").read_bytes() for name in TABLES}


def fresh(methods: Sequence[str | Method] = ("random", "strata"), **changes: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        sweep, _ = a_sweep(Path(folder) / "out", methods, **changes)
        run(sweep)
        return content(Path(folder) / "out")


TWO = ("random", "strata")
# Methods and grid of a sweep after one of BASE with TWO methods (16 cells), and its number of new cells.
NEXT: dict[str, tuple[tuple[str, ...], dict[str, Any], int]] = {
    "the same": (TWO, {}, 0),
    "one more size": (TWO, {"sizes": (3, 6, 12)}, 8),
    "a size in between, and one less": (TWO, {"sizes": (5, 6)}, 8),
    "a method that shares a fit": (("random", "strata", "strata_ht"), {}, 8),
    "a method whose shard exists": (("random", "equal", "strata"), {}, 8),
    "other methods": (("equal", "strata_ht"), {}, 16),
    "a fixed list": (("random", "tiny"), {}, 1),
    "more runs in the block": (TWO, {"runs": 9}, 20),
    "more runs in another block": (TWO, {"runs": 23}, 76),
    "more sources": (TWO, {"n_source": (5, 9)}, 16),
    "other sources": (TWO, {"n_source": (9,)}, 16),
    "more of everything": (("random", "strata", "strata_ht"), {"sizes": (3, 6, 12), "runs": 6, "n_source": (5, 9)}, 92),
    "fewer sizes": (TWO, {"sizes": (6,)}, 0),
    "fewer methods": (("strata",), {}, 0),
    "fewer runs": (TWO, {"runs": 3}, 0),
    "fewer of all": (("random",), {"sizes": (3,), "runs": 1}, 0),
    "sizes apart": (TWO, {"sizes_apart": True}, 0),
    "sizes apart, and one more": (TWO, {"sizes_apart": True, "sizes": (3, 6, 12)}, 8),
    "in another order": (("strata", "random"), {"sizes": (6, 3)}, 0),
    "estimates": (TWO, {"keep_estimates": True}, 16),
    "a fraction of one of the counts": (TWO, {"sizes": (3,), "fractions": (0.125,)}, 8),
    "other targets": (TWO, {"n_target": 9}, 16),
    "all items seen": (TWO, {"unseen": "none"}, 16),
    "separate subtasks": (TWO, {"subtasks": "separate", "sizes": (2, 3)}, 48),
}


@pytest.fixture(scope="module")
def first_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a sweep of BASE with TWO methods."""
    out = tmp_path_factory.mktemp("first") / "out"
    run(a_sweep(out)[0])
    return out


@pytest.mark.slow
@pytest.mark.parametrize("case", NEXT)
def test_only_new_cells_are_computed_and_the_tables_are_those_of_a_fresh_sweep(
    case: str, first_sweep: Path, tmp_path: Path
) -> None:
    methods, changes, new = NEXT[case]
    shutil.copytree(first_sweep, tmp_path, dirs_exist_ok=True)
    before = content(tmp_path)
    sweep, engine = a_sweep(tmp_path, methods, **changes)
    outcome = run(sweep)
    assert (len(engine.cells), outcome.computed, outcome.failed) == (new, new, 0)
    assert outcome.reused == sweep.plan().n_cells - new
    expected = fresh(methods, **changes)
    assert content(tmp_path) == expected
    if changes.get("keep_estimates"):
        kept = [path.stem for path in (tmp_path / "estimates").iterdir()]
        assert sorted(kept) == sorted(shard.id for shard in sweep.plan().shards)
    run_reduce(tmp_path, sweep.rules)
    assert content(tmp_path) == expected
    again, engine = a_sweep(tmp_path)
    run(again)
    assert (engine.cells, content(tmp_path)) == ([], before)


def test_existing_estimates_do_not_prevent_reuse_by_a_sweep_without_them(tmp_path: Path) -> None:
    first, _ = a_sweep(tmp_path, keep_estimates=True)
    run(first)
    sweep, engine = a_sweep(tmp_path, sizes=(3, 6, 12))
    run(sweep)
    assert len(engine.cells) == 8
    sweep, engine = a_sweep(tmp_path, sizes=(3, 6, 12), keep_estimates=True)
    run(sweep)
    assert len(engine.cells) == 8, "only the cells of the new size lack estimates"
    assert content(tmp_path) == fresh(sizes=(3, 6, 12))


@pytest.mark.parametrize("label", CHANGED)
def test_a_changed_parameter_never_reuses_a_number(label: str, tmp_path: Path) -> None:
    run(a_sweep(tmp_path, ["random", METHODS[label]])[0])
    sweep, engine = a_sweep(tmp_path, ["random", CHANGED[label]])
    run(sweep)
    assert len(engine.cells) == sweep.plan().n_cells - 8, "only the cells of random are reused"
    assert content(tmp_path) == fresh(["random", CHANGED[label]])
    sweep, engine = a_sweep(tmp_path, ["random", METHODS[label]])
    run(sweep)
    assert engine.cells == [], "the cells of the first sweep are kept"
    assert content(tmp_path) == fresh(["random", METHODS[label]])


def test_other_data_of_the_same_name_and_another_seed_are_rejected(tmp_path: Path) -> None:
    run(a_sweep(tmp_path)[0])
    before = content(tmp_path)
    with refuses(StoreError, "benchmark 'w'", where=str(tmp_path), got=WORLD.digest):
        run(a_sweep(tmp_path, world=synthetic("w", 24, 48, 3, seed=1))[0])
    with refuses(StoreError, "seed", where=str(tmp_path), got="1"):
        run(a_sweep(tmp_path, seed=1)[0])
    assert content(tmp_path) == before


def test_a_group_of_targets_with_the_same_label_and_other_models_is_computed(tmp_path: Path) -> None:
    ids = list(WORLD.model_ids)
    for names in (ids[:6], ids[1:7]):
        sweep, engine = a_sweep(tmp_path, targets=Targets("group", names=tuple(names)))
        run(sweep)
        assert len(engine.cells) == 16
        assert content(tmp_path) == fresh(targets=Targets("group", names=tuple(names)))


GRIDS = st.fixed_dictionaries(
    {
        "methods": st.lists(st.sampled_from(sorted(METHODS)), min_size=1, max_size=4, unique=True),
        "strata": st.sampled_from(["METHODS", "CHANGED"]),
        "sizes": st.lists(st.sampled_from([2, 3, 5, 8]), min_size=1, max_size=3, unique=True).map(tuple),
        "n_source": st.lists(st.sampled_from([4, 9]), min_size=1, max_size=2, unique=True).map(tuple),
        "runs": st.sampled_from([1, 2, 4, 11, 13]),
        "keep_estimates": st.booleans(),
        "sizes_apart": st.booleans(),
    }
)


def check_sequence(grids: list[dict[str, Any]]) -> None:
    """Sweep grids one after another into one folder: every table equals that of a fresh sweep, and no cell is computed twice."""
    with tempfile.TemporaryDirectory() as folder:
        computed: Counter[tuple[Any, ...]] = Counter()
        for grid in grids:
            changes = dict(grid)
            available = METHODS | (CHANGED if changes.pop("strata") == "CHANGED" else {})
            methods = [available[label] for label in changes.pop("methods")]
            sweep, engine = a_sweep(Path(folder), methods, **changes)
            run(sweep)
            computed.update(engine.cells)  # with and without estimates are different cells here
            assert content(Path(folder)) == fresh(methods, **changes)
        assert max(computed.values()) == 1


@pytest.mark.slow
@settings(max_examples=max(2, settings().max_examples // 10), suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(GRIDS, min_size=2, max_size=4))
def test_any_sequence_of_grids_computes_every_cell_once(grids: list[dict[str, Any]]) -> None:
    check_sequence(grids)


def test_cells_of_a_damaged_page_found_at_reduce_are_recomputed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = a_sweep(tmp_path, runs=12)
    run(first)
    before = content(tmp_path)
    path = sorted((tmp_path / "cells").iterdir())[1]
    damaged = with_flipped_bit(path.read_bytes())
    path.write_bytes(damaged)
    with refuses(DamagedFiles, "checksum", where=str(path)):
        run_reduce(tmp_path, first.rules)
    sweep, engine = a_sweep(tmp_path, runs=12)
    outcome = run(sweep)
    (lost,) = [shard for shard in sweep.plan().shards if shard.id == path.stem]
    assert (len(engine.cells), outcome.computed) == (lost.n_cells, lost.n_cells)
    (warning,) = warnings_in(caplog)
    assert str(path) in warning
    assert f"set_aside/cells-{path.name}" in warning
    assert "checksum" in warning.lower()
    assert (tmp_path / "set_aside" / f"cells-{path.name}").read_bytes() == damaged
    assert content(tmp_path) == before


def test_a_sweep_on_a_disk_that_damages_every_file_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(table: Any) -> bytes:
        whole = parquet_bytes(table)
        return with_flipped_bit(whole) if "run" in table.column_names else whole

    monkeypatch.setattr(results, "parquet_bytes", damaged)
    sweep, engine = a_sweep(tmp_path, ["random"])
    with refuses(DamagedFiles, "checksum", where=str(tmp_path)):
        run(sweep)
    assert len(engine.cells) == 3 * 8


@pytest.mark.parametrize("text", ["", "{", '{"seed": 0, "benchm', "\\xff"])
def test_a_truncated_manifest_is_set_aside(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(a_sweep(tmp_path)[0])
    before = content(tmp_path)
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with refuses(DamagedFiles, "read", where=str(tmp_path / "manifest.json"), hint="microbench sweep"):
        run_reduce(tmp_path, Rules())
    sweep, engine = a_sweep(tmp_path)
    run(sweep)
    assert engine.cells == []
    (warning,) = warnings_in(caplog)
    assert str(tmp_path / "manifest.json") in warning
    assert "set_aside/manifest.json" in warning
    assert (tmp_path / "set_aside" / "manifest.json").read_bytes() == text.encode("latin-1")
    assert content(tmp_path) == before
    assert json.loads((tmp_path / "manifest.json").read_text())["finished"]


def one_shard(methods: Sequence[str] = ("random", "equal"), **changes: Any) -> Shard:
    return plan_sweep([WORLD], [METHODS[each] for each in methods], Grid(**(BASE | changes)), Targets()).shards[0]


CELLS = st.builds(Cell, st.sampled_from("abc"), st.sampled_from([(1, None), (2, None), (2, 0.5)]), st.integers(0, 4))


@given(st.lists(CELLS, unique=True))
def test_blocks_hold_every_cell_once(cells: list[Cell]) -> None:
    covered = [Cell(m, s, r) for methods, sizes, runs in blocks_of(cells) for m in methods for s in sizes for r in runs]
    assert len(covered) == len(set(covered))
    assert set(covered) == set(cells)


def test_missing_cells_are_divided_into_few_shards() -> None:
    shard = one_shard(sizes=(3, 6, 12), runs=10)
    cells = list(Identity.of(shard).cells())
    assert remaining(shard, set()) == [shard]
    assert remaining(shard, set(cells)) == []
    first_runs = {cell for cell in cells if cell.run < 4}
    assert remaining(shard, first_runs) == [dataclasses.replace(shard, runs=tuple(range(4, 10)))]
    first_sizes = {cell for cell in cells if cell.size[0] < 12}
    assert remaining(shard, first_sizes) == [dataclasses.replace(shard, sizes=((12, None),))]
    first_method = {cell for cell in cells if cell.method == cells[0].method}
    assert remaining(shard, first_method) == [dataclasses.replace(shard, methods=shard.methods[1:])]
    assert len(remaining(shard, first_method & first_sizes)) == 2
    assert len(remaining(shard, first_method & first_sizes & first_runs)) == 3


def test_a_files_metadata_lists_its_cells_and_must_be_consistent() -> None:
    shard = one_shard()
    identity = Identity.of(shard)
    assert Identity.read(json.loads(json.dumps(identity.content()))) == identity
    for key, value in {
        "runs": [1],
        "sizes": [[3, 0.5]],
        "methods": ["x"],
        "base": "x",
        "id": "x",
        "companions": ["estimates"],
    }.items():
        with pytest.raises(ValueError, match="does not match"):
            Identity.read(identity.content() | {key: value})
    with pytest.raises(ValueError, match="incomplete"):
        Identity.read({"schema_version": 2})


def test_a_cell_in_two_files_is_read_once() -> None:
    shard, wide = one_shard(), one_shard(sizes=(3, 6, 12))
    labels = [method.label for method in wide.methods]
    identities = {each.id: each for each in (Identity.of(shard), Identity.of(dataclasses.replace(wide, runs=(0, 1, 2))))}
    assignment = assign([wide], identities.values())
    (new,) = assignment.missing
    assert (new.sizes, new.runs) == (((12, None),), (3,))
    (partition,) = assignment.partitions
    cells: Counter[tuple[Any, ...]] = Counter()
    for selection in partition:
        held = identities.get(selection.file) or Identity.of(new)
        cells.update(
            (method, size, run)
            for method in selection.methods or labels
            for size in selection.sizes or held.sizes
            for run in selection.runs or held.runs
        )
        assert CellSelection.read(json.loads(json.dumps(selection.content()))) == selection
    assert set(cells.values()) == {1}
    assert len(cells) == wide.n_cells
