"""From a grid to shards: what is refused before any work, and what a shard's id depends on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from microbench_ray.core.errors import ConfigError, DataError, GridError
from microbench_ray.data import Benchmark
from microbench_ray.methods import Method, build_method
from microbench_ray.sweeps.fits import by_fit, fits_of
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import Host, Plan, Shard, check_memory, check_models, check_sizes, count_seen, plan_sweep

MEAN = {"name": "mean"}


def method(name: str, label: str | None = None, estimator: str = "mean", **parameters) -> Method:
    return build_method(label or name, {"name": name, **parameters}, {"name": estimator})


def leaderboard(
    name: str = "b", n_models: int = 12, n_items: int = 30, n_subtasks: int = 3, seed: int = 0, *, sure: bool = False
) -> Benchmark:
    rng = np.random.default_rng(seed)
    return Benchmark.from_arrays(
        name,
        rng.integers(0, 2, (n_models, n_items)),
        [f"q{k}" for k in range(n_items)],
        [f"m{k:02d}" for k in range(n_models)],
        subtasks=[f"s{k % n_subtasks}" for k in range(n_items)],
        confidence=rng.random((n_models, n_items)) if sure else None,
        metadata=pd.DataFrame({"params": np.arange(n_models) * 1e9}, index=[f"m{k:02d}" for k in range(n_models)]),
    )


BENCHMARK, SURE = leaderboard(), leaderboard(sure=True)
GRID = Grid(sizes=(5, 10), n_source=(6,), n_target=4, runs=3)


def plan(methods=("random",), grid: Grid = GRID, targets: Targets | None = None, benchmarks=(BENCHMARK,), **options) -> Plan:
    built = [each if isinstance(each, Method) else method(each) for each in methods]
    return plan_sweep(list(benchmarks), built, grid, targets or Targets(), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": (5, 10, 5)}, "A value stands twice in grid.sizes"),
        ({"fractions": (0.1, 0.1)}, "A value stands twice in grid.fractions"),
        ({"n_source": (6, 6)}, "A value stands twice in grid.n_source"),
        ({"sizes": (5, 0)}, "grid.sizes must be whole numbers of at least 1"),
        ({"fractions": (0.0,)}, r"grid.fractions must be in \(0, 1\]"),
        ({"fractions": (1.5,)}, r"grid.fractions must be in \(0, 1\]"),
        ({"sizes": ()}, "grid.sizes must be not empty, unless grid.fractions is given"),
        ({"n_source": ()}, "grid.n_source must be whole numbers of at least 1"),
        ({"n_source": (0,)}, "grid.n_source must be whole numbers of at least 1"),
        ({"n_target": 1}, "grid.n_target must be at least 2"),
        ({"runs": 0}, "grid.runs must be at least 1"),
        ({"subtasks": "alone"}, "grid.subtasks must be together or apart"),
        ({"unseen": "third"}, "grid.unseen must be half or none"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(GRID, **change)


def test_fractions_alone_are_sizes_enough():
    assert Grid(sizes=(), fractions=(0.5,)).sizes_of(31) == ((16, 0.5),)  # 15.5 is rounded to the even number
    assert Grid(sizes=(3,), fractions=(0.001, 0.2)).sizes_of(30) == ((3, None), (1, 0.001), (6, 0.2))


def test_a_size_over_the_seen_items_is_refused_and_the_message_says_which_fit():
    gpqa = leaderboard("gpqa", n_models=10, n_items=448, n_subtasks=1)
    with pytest.raises(GridError) as caught:
        plan(grid=replace(GRID, sizes=(10, 200, 1000)), benchmarks=[gpqa])
    assert str(caught.value) == (
        "size 1000 > 224 seen items of 'gpqa'.\n  where: grid.sizes\n  got:   [10, 200, 1000]\n  mend:  use grid.sizes=[10,200]"
    )
    with pytest.raises(GridError) as caught:
        check_sizes("b", [(300, None)], 224)
    assert caught.value.hint == "use sizes of at most 224"
    assert len(plan(grid=replace(GRID, sizes=(224,)), benchmarks=[gpqa]).shards) == 1


def test_sizes_of_its_own_stand_for_the_grids_on_that_benchmark():
    boards = [leaderboard("large", n_items=200), leaderboard("small", n_items=40, n_subtasks=1)]
    grid = replace(GRID, sizes=(20, 100), fractions=(0.05,))
    with pytest.raises(GridError, match="size 100 > 20 seen items of 'small'"):
        plan(grid=grid, benchmarks=boards)
    mixed = plan(grid=grid, benchmarks=boards, own_sizes={"small": (5, 20)})
    sizes = {shard.benchmark: shard.sizes for shard in mixed.shards}
    assert sizes == {"large": ((20, None), (100, None), (10, 0.05)), "small": ((5, None), (20, None), (2, 0.05))}
    with pytest.raises(GridError) as caught:
        plan(grid=grid, benchmarks=boards, own_sizes={"small": (5, 21)})
    assert (caught.value.where, caught.value.hint) == ("benchmark.sizes", "use benchmark.sizes=[5]")


def test_a_fraction_over_the_seen_items_is_refused():
    with pytest.raises(GridError, match="size 18 > 15 seen items of 'b'") as caught:
        plan(grid=replace(GRID, fractions=(0.6,)))
    assert caught.value.where == "grid.fractions"
    assert caught.value.got == "[5, 10, 0.6]"
    # With all items seen there is room.
    assert plan(grid=replace(GRID, fractions=(0.6,), unseen="none")).shards[0].sizes == ((5, None), (10, None), (18, 0.6))


def test_a_size_and_a_fraction_of_one_count_are_refused():
    with pytest.raises(GridError, match="Two of the sizes come to the same number of items of 'b'"):
        plan(grid=replace(GRID, fractions=(1 / 3,)))


def test_half_of_the_items_are_seen_or_all():
    codes = np.repeat([0, 1, 2], [5, 5, 4])
    assert count_seen(codes, "half") == 3 + 2 + 2
    assert count_seen(codes, "none") == 14
    # Codes of one subtask alone: those before it have no item, and no odd one either.
    assert count_seen(np.full(5, 2), "half") == 3


def test_too_few_models_are_refused():
    with pytest.raises(GridError, match="4 target and 9 source models > 12 models of 'b'") as caught:
        plan(grid=replace(GRID, n_source=(3, 9)))
    assert caught.value.hint == "use n_source of at most 8"
    with pytest.raises(GridError, match="12 target and 6 source") as caught:
        plan(grid=replace(GRID, n_target=12))
    assert caught.value.hint == "use n_target under 12, and fewer sources"
    with pytest.raises(GridError, match="A group of 1 target models has no pair"):
        plan(targets=Targets("one", names=("m03",)))
    check_models(BENCHMARK, replace(GRID, n_source=(8,)), None)


def test_names_are_unique():
    with pytest.raises(GridError, match="Two have the same method label"):
        plan(["random", method("random_subtask_equal", "random")])
    with pytest.raises(GridError, match="Two have the same benchmark name"):
        plan(benchmarks=[BENCHMARK, leaderboard(seed=1)])


def test_shards_hold_every_cell_once():
    grid = replace(GRID, n_source=(3, 6), runs=23)
    some = plan(["random", "random_subtask_equal", "stratified_confidence"], grid, benchmarks=[BENCHMARK, leaderboard("c")])
    cells = [
        (shard.label, each.label, size, shard.n_source, run)
        for shard in some.shards
        for each in shard.methods
        for size, _ in shard.sizes
        for run in shard.runs
    ]
    assert len(cells) == len(set(cells)) == some.n_cells == 2 * 3 * 2 * 2 * 23
    # Light fits: blocks of ten runs, the last one shorter.
    assert {shard.runs for shard in some.shards} == {tuple(range(10)), tuple(range(10, 20)), tuple(range(20, 23))}
    assert some.seconds > 0
    assert some.input_bytes == 2 * BENCHMARK.nbytes
    # Source responses of the stratified one in float32, and what it makes of them.
    assert some.worker_bytes == 12 * 6 * 15
    assert plan(["random"]).worker_bytes == 0


def test_methods_that_share_a_fit_share_a_shard():
    random, equal = method("random"), method("random_subtask_equal")
    five, six = (method("stratified_confidence", f"s{strata}", strata=strata) for strata in (5, 6))
    plain = method("stratified_confidence", "mean5", strata=5)
    other = method("stratified_confidence", "correct5", strata=5, signal="correctness")
    assert by_fit([five, random, six, plain, equal], SURE) == [(five, plain), (random, equal), (six,)]
    assert by_fit([five, other, six], SURE) == [(five,), (other,), (six,)]
    # Without confidences both read correctness.
    assert by_fit([five, random, other], BENCHMARK) == [(five, other), (random,)]
    assert by_fit([], BENCHMARK) == []


def test_methods_that_share_a_fit_through_another_share_a_shard():
    anchors = {"name": "anchor_points"}
    points = build_method("points", anchors, {"name": "weighted_mean"})
    predictor = build_method("predictor", anchors, {"name": "anchor_predictor"})
    lines = build_method("lines", {"name": "random"}, {"name": "anchor_predictor"})
    random = method("random")
    assert by_fit([points, random, lines], SURE) == [(points,), (random,), (lines,)]
    assert by_fit([points, random, lines, predictor], SURE) == [(points, lines, predictor), (random,)]
    assert [type(part).__name__ for part in fits_of([points, lines, predictor], SURE)] == ["AnchorPoints", "AnchorPredictor"]


def test_subtasks_apart_are_benchmarks_of_their_own():
    grid = replace(GRID, sizes=(2,), fractions=(0.5,), subtasks="apart")
    shards = plan(grid=grid).shards
    assert [shard.label for shard in shards] == ["b/s0", "b/s1", "b/s2"]
    assert [shard.subtask for shard in shards] == ["s0", "s1", "s2"]
    # Half of 10 items.
    assert {shard.sizes for shard in shards} == {((2, None), (5, 0.5))}
    with pytest.raises(GridError, match="size 6 > 5 seen items of 'b/s0'"):
        plan(grid=replace(grid, sizes=(6,)))


def test_a_plan_refuses_before_it_divides():
    with pytest.raises(GridError, match="size 99 > 15 seen items of 'c'"):
        plan(benchmarks=[leaderboard("big", n_items=400), leaderboard("c")], grid=replace(GRID, sizes=(99,)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"names": ("m05", "m02")}, (2, 5)),
        ({"regex": "m0[1-3]"}, (1, 2, 3)),
        ({"where": "3e9 <= params < 6e9"}, (3, 4, 5)),
    ],
)
def test_a_fixed_group_of_targets_takes_the_place_of_drawn_ones(given, expected):
    targets = Targets("group", **given)
    assert targets.positions(BENCHMARK) == expected
    shard = plan(targets=targets).shards[0]
    assert (shard.targets, shard.n_target, shard.group) == ("group", len(expected), expected)
    assert Targets().positions(BENCHMARK) is None
    drawn = plan().shards[0]
    assert (drawn.targets, drawn.n_target, drawn.group) == ("random", 4, None)


def test_an_unknown_target_is_refused():
    with pytest.raises(DataError, match="1 of the 2 target models are not among the models of 'b'"):
        plan(targets=Targets("group", names=("m01", "m99")))


def test_a_fixed_list_is_audited_on_all_models_at_once():
    tiny = method("fixed", "tiny", "weighted_mean", items=["q3", "q7"], built_from=["m00", "m05"])
    drawn, audit = sorted(plan([tiny, "random"]).shards, key=lambda shard: shard.unseen)
    assert drawn.methods[0].label == "random"
    assert (audit.targets, audit.n_target, audit.unseen, audit.n_source) == ("all", 10, "none", 0)
    assert (audit.runs, audit.sizes, audit.model_resamples) == ((0,), ((2, None),), 1000)
    assert audit.group == (1, 2, 3, 4, 6, 7, 8, 9, 10, 11)
    # A grid that could not carry drawn methods does not matter to a list.
    alone = plan([tiny], Grid(sizes=(5000,), n_source=(5000,)), Targets("some", regex="m0[0-4]"), model_resamples=7).shards[0]
    assert (alone.targets, alone.group, alone.model_resamples) == ("some", (1, 2, 3, 4), 7)


def test_a_fixed_list_needs_items_and_models():
    with pytest.raises(DataError, match="1 of 2 listed items are not in the benchmark"):
        plan([method("fixed", items=["q3", "nope"])])
    with pytest.raises(DataError, match="not among the models"):
        plan([method("fixed", items=["q3"], built_from=["nobody"])])
    with pytest.raises(GridError, match="1 target models are left to audit 'fixed' on"):
        plan([method("fixed", items=["q3"], built_from=["m01"])], targets=Targets("two", names=("m01", "m02")))


def one_shard(**options) -> Shard:
    return plan(**options).shards[0]


CHANGES = {
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
}


def test_a_shards_id_changes_with_all_that_its_numbers_depend_on():
    shard = one_shard()
    fields = set(Shard.__dataclass_fields__)
    assert fields - {"seconds"} == {*CHANGES, "runs"}, "a new field: does the id depend on it?"
    ids = [shard.id, *(replace(shard, **{name: value}).id for name, value in CHANGES.items()), replace(shard, runs=(0, 1)).id]
    assert len(set(ids)) == len(ids)
    assert replace(shard, seconds=99.0).id == shard.id
    # A partition and a base are of the cells: whether estimates are kept beside them does not matter.
    partitions = {replace(shard, **{name: value}).partition for name, value in CHANGES.items() if name != "keep_estimates"}
    assert len(partitions | {shard.partition}) == len(CHANGES)
    divided = ("sizes", "methods", "keep_estimates")
    assert {replace(shard, **{name: CHANGES[name]}).base for name in divided} == {shard.base}
    bases = {replace(shard, **{name: value}).base for name, value in CHANGES.items() if name not in divided}
    assert len(bases | {shard.base}) == len(CHANGES) - len(divided) + 1


def test_a_shards_id_changes_with_the_data_and_with_a_methods_parameters():
    assert one_shard().id == one_shard(benchmarks=[leaderboard()]).id
    assert one_shard().id != one_shard(benchmarks=[leaderboard(seed=1)]).id
    strata = [one_shard(methods=[method("stratified_confidence", strata=strata)]).id for strata in (4, 5, 4)]
    assert strata[0] == strata[2] != strata[1]
    weights = [one_shard(methods=[method("fixed", items=["q1", "q2"], weights=w)]).id for w in (None, [1, 2], [2, 1])]
    assert len(set(weights)) == 3


def test_a_shards_id_does_not_depend_on_its_neighbours_or_on_what_was_asked_before(tmp_path):
    alone = {shard.id for shard in plan(["random"], replace(GRID, runs=10)).shards}
    more = plan(
        ["stratified_confidence", "random"],
        replace(GRID, runs=20, n_source=(3, 6)),
        benchmarks=[leaderboard("c"), BENCHMARK],
    )
    assert alone <= {shard.id for shard in more.shards}
    shard = one_shard()
    before = shard.id, shard.partition
    assert (shard.id, shard.partition) == before == (replace(shard).id, replace(shard).partition)
    (tmp_path / "tiny.txt").write_text("q3\nq7\n")
    from_file = method("fixed", path=str(tmp_path / "tiny.txt"))
    assert one_shard(methods=[from_file]).id == one_shard(methods=[method("fixed", items=["q3", "q7"])]).id


def test_partitions_hold_whole_groups_of_cells():
    tiny = method("fixed", "tiny", "weighted_mean", items=["q3", "q7"])
    grid = replace(GRID, n_source=(3, 6), runs=23, subtasks="apart", sizes=(2, 4))
    for sizes_apart in (False, True):
        shards = plan(["random", "stratified_confidence", tiny], grid, sizes_apart=sizes_apart).shards
        where: dict[tuple, set[str]] = {}
        runs: dict[tuple, list[int]] = {}
        for shard in shards:
            for each in shard.methods:
                for size, _ in shard.sizes:
                    group = (shard.label, each.label, size, shard.n_source, shard.unseen)
                    where.setdefault(group, set()).add(shard.partition)
                    runs.setdefault(group, []).extend(shard.runs)
        assert len(where) == 3 * 2 * 2 * 2 + 1
        assert all(len(partitions) == 1 for partitions in where.values())
        assert all(sorted(found) == list(range(23 if group[3] else 1)) for group, found in runs.items())
        assert len({shard.id for shard in shards}) == len(shards)


def test_one_size_per_shard_is_another_division_of_the_same_cells():
    together, apart = plan(), plan(sizes_apart=True)
    assert [shard.sizes for shard in apart.shards] == [((5, None),), ((10, None),)]
    assert together.n_cells == apart.n_cells == 6


def test_a_fit_that_does_not_fit_is_refused_with_the_bytes_and_the_option_that_bounds_them():
    anchors = build_method("anchors", {"name": "anchor_points"}, {"name": "weighted_mean"})
    whole = plan([anchors, "random"])
    # 15 seen items: their distances in float32, and the responses of 6 sources to them.
    assert whole.worker_bytes == 4 * 15 * 15 + 18 * 6 * 15
    check_memory(whole, [Host("here", 2, whole.input_bytes + 2 * whole.worker_bytes)])
    with pytest.raises(GridError, match="The fit of anchors does not fit into memory") as caught:
        check_memory(whole, [Host("here", 2, whole.input_bytes + 2 * whole.worker_bytes - 1)])
    assert f"{whole.worker_bytes:,} bytes needed in each" in caught.value.got
    assert "max_items: 12" in caught.value.hint
    bounded = plan([build_method("few", {"name": "anchor_points", "max_items": 5}, {"name": "weighted_mean"})])
    check_memory(bounded, [Host("here", 2, whole.input_bytes + 2 * whole.worker_bytes - 1)])
    with pytest.raises(GridError, match="stratified_confidence") as caught:
        check_memory(plan(["stratified_confidence"]), [Host("here", 1, 0)])
    assert "max_items" not in caught.value.hint


def test_another_group_of_targets_adds_shards_and_changes_none():
    alone, best = plan(targets=Targets()), Targets("best", best=0.3)
    both = plan(targets=Targets(), also_targets=[best])
    assert [shard.id for shard in both.shards if shard.targets == "random"] == [shard.id for shard in alone.shards]
    assert [shard.id for shard in both.shards if shard.targets == "best"] == [shard.id for shard in plan(targets=best).shards]
    assert len(both.shards) == 2 * len(alone.shards)
    assert {shard.group for shard in both.shards} == {None, best.positions(BENCHMARK)}


def test_groups_of_targets_have_labels_of_their_own():
    some = Targets("some", names=("m01", "m02"))
    with pytest.raises(GridError, match="Two have the same label of targets"):
        plan(targets=some, also_targets=[some])
    listed = method("fixed", items=["q3"])
    # The fixed list's drawn targets are called all.
    with pytest.raises(GridError, match="Two have the same label of targets"):
        plan([listed], also_targets=[Targets("all", names=("m01", "m02"))])
    assert {shard.targets for shard in plan([listed], also_targets=[some]).shards} == {"all", "some"}
