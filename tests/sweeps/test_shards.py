"""From a grid to shards: invalid grids are rejected up front, and a shard's id depends on everything that its results do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from microbench_ray import sweep
from microbench_ray.cli.compose import Composer
from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, build_method
from microbench_ray.sweeps.bounds import check_models, check_sizes, count_seen
from microbench_ray.sweeps.fits import distinct_fits, group_by_fit
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import Host, Plan, Shard, check_memory, plan_sweep
from tests.helpers.errors import refuses

MEAN = {"name": "mean"}


def method(name: str, label: str | None = None, estimator: str = "mean", **parameters: Any) -> Method:
    return build_method(label or name, {"name": name, **parameters}, {"name": estimator})


def leaderboard(
    name: str = "b", n_models: int = 12, n_items: int = 30, n_subtasks: int = 3, seed: int = 0, *, with_confidence: bool = False
) -> Benchmark:
    rng = np.random.default_rng(seed)
    return Benchmark.from_arrays(
        name,
        rng.integers(0, 2, (n_models, n_items)),
        [f"q{k}" for k in range(n_items)],
        [f"m{k:02d}" for k in range(n_models)],
        subtasks=[f"s{k % n_subtasks}" for k in range(n_items)],
        confidence=rng.random((n_models, n_items)) if with_confidence else None,
        metadata=pd.DataFrame({"params": np.arange(n_models) * 1e9}, index=[f"m{k:02d}" for k in range(n_models)]),
    )


BENCHMARK, WITH_CONFIDENCE = leaderboard(), leaderboard(with_confidence=True)
GRID = Grid(sizes=(5, 10), n_source=(6,), n_target=4, runs=3)


def plan(
    methods: Sequence[str | Method] = ("random",),
    grid: Grid = GRID,
    targets: Targets | None = None,
    benchmarks: Sequence[Benchmark] = (BENCHMARK,),
    **options: Any,
) -> Plan:
    built = [each if isinstance(each, Method) else method(each) for each in methods]
    return plan_sweep(list(benchmarks), built, grid, targets or Targets(), **options)


@pytest.mark.parametrize(
    ("change", "word", "where", "got"),
    [
        ({"sizes": (5, 10, 5)}, "duplicate", "grid.sizes", "[5, 10, 5]"),
        ({"fractions": (0.1, 0.1)}, "duplicate", "grid.fractions", "[0.1, 0.1]"),
        ({"n_source": (6, 6)}, "duplicate", "grid.n_source", "[6, 6]"),
        ({"sizes": (5, 0)}, "at least 1", "grid.sizes", "[5, 0]"),
        ({"fractions": (0.0,)}, "(0, 1]", "grid.fractions", "[0.0]"),
        ({"fractions": (1.5,)}, "(0, 1]", "grid.fractions", "[1.5]"),
        ({"sizes": ()}, "unless grid.fractions", "grid.sizes", "[]"),
        ({"n_source": ()}, "at least 1", "grid.n_source", "[]"),
        ({"n_source": (0,)}, "at least 1", "grid.n_source", "[0]"),
        ({"n_target": 1}, "at least 2", "grid.n_target", "1"),
        ({"runs": 0}, "at least 1", "grid.runs", "0"),
        ({"subtasks": "alone"}, "pooled or separate", "grid.subtasks", "alone"),
        ({"unseen": "third"}, "half or none", "grid.unseen", "third"),
    ],
)
def test_an_invalid_grid_is_rejected(change: dict[str, Any], word: str, where: str, got: str) -> None:
    with refuses(ConfigError, word, where=where, got=got):
        replace(GRID, **change)


@pytest.mark.parametrize(("old", "new"), [("together", "pooled"), ("apart", "separate")])
def test_former_values_of_subtasks_still_work_and_are_reported(old: str, new: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old}.*{new}"):
        grid = Grid(subtasks=old)  # type: ignore[arg-type]
    assert grid == Grid(subtasks=new)  # type: ignore[arg-type]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"grid.subtasks={new}" in record.getMessage()
    assert replace(grid, runs=3).subtasks == new, "without another warning"


def test_former_values_of_subtasks_work_on_the_command_line_and_in_the_library() -> None:
    with pytest.warns(DeprecationWarning, match="separate"):
        _, job = Composer("sweep", ["grid.subtasks=apart", "grid.sizes=[5]"]).sweep()
    assert {shard.subtask for shard in job.plan().shards} == set(job.benchmarks[0].subtask_names)
    options: dict[str, Any] = {"sizes": (2,), "n_source": 6, "n_target": 4, "runs": 2, "n_resamples": 100}
    with pytest.warns(DeprecationWarning, match="separate") as caught:
        old = sweep(BENCHMARK, subtasks="apart", **options)  # type: ignore[arg-type]
    assert caught[0].filename == __file__, "the warning points to the caller"
    new = sweep(BENCHMARK, subtasks="separate", **options)
    assert set(new.mdad["benchmark"]) == {"b/s0", "b/s1", "b/s2"}
    assert all(old.tables[name].equals(table) for name, table in new.tables.items())


def test_fractions_can_replace_sizes() -> None:
    assert Grid(sizes=(), fractions=(0.5,)).sizes_of(31) == ((16, 0.5),)  # 15.5 is rounded to the even number
    assert Grid(sizes=(3,), fractions=(0.001, 0.2)).sizes_of(30) == ((3, None), (1, 0.001), (6, 0.2))


def test_a_size_over_the_seen_items_is_rejected_and_the_hint_lists_the_sizes_that_fit() -> None:
    gpqa = leaderboard("gpqa", n_models=10, n_items=448, n_subtasks=1)
    with refuses(GridError, "1000 > 224", where="grid.sizes", got="[10, 200, 1000]", hint="grid.sizes=[10,200]") as caught:
        plan(grid=replace(GRID, sizes=(10, 200, 1000)), benchmarks=[gpqa])
    assert "gpqa" in caught.value.what
    with refuses(GridError, "300 > 224", hint="at most 224"):
        check_sizes("b", [(300, None)], 224)
    assert len(plan(grid=replace(GRID, sizes=(224,)), benchmarks=[gpqa]).shards) == 1


def test_the_sizes_of_a_benchmark_replace_those_of_the_grid() -> None:
    boards = [leaderboard("large", n_items=200), leaderboard("small", n_items=40, n_subtasks=1)]
    grid = replace(GRID, sizes=(20, 100), fractions=(0.05,))
    with refuses(GridError, "'small'", where="grid.sizes", got="100"):
        plan(grid=grid, benchmarks=boards)
    mixed = plan(grid=grid, benchmarks=boards, benchmark_sizes={"small": (5, 20)})
    sizes = {shard.benchmark: shard.sizes for shard in mixed.shards}
    assert sizes == {"large": ((20, None), (100, None), (10, 0.05)), "small": ((5, None), (20, None), (2, 0.05))}
    with refuses(GridError, "'small'", where="benchmark.sizes", hint="benchmark.sizes=[5]"):
        plan(grid=grid, benchmarks=boards, benchmark_sizes={"small": (5, 21)})


def test_a_fraction_over_the_seen_items_is_rejected() -> None:
    with refuses(GridError, "18 > 15", where="grid.fractions", got="[5, 10, 0.6]"):
        plan(grid=replace(GRID, fractions=(0.6,)))
    # All 30 items are seen: the size fits.
    assert plan(grid=replace(GRID, fractions=(0.6,), unseen="none")).shards[0].sizes == ((5, None), (10, None), (18, 0.6))


def test_a_size_and_a_fraction_with_the_same_count_are_rejected() -> None:
    with refuses(GridError, "same number of items", where="grid.fractions", got="[5, 10, 10]"):
        plan(grid=replace(GRID, fractions=(1 / 3,)))


def test_half_of_the_items_are_seen_or_all() -> None:
    codes = np.repeat([0, 1, 2], [5, 5, 4])
    assert count_seen(codes, "half") == 3 + 2 + 2
    assert count_seen(codes, "none") == 14
    # Codes of one subtask only: the subtasks before it have no items, hence no odd one either.
    assert count_seen(np.full(5, 2), "half") == 3


def test_too_few_models_are_rejected() -> None:
    with refuses(GridError, "12 models of 'b'", where="grid.n_source", got="[3, 9]", hint="at most 8"):
        plan(grid=replace(GRID, n_source=(3, 9)))
    with refuses(GridError, "12 models of 'b'", where="grid.n_target", got="n_target 12", hint="under 12"):
        plan(grid=replace(GRID, n_target=12))
    with refuses(GridError, "pair", where="targets", got="1 target"):
        plan(targets=Targets("one", names=("m03",)))
    check_models(BENCHMARK, replace(GRID, n_source=(8,)), None)


def test_names_are_unique() -> None:
    with refuses(GridError, "method label", got="random"):
        plan(["random", method("random_subtask_equal", "random")])
    with refuses(GridError, "benchmark name", got="b"):
        plan(benchmarks=[BENCHMARK, leaderboard(seed=1)])


def test_shards_hold_every_cell_once() -> None:
    grid = replace(GRID, n_source=(3, 6), runs=23)
    planned = plan(["random", "random_subtask_equal", "stratified_confidence"], grid, benchmarks=[BENCHMARK, leaderboard("c")])
    cells = [
        (shard.label, each.label, size, shard.n_source, run)
        for shard in planned.shards
        for each in shard.methods
        for size, _ in shard.sizes
        for run in shard.runs
    ]
    assert len(cells) == len(set(cells)) == planned.n_cells == 2 * 3 * 2 * 2 * 23
    # Cheap fits: blocks of ten runs, the last one shorter.
    assert {shard.runs for shard in planned.shards} == {tuple(range(10)), tuple(range(10, 20)), tuple(range(20, 23))}
    assert planned.seconds > 0
    assert planned.input_bytes == 2 * BENCHMARK.nbytes
    # stratified_confidence: the source responses in float32 and its arrays of that shape.
    assert planned.worker_bytes == 12 * 6 * 15
    assert plan(["random"]).worker_bytes == 0


def test_methods_that_share_a_fit_share_a_shard() -> None:
    random, equal = method("random"), method("random_subtask_equal")
    five, six = (method("stratified_confidence", f"s{strata}", strata=strata) for strata in (5, 6))
    plain = method("stratified_confidence", "mean5", strata=5)
    other = method("stratified_confidence", "correct5", strata=5, signal="correctness")
    assert group_by_fit([five, random, six, plain, equal], WITH_CONFIDENCE) == [(five, plain), (random, equal), (six,)]
    assert group_by_fit([five, other, six], WITH_CONFIDENCE) == [(five,), (other,), (six,)]
    # Without confidences, both methods read correctness.
    assert group_by_fit([five, random, other], BENCHMARK) == [(five, other), (random,)]
    assert group_by_fit([], BENCHMARK) == []


def test_methods_that_share_a_fit_through_another_share_a_shard() -> None:
    anchors = {"name": "anchor_points"}
    points = build_method("points", anchors, {"name": "weighted_mean"})
    predictor = build_method("predictor", anchors, {"name": "anchor_predictor"})
    lines = build_method("lines", {"name": "random"}, {"name": "anchor_predictor"})
    random = method("random")
    assert group_by_fit([points, random, lines], WITH_CONFIDENCE) == [(points,), (random,), (lines,)]
    assert group_by_fit([points, random, lines, predictor], WITH_CONFIDENCE) == [(points, lines, predictor), (random,)]
    assert [type(part).__name__ for part in distinct_fits([points, lines, predictor], WITH_CONFIDENCE)] == [
        "AnchorPoints",
        "AnchorPredictor",
    ]


def test_separate_subtasks_are_planned_as_benchmarks() -> None:
    grid = replace(GRID, sizes=(2,), fractions=(0.5,), subtasks="separate")
    shards = plan(grid=grid).shards
    assert [shard.label for shard in shards] == ["b/s0", "b/s1", "b/s2"]
    assert [shard.subtask for shard in shards] == ["s0", "s1", "s2"]
    # Half of 10 items.
    assert {shard.sizes for shard in shards} == {((2, None), (5, 0.5))}
    with refuses(GridError, "'b/s0'", got="6"):
        plan(grid=replace(grid, sizes=(6,)))


def test_the_second_benchmark_is_checked_too() -> None:
    with refuses(GridError, "99 > 15 seen items of 'c'", got="99"):
        plan(benchmarks=[leaderboard("big", n_items=400), leaderboard("c")], grid=replace(GRID, sizes=(99,)))


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"names": ("m05", "m02")}, (2, 5)),
        ({"regex": "m0[1-3]"}, (1, 2, 3)),
        ({"where": "3e9 <= params < 6e9"}, (3, 4, 5)),
    ],
)
def test_a_fixed_group_replaces_drawn_targets(definition: dict[str, Any], expected: tuple[int, ...]) -> None:
    targets = Targets("group", **definition)
    assert targets.positions(BENCHMARK) == expected
    shard = plan(targets=targets).shards[0]
    assert (shard.targets, shard.n_target, shard.group) == ("group", len(expected), expected)
    assert Targets().positions(BENCHMARK) is None
    drawn = plan().shards[0]
    assert (drawn.targets, drawn.n_target, drawn.group) == ("random", 4, None)


def test_an_unknown_target_is_rejected() -> None:
    with refuses(DataError, "m99"):
        plan(targets=Targets("group", names=("m01", "m99")))


def test_a_fixed_list_is_audited_on_all_models_at_once() -> None:
    tiny = method("fixed", "tiny", "weighted_mean", items=["q3", "q7"], built_from=["m00", "m05"])
    drawn, audit = sorted(plan([tiny, "random"]).shards, key=lambda shard: shard.unseen)
    assert drawn.methods[0].label == "random"
    assert (audit.targets, audit.n_target, audit.unseen, audit.n_source) == ("all", 10, "none", 0)
    assert (audit.runs, audit.sizes, audit.model_resamples) == ((0,), ((2, None),), 1000)
    assert audit.group == (1, 2, 3, 4, 6, 7, 8, 9, 10, 11)
    # The grid does not apply to fixed lists, so its sizes may exceed the benchmark.
    alone = plan([tiny], Grid(sizes=(5000,), n_source=(5000,)), Targets("some", regex="m0[0-4]"), model_resamples=7).shards[0]
    assert (alone.targets, alone.group, alone.model_resamples) == ("some", (1, 2, 3, 4), 7)


def test_a_fixed_list_needs_items_and_models() -> None:
    with refuses(DataError, "nope"):
        plan([method("fixed", items=["q3", "nope"])])
    with refuses(DataError, "nobody"):
        plan([method("fixed", items=["q3"], built_from=["nobody"])])
    with refuses(GridError, "'fixed'", where="built_from", got="1 target"):
        plan([method("fixed", items=["q3"], built_from=["m01"])], targets=Targets("two", names=("m01", "m02")))


def one_shard(**options: Any) -> Shard:
    return plan(**options).shards[0]


CHANGES: dict[str, Any] = {
    "benchmark": "c",
    "digest": "0" * 32,
    "subtask": "s0",
    "targets": "group",
    "n_target": 5,
    "group": (1, 2, 3, 4),
    "unseen": "none",
    "n_source": 5,
    "sizes": ((5, None), (10, 1 / 3)),
    "methods": (method("random", estimator="weighted_mean"),),
    "seed": 1,
    "keep_estimates": True,
    "model_resamples": 10,
    "costs": True,
    "verdicts": True,
}


def test_a_shards_id_changes_with_everything_that_its_results_depend_on() -> None:
    shard = one_shard()
    fields = set(Shard.__dataclass_fields__)
    assert fields - {"seconds"} == {*CHANGES, "runs"}, "a new field: does the id depend on it?"
    ids = [shard.id, *(replace(shard, **{name: value}).id for name, value in CHANGES.items()), replace(shard, runs=(0, 1)).id]
    assert len(set(ids)) == len(ids)
    assert replace(shard, seconds=99.0).id == shard.id
    # Partition and base describe the cells; they do not depend on what is kept besides.
    besides = ("keep_estimates", "costs", "verdicts")
    partitions = {replace(shard, **{name: value}).partition for name, value in CHANGES.items() if name not in besides}
    assert len(partitions | {shard.partition}) == len(CHANGES) - len(besides) + 1
    divided = ("sizes", "methods", *besides)
    assert {replace(shard, **{name: CHANGES[name]}).base for name in divided} == {shard.base}
    bases = {replace(shard, **{name: value}).base for name, value in CHANGES.items() if name not in divided}
    assert len(bases | {shard.base}) == len(CHANGES) - len(divided) + 1


def test_a_shards_id_changes_with_the_data_and_with_a_methods_parameters() -> None:
    assert one_shard().id == one_shard(benchmarks=[leaderboard()]).id
    assert one_shard().id != one_shard(benchmarks=[leaderboard(seed=1)]).id
    strata = [one_shard(methods=[method("stratified_confidence", strata=strata)]).id for strata in (4, 5, 4)]
    assert strata[0] == strata[2] != strata[1]
    weights = [one_shard(methods=[method("fixed", items=["q1", "q2"], weights=w)]).id for w in (None, [1, 2], [2, 1])]
    assert len(set(weights)) == 3


def test_a_shards_id_does_not_depend_on_other_shards_or_earlier_access(tmp_path: Path) -> None:
    alone = {shard.id for shard in plan(["random"], replace(GRID, runs=10)).shards}
    more = plan(
        ["stratified_confidence", "random"],
        replace(GRID, runs=20, n_source=(3, 6)),
        benchmarks=[leaderboard("c"), BENCHMARK],
    )
    assert alone <= {shard.id for shard in more.shards}
    shard = one_shard()
    first = shard.id, shard.partition
    assert (shard.id, shard.partition) == first == (replace(shard).id, replace(shard).partition)
    (tmp_path / "tiny.txt").write_text("q3\nq7\n")
    from_file = method("fixed", path=str(tmp_path / "tiny.txt"))
    assert one_shard(methods=[from_file]).id == one_shard(methods=[method("fixed", items=["q3", "q7"])]).id


def test_partitions_hold_complete_groups_of_cells() -> None:
    tiny = method("fixed", "tiny", "weighted_mean", items=["q3", "q7"])
    grid = replace(GRID, n_source=(3, 6), runs=23, subtasks="separate", sizes=(2, 4))
    for sizes_apart in (False, True):
        shards = plan(["random", "stratified_confidence", tiny], grid, sizes_apart=sizes_apart).shards
        partitions_of: dict[tuple[Any, ...], set[str]] = {}
        runs_of: dict[tuple[Any, ...], list[int]] = {}
        for shard in shards:
            for each in shard.methods:
                for size, _ in shard.sizes:
                    group = (shard.label, each.label, size, shard.n_source, shard.unseen)
                    partitions_of.setdefault(group, set()).add(shard.partition)
                    runs_of.setdefault(group, []).extend(shard.runs)
        assert len(partitions_of) == 3 * 2 * 2 * 2 + 1
        assert all(len(partitions) == 1 for partitions in partitions_of.values())
        assert all(sorted(runs) == list(range(23 if group[3] else 1)) for group, runs in runs_of.items())
        assert len({shard.id for shard in shards}) == len(shards)


def test_one_size_per_shard_is_another_division_of_the_same_cells() -> None:
    default, divided = plan(), plan(sizes_apart=True)
    assert [shard.sizes for shard in divided.shards] == [((5, None),), ((10, None),)]
    assert default.n_cells == divided.n_cells == 6


def test_a_fit_that_needs_too_much_memory_is_rejected_with_the_bytes_and_the_option_that_bounds_them() -> None:
    anchors = build_method("anchors", {"name": "anchor_points"}, {"name": "weighted_mean"})
    whole = plan([anchors, "random"])
    # 15 seen items: their distances in float32, and the responses of 6 sources to them.
    assert whole.worker_bytes == 4 * 15 * 15 + 18 * 6 * 15
    check_memory(whole, [Host("here", 2, whole.input_bytes + 2 * whole.worker_bytes)])
    with refuses(GridError, "anchors", where="here", got=f"{whole.worker_bytes:,} bytes", hint="max_items: 12"):
        check_memory(whole, [Host("here", 2, whole.input_bytes + 2 * whole.worker_bytes - 1)])
    bounded = plan([build_method("few", {"name": "anchor_points", "max_items": 5}, {"name": "weighted_mean"})])
    check_memory(bounded, [Host("here", 2, whole.input_bytes + 2 * whole.worker_bytes - 1)])
    with refuses(GridError, "stratified_confidence", where="here", hint="fewer source models") as caught:
        check_memory(plan(["stratified_confidence"]), [Host("here", 1, 0)])
    assert "max_items" not in str(caught.value)


def test_another_group_of_targets_adds_shards_and_changes_none() -> None:
    alone, best = plan(targets=Targets()), Targets("best", best=0.3)
    both = plan(targets=Targets(), extra_targets=[best])
    assert [shard.id for shard in both.shards if shard.targets == "random"] == [shard.id for shard in alone.shards]
    assert [shard.id for shard in both.shards if shard.targets == "best"] == [shard.id for shard in plan(targets=best).shards]
    assert (len(both.shards), {shard.group for shard in both.shards}) == (2 * len(alone.shards), {None, best.positions(BENCHMARK)})


def test_groups_of_targets_have_different_labels() -> None:
    some = Targets("some", names=("m01", "m02"))
    with refuses(GridError, "label of targets", got="some"):
        plan(targets=some, extra_targets=[some])
    listed = method("fixed", items=["q3"])  # whose label is `all` where targets are not a fixed group
    with refuses(GridError, "label of targets", got="all"):
        plan([listed], extra_targets=[Targets("all", names=("m01", "m02"))])
    assert {shard.targets for shard in plan([listed], extra_targets=[some]).shards} == {"all", "some"}
