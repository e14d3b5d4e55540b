"""A grid over a folder that holds others: what is there is used, what is new is computed, and tables are those of a fresh sweep."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microbench_ray.core.errors import StoreError
from microbench_ray.data import Benchmark, synthetic
from microbench_ray.methods import Method, build_method
from microbench_ray.sweeps.driver import SweepJob, SweepOutcome, run_reduce, run_sweep
from microbench_ray.sweeps.engine.base import Result
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
from microbench_ray.sweeps.reuse import Cell, Identity, Wanted, assign, rectangles, remaining
from microbench_ray.sweeps.shards import Shard, plan_sweep
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
    """Notes every cell that is computed."""

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
    return SweepJob((world,), built, grid, targets, Rules(n_resamples=100), engine, out, **options), engine


def run(sweep: SweepJob) -> SweepOutcome:
    return run_sweep(sweep, sweep.plan(), lambda text: None)


def content(out: Path) -> dict[str, bytes]:
    return {name: (out / f"{name}.parquet").read_bytes() for name in TABLES}


def fresh(methods: Sequence[str | Method] = ("random", "strata"), **changes: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        sweep, _ = a_sweep(Path(folder) / "out", methods, **changes)
        run(sweep)
        return content(Path(folder) / "out")


TWO = ("random", "strata")
# What is asked for after a sweep of BASE with TWO methods (16 cells), and how many cells of it are new.
NEXT: dict[str, tuple[tuple[str, ...], dict[str, Any], int]] = {
    "the same": (TWO, {}, 0),
    "a size more": (TWO, {"sizes": (3, 6, 12)}, 8),
    "a size in between, and one less": (TWO, {"sizes": (5, 6)}, 8),
    "a method that shares a fit": (("random", "strata", "strata_ht"), {}, 8),
    "a method of a shard that is there": (("random", "equal", "strata"), {}, 8),
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
    "subtasks apart": (TWO, {"subtasks": "apart", "sizes": (2, 3)}, 48),
}


@pytest.mark.parametrize("case", NEXT)
def test_only_what_is_new_is_computed_and_the_tables_are_those_of_a_fresh_sweep(case: str, tmp_path: Path) -> None:
    methods, changes, new = NEXT[case]
    first, _ = a_sweep(tmp_path)
    run(first)
    before = content(tmp_path)
    sweep, engine = a_sweep(tmp_path, methods, **changes)
    outcome = run(sweep)
    assert (len(engine.cells), outcome.computed, outcome.failed) == (new, new, 0)
    assert outcome.reused == sweep.plan().n_cells - new
    assert content(tmp_path) == fresh(methods, **changes)
    if changes.get("keep_estimates"):
        kept = [path.stem for path in (tmp_path / "estimates").iterdir()]
        assert sorted(kept) == sorted(shard.id for shard in sweep.plan().shards)
    run_reduce(tmp_path, sweep.rules)
    assert content(tmp_path) == fresh(methods, **changes)
    again, engine = a_sweep(tmp_path)
    run(again)
    assert (engine.cells, content(tmp_path)) == ([], before)


def test_estimates_that_are_there_do_no_harm_where_they_are_not_wanted(tmp_path: Path) -> None:
    first, _ = a_sweep(tmp_path, keep_estimates=True)
    run(first)
    sweep, engine = a_sweep(tmp_path, sizes=(3, 6, 12))
    run(sweep)
    assert len(engine.cells) == 8
    sweep, engine = a_sweep(tmp_path, sizes=(3, 6, 12), keep_estimates=True)
    run(sweep)
    assert len(engine.cells) == 8, "those of the new size, which have none"
    assert content(tmp_path) == fresh(sizes=(3, 6, 12))


@pytest.mark.parametrize("label", CHANGED)
def test_a_changed_parameter_never_reuses_a_number(label: str, tmp_path: Path) -> None:
    run(a_sweep(tmp_path, ["random", METHODS[label]])[0])
    sweep, engine = a_sweep(tmp_path, ["random", CHANGED[label]])
    run(sweep)
    assert len(engine.cells) == sweep.plan().n_cells - 8, "only those of random are there"
    assert content(tmp_path) == fresh(["random", CHANGED[label]])
    sweep, engine = a_sweep(tmp_path, ["random", METHODS[label]])
    run(sweep)
    assert engine.cells == [], "those of the first are still there"
    assert content(tmp_path) == fresh(["random", METHODS[label]])


def test_other_data_of_the_same_name_and_another_seed_are_refused(tmp_path: Path) -> None:
    run(a_sweep(tmp_path)[0])
    before = content(tmp_path)
    with pytest.raises(StoreError, match="another content of benchmark 'w'"):
        run(a_sweep(tmp_path, world=synthetic("w", 24, 48, 3, seed=1))[0])
    with pytest.raises(StoreError, match="another root seed"):
        run(a_sweep(tmp_path, seed=1)[0])
    assert content(tmp_path) == before


def test_a_group_of_targets_of_the_same_label_with_other_models_is_another(tmp_path: Path) -> None:
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


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(GRIDS, min_size=2, max_size=4))
def test_any_sequence_of_grids_gives_the_tables_of_fresh_sweeps_and_computes_every_cell_once(grids: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        computed: Counter[tuple[Any, ...]] = Counter()
        for grid in grids:
            changes = dict(grid)
            known = METHODS | (CHANGED if changes.pop("strata") == "CHANGED" else {})
            methods = [known[label] for label in changes.pop("methods")]
            sweep, engine = a_sweep(Path(folder), methods, **changes)
            run(sweep)
            computed.update(engine.cells)
            assert content(Path(folder)) == fresh(methods, **changes)
        # Once without every target's estimate, and once with.
        assert max(computed.values()) == 1


def test_a_page_that_is_damaged_is_computed_again_when_it_is_found_at_reduce(tmp_path: Path) -> None:
    first, _ = a_sweep(tmp_path, runs=12)
    run(first)
    before = content(tmp_path)
    path = sorted((tmp_path / "cells").iterdir())[1]
    damaged = with_flipped_bit(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="cannot be read") as caught:
        run_reduce(tmp_path, first.rules)
    assert caught.value.where == str(path)
    said: list[str] = []
    sweep, engine = a_sweep(tmp_path, runs=12)
    outcome = run_sweep(sweep, sweep.plan(), said.append)
    (lost,) = [shard for shard in sweep.plan().shards if shard.id == path.stem]
    assert (len(engine.cells), outcome.computed) == (lost.n_cells, lost.n_cells)
    assert any(f"{path} is set aside as set_aside/cells-{path.name}: " in text and "checksum" in text.lower() for text in said)
    assert (tmp_path / "set_aside" / f"cells-{path.name}").read_bytes() == damaged
    assert content(tmp_path) == before


def test_a_disk_that_damages_whatever_is_written_does_not_keep_a_sweep_going_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from microbench_ray.core.storage import store

    parquet = store._parquet

    def damaged(table: Any) -> bytes:
        whole: bytes = parquet(table)
        return with_flipped_bit(whole) if "run" in table.column_names else whole

    monkeypatch.setattr(store, "_parquet", damaged)
    sweep, engine = a_sweep(tmp_path, ["random"])
    with pytest.raises(StoreError, match="cannot be read"):
        run(sweep)
    assert len(engine.cells) == 3 * 8


@pytest.mark.parametrize("text", ["", "{", '{"seed": 0, "benchm', "\\xff"])
def test_a_manifest_that_is_cut_short_is_set_aside(text: str, tmp_path: Path) -> None:
    run(a_sweep(tmp_path)[0])
    before = content(tmp_path)
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match="cannot be read") as caught:
        run_reduce(tmp_path, Rules())
    assert "run the same microbench sweep again" in str(caught.value)
    said: list[str] = []
    sweep, engine = a_sweep(tmp_path)
    run_sweep(sweep, sweep.plan(), said.append)
    assert engine.cells == []
    assert said[0].startswith(f"{tmp_path / 'manifest.json'} is set aside as set_aside/manifest.json: ")
    assert (tmp_path / "set_aside" / "manifest.json").read_bytes() == text.encode("latin-1")
    assert content(tmp_path) == before
    assert json.loads((tmp_path / "manifest.json").read_text())["finished"]


def one_shard(methods: Sequence[str] = ("random", "equal"), **changes: Any) -> Shard:
    return plan_sweep([WORLD], [METHODS[each] for each in methods], Grid(**(BASE | changes)), Targets()).shards[0]


CELLS = st.builds(Cell, st.sampled_from("abc"), st.sampled_from([(1, None), (2, None), (2, 0.5)]), st.integers(0, 4))


@given(st.lists(CELLS, unique=True))
def test_rectangles_hold_every_cell_once(cells: list[Cell]) -> None:
    found = [Cell(m, s, r) for methods, sizes, runs in rectangles(cells) for m in methods for s in sizes for r in runs]
    assert len(found) == len(set(found))
    assert set(found) == set(cells)


def test_what_remains_is_cut_into_few_shards() -> None:
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


def test_a_file_says_which_cells_it_holds_and_no_other_file_can_say_the_same() -> None:
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
        with pytest.raises(ValueError, match="contradicts itself"):
            Identity.read(identity.content() | {key: value})
    with pytest.raises(ValueError, match="incomplete"):
        Identity.read({"schema_version": 2})


def test_two_files_of_one_cell_are_read_once() -> None:
    shard, wide = one_shard(), one_shard(sizes=(3, 6, 12))
    assigned = assign([wide], [Identity.of(shard), Identity.of(dataclasses.replace(wide, runs=(0, 1, 2)))])
    cells = Counter(
        (method, size, run)
        for (partition,) in [assigned.partitions]
        for wanted in partition
        for method in wanted.methods or ()
        for size in wanted.sizes or ()
        for run in wanted.runs or ()
    )
    assert set(cells.values()) <= {1}
    assert [each.runs for each in assigned.missing] == [(3,)]
    for wanted in assigned.partitions[0]:
        assert Wanted.read(json.loads(json.dumps(wanted.content()))) == wanted
