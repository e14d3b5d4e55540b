"""Reducing cells to tables: values by hand, rules, and tables that do not depend on how cells are divided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from microbench_ray.core.errors import ConfigError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import synthetic
from microbench_ray.methods import build_method
from microbench_ray.metrics import PairCounts
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules, groups, reduce_partitions
from microbench_ray.sweeps.shards import plan_sweep
from microbench_ray.sweeps.tables import rows_table
from tests.helpers.errors import refuses

NONE = SCHEMAS["resamples"].empty_table()
CELL: dict[str, Any] = {
    "benchmark": "b",
    "method": "random",
    "n_source": 3,
    "size": 10,
    "fraction": None,
    "targets": "random",
    "n_target": 4,
    "unseen": "half",
    "run": 0,
    "split": "seen",
    "mean_abs_error": 0.1,
    "kendall_tau": 0.5,
    "signal": "-/correctness",
}


def counts(pairs: dict[int, tuple[int, ...]], true_tied: int = 0, true_tied_up: int = 0) -> PairCounts:
    """Counts from a mapping of bins to (pairs, agreeing, tied, tied but in order)."""
    result = PairCounts.zeros()
    for bin_, numbers in pairs.items():
        for name, number in zip(("n_pairs", "n_agree", "n_tied", "n_tied_agree"), numbers, strict=False):
            getattr(result, name)[bin_] = number
    result.n_true_tied[...], result.n_true_tied_up[...] = true_tied, true_tied_up
    return result


def cells(*rows: tuple[dict[str, Any], PairCounts]) -> pa.Table:
    return rows_table("cells", [CELL | change for change, _ in rows], [each for _, each in rows])


# Two runs, pooled: bin 0: 6 of 10 agree (2 tied), bin 1: none, bin 2: 9 of 10, bin 4: 4 of 4. 5 true ties, 3 of them up.
TWO_RUNS = cells(
    ({}, counts({0: (6, 4, 1, 1), 2: (3, 3), 4: (4, 4)}, 2, 1)),
    ({"run": 1, "mean_abs_error": 0.3, "kendall_tau": None}, counts({0: (4, 2, 1), 2: (7, 6)}, 3, 2)),
)


def reduce(table: pa.Table, resamples: pa.Table = NONE, seed: int = 0, **rules: Any) -> dict[str, pa.Table]:
    return reduce_partitions([(table, resamples)], Rules(**rules), seed)


def one(table: pa.Table) -> dict[str, Any]:
    (row,) = table.to_pylist()
    return row


def test_agreement_by_hand() -> None:
    rows = reduce(TWO_RUNS)["agreement"].to_pylist()
    # Up to the last bin that holds a pair; the empty one has no agreement and no interval.
    assert [row["diff_lo"] for row in rows] == [0, 0.005, 0.01, 0.015, 0.02]
    assert [row["diff_hi"] for row in rows] == [0.005, 0.01, 0.015, 0.02, 0.025]
    assert [row["n_pairs"] for row in rows] == [10, 0, 10, 0, 4]
    assert [row["n_agree"] for row in rows] == [6, 0, 9, 0, 4]
    assert [row["n_tied"] for row in rows] == [2, 0, 0, 0, 0]
    assert [row["agreement"] for row in rows] == [0.6, None, 0.9, None, 1]
    for row in rows:
        assert (row["ci_lo"] is None) == (row["ci_hi"] is None) == (row["agreement"] is None)
        if row["agreement"] is not None:
            assert 0 <= row["ci_lo"] <= row["agreement"] <= row["ci_hi"] <= 1
            assert row["ci_lo"] < row["ci_hi"]
        assert (row["tie_policy"], row["ci"], row["fraction"]) == ("wrong", "runs", None)


@pytest.mark.parametrize(
    ("tie_policy", "first", "mean"),
    [
        ("wrong", 6 / 10, 19 / 24),
        ("half", 7 / 10, 20 / 24),
        ("drop", 6 / 8, 19 / 22),
        # One tied pair is in the true order, and 3 of 5 pairs tied on the full benchmark are up: bin 0 has 10 of 15.
        ("paper", 10 / 15, 23 / 29),
    ],
)
def test_ties_count_as_the_policy_defines(tie_policy: str, first: Any, mean: Any) -> None:
    tables = reduce(TWO_RUNS, tie_policy=tie_policy)
    assert tables["agreement"]["agreement"][0].as_py() == pytest.approx(first, abs=1e-15)
    assert one(tables["summary"])["mean_agreement"] == pytest.approx(mean, abs=1e-15)
    assert {table["tie_policy"][0].as_py() for table in tables.values()} == {tie_policy}


def test_mdad_by_hand() -> None:
    row = one(reduce(TWO_RUNS)["mdad"])
    # Bin 2 is the first with agreement of at least .8; the increasing fit is .6, .9, 1 there too.
    assert (row["threshold"], row["mdad"], row["mdad_monotone"], row["n_runs"]) == (0.8, 0.01, 0.01, 2)
    assert row["ci_lo"] <= 0.01 <= row["ci_hi"]
    rows = reduce(TWO_RUNS, thresholds=(0.95, 0.6))["mdad"].to_pylist()
    assert [(row["threshold"], row["mdad"], row["mdad_monotone"]) for row in rows] == [(0.6, 0.0, 0.0), (0.95, 0.02, 0.02)]


def test_one_lucky_bin_fools_the_first_crossing_and_not_the_monotone_one() -> None:
    # Bin 1 has 1 of 1, bin 2 has 10 of 20, bin 3 19 of 20: the fit pools bins 1 and 2 at 11/21.
    row = one(reduce(cells(({}, counts({0: (20, 10), 1: (1, 1), 2: (20, 10), 3: (20, 19)}))))["mdad"])
    assert (row["mdad"], row["mdad_monotone"]) == (0.005, 0.015)


def test_a_threshold_that_is_never_reached_is_null() -> None:
    tables = reduce(cells(*(({"run": run}, counts({0: (10, 5), 7: (10, 7)})) for run in range(5))))
    row = one(tables["mdad"])
    names = ("mdad", "ci_lo", "ci_hi", "mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi")
    assert [row[name] for name in names] == [None] * 6
    assert row["reached_share"] == 0
    assert one(tables["summary"])["share_reliable"] == 0


def test_summary_by_hand() -> None:
    row = one(reduce(TWO_RUNS, thresholds=(0.8, 0.95))["summary"])
    assert row["mean_agreement"] == pytest.approx(19 / 24)
    assert row["mean_abs_error"] == pytest.approx(0.2)
    # Standard deviation of .1 and .3, n − 1: sqrt(2 · .01).
    assert row["mean_abs_error_sd"] == pytest.approx(np.sqrt(0.02))
    # Tau is defined in one run only.
    assert (row["kendall_tau"], row["kendall_tau_sd"]) == (0.5, None)
    # Bins from 2 on hold 14 of 24 pairs.
    assert (row["threshold"], row["share_reliable"], row["n_runs"], row["signal"]) == (
        0.8,
        pytest.approx(14 / 24),
        2,
        "-/correctness",
    )


def test_no_pairs_at_all() -> None:
    tables = reduce(cells(({"kendall_tau": None}, counts({}, 6, 0))))
    row = one(tables["summary"])
    assert [row[name] for name in ("mean_agreement", "kendall_tau", "kendall_tau_sd", "share_reliable")] == [None] * 4
    assert one(tables["mdad"])["mdad"] is None
    assert [(r["diff_lo"], r["n_pairs"], r["agreement"], r["ci_lo"]) for r in tables["agreement"].to_pylist()] == [
        (0, 0, None, None)
    ]


def test_no_cells_at_all() -> None:
    for some in ([], [(SCHEMAS["cells"].empty_table(), NONE)]):
        for name, table in reduce_partitions(some, Rules(), 0).items():
            assert table.equals(SCHEMAS[name].empty_table())


def resampled(numbers: dict[str, Any], n: int = 200) -> pa.Table:
    """Resamples of the models, with random numbers of agreeing pairs."""
    rng = np.random.default_rng(0)
    counts_of_resamples = [counts({0: (10, int(rng.binomial(10, 0.6))), 2: (10, int(rng.binomial(10, 0.9)))}) for _ in range(n)]
    rows = [CELL | numbers | {"resample": resample} for resample in range(n)]
    return rows_table("resamples", rows, counts_of_resamples)


def test_a_fixed_list_resamples_models() -> None:
    audit = {"method": "tiny", "n_source": 0, "targets": "all", "unseen": "none"}
    table = pa.concat_tables([cells((audit, counts({0: (10, 6), 2: (10, 9)}))), TWO_RUNS])
    draws = resampled(audit)
    tables = reduce(table, draws)
    for name in ("agreement", "mdad", "summary"):
        kinds = {(row["method"], row["ci"]) for row in tables[name].to_pylist()}
        assert kinds == {("tiny", "models"), ("random", "runs")}
    first = next(row for row in tables["agreement"].to_pylist() if row["method"] == "tiny")
    low, high = first["ci_lo"], first["ci_hi"]
    # 2.5 and 97.5 % of 200 draws of Binomial(10, .6) / 10, from the 5th and the 195th.
    shares = sorted(row["n_agree"][0] / 10 for row in draws.to_pylist())
    assert (low, high) == (shares[4], shares[194])
    # The other methods are reduced from their cells alone.
    assert reduce(TWO_RUNS)["agreement"].equals(tables["agreement"].filter(pc.equal(tables["agreement"]["method"], "random")))
    # By pairs as the paper does, if ci=pairs.
    by_pairs = reduce(table, draws, ci="pairs")
    assert {row["ci"] for row in by_pairs["mdad"].to_pylist()} == {"pairs"}


def test_the_order_of_cells_and_their_division_do_not_matter() -> None:
    world = synthetic("w", 60, 300, 5)
    methods = [
        build_method(name, {"name": name}, {"name": "mean"}) for name in ("random", "random_subtask_equal", "stratified_confidence")
    ]
    listed = build_method("tiny", {"name": "fixed", "items": list(world.item_ids[:20])}, {"name": "mean"})
    grid = Grid(sizes=(10, 40), fractions=(0.2,), n_source=(20, 30), n_target=12, runs=12)
    plan = plan_sweep([world], [*methods, listed], grid, Targets(), model_resamples=100)
    by_partition: dict[str, list[dict[str, pa.Table]]] = {}
    for shard in plan.shards:
        by_partition.setdefault(shard.partition, []).append(evaluate_shard(shard, world))
    parts = [
        (
            pa.concat_tables([t["cells"] for t in some]),
            pa.concat_tables([NONE, *(t["resamples"] for t in some if "resamples" in t)]),
        )
        for some in by_partition.values()
    ]
    assert len(parts) == 5
    rules = Rules(thresholds=(0.7, 0.8), n_resamples=200, baseline="random")
    tables = reduce_partitions(parts, rules, 0)
    # The fixed list has no runs and is not compared.
    assert [len(tables[name]) for name in ("mdad", "summary", "paired")] == [
        2 * (3 * 2 * 3 * 2 + 1),
        3 * 2 * 3 * 2 + 1,
        2 * (2 * 2 * 3 * 2),
    ]
    rng = np.random.default_rng(0)
    whole = tuple(pa.concat_tables(each) for each in zip(*parts, strict=True))
    shuffled = tuple(table.take(rng.permutation(len(table))) for table in whole)
    in_pieces = [tuple(table.take(rng.permutation(len(table))) for table in part) for part in parts[::-1]]
    for name, table in tables.items():
        assert table.schema.equals(SCHEMAS[name], check_metadata=True)
        for again in (
            reduce_partitions([whole], rules, 0),
            reduce_partitions([shuffled], rules, 0),
            reduce_partitions(in_pieces, rules, 0),
        ):
            assert again[name].equals(table)


def test_rows_are_sorted_by_their_key() -> None:
    table = cells(
        *(
            (
                {"benchmark": benchmark, "method": method, "size": size, "split": split, "n_source": n_source},
                counts({0: (5, 3), 3: (5, 5)}),
            )
            for split in ("unseen", "seen")
            for size in (100, 25)
            for n_source in (30, 4)
            for method in ("random", "anchor")
            for benchmark in ("mmlu", "bbh")
        )
    )
    tables = reduce(table, thresholds=(0.9, 0.7))
    for name, more in (("agreement", ["diff_lo"]), ("mdad", ["threshold"]), ("summary", [])):
        key = ["benchmark", "method", "n_source", "size", "fraction", "targets", "n_target", "unseen", "split", *more]
        keys = [tuple(row[field] for field in key if field != "fraction") for row in tables[name].to_pylist()]
        assert keys == sorted(keys)
        assert len(set(keys)) == len(keys) == 32 * {"agreement": 4, "mdad": 2, "summary": 1}[name]


def test_a_count_and_a_fraction_of_the_same_size_are_separate_groups() -> None:
    table = cells(({}, counts({0: (5, 3)})), ({"fraction": 0.5}, counts({0: (5, 4)})))
    assert sorted(row["agreement"] for row in reduce(table)["agreement"].to_pylist()) == [0.6, 0.8]


def test_groups_hold_their_runs_in_order() -> None:
    rows = [({"run": run, "size": size}, counts({run: (1, 1)})) for run, size in [(2, 10), (0, 20), (0, 10), (1, 10), (1, 20)]]
    by_group = [
        (group.cells["size"][0].as_py(), group.cells["run"].to_pylist(), group.counts.n_pairs)
        for group in groups(cells(*rows), NONE)
    ]
    assert [(size, runs) for size, runs, _ in by_group] == [(10, [0, 1, 2]), (20, [0, 1])]
    for _, runs, pairs in by_group:
        assert [int(np.argmax(row)) for row in pairs] == runs


def test_the_seed_changes_intervals_and_no_estimate() -> None:
    rng = np.random.default_rng(1)
    table = cells(
        *(({"run": run}, counts({bin_: (20, int(rng.binomial(20, 0.6 + 0.01 * bin_))) for bin_ in range(40)})) for run in range(10))
    )
    first, second, third = (reduce(table, seed=seed, n_resamples=100) for seed in (0, 0, 1))
    assert all(first[name].equals(second[name]) for name in first)
    assert not first["mdad"].equals(third["mdad"])
    assert first["mdad"]["mdad"].equals(third["mdad"]["mdad"])
    assert first["summary"].equals(third["summary"])


@pytest.mark.parametrize(
    ("rules", "key", "got"),
    [
        ({"thresholds": ()}, "thresholds", "[]"),
        ({"thresholds": (0.0,)}, "thresholds", "[0.0]"),
        ({"thresholds": (0.8, 1.1)}, "thresholds", "[0.8, 1.1]"),
        ({"thresholds": (float("nan"),)}, "thresholds", "[nan]"),
        ({"thresholds": (0.8, 0.8)}, "twice", "[0.8, 0.8]"),
        ({"tie_policy": "right"}, "tie_policy", "right"),
        ({"ci": "models"}, "ci", "models"),
        ({"confidence_level": 1.0}, "confidence_level", "1.0"),
        ({"confidence_level": 95}, "confidence_level", "95"),
        ({"n_resamples": 10}, "n_resamples", "10"),
    ],
)
def test_invalid_rules_are_refused(rules: dict[str, Any], key: str, got: str) -> None:
    with refuses(ConfigError, key, got=got):
        Rules(**rules)


def paired_rows(table: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {(row["method"], row["size"], row["split"]): row for row in table.to_pylist()}


# In bin 2, .8 of the pairs agree for `a`; `b` reaches .8 in bin 4, and `c` never does.
THREE_METHODS = cells(
    *(
        ({"method": method, "run": run}, counts({2: (10, in_two), 4: (10, in_four)}))
        for method, in_two, in_four in (("a", 8, 9), ("b", 7, 9), ("c", 5, 6))
        for run in range(10)
    )
)


def test_paired_differences_by_hand() -> None:
    table = reduce(THREE_METHODS, baseline="b")["paired"]
    assert table.schema.equals(SCHEMAS["paired"], check_metadata=True)
    rows = paired_rows(table)
    assert sorted(key[0] for key in rows) == ["a", "c"]
    a, c = rows["a", 10, "seen"], rows["c", 10, "seen"]
    for prefix in ("mdad", "mdad_monotone"):
        # All runs are alike, and so are all resamples.
        assert [a[f"{prefix}_{end}"] for end in ("difference", "ci_lo", "ci_hi")] == pytest.approx([-0.01] * 3)
        assert [c[f"{prefix}_{end}"] for end in ("difference", "ci_lo", "ci_hi")] == [float("inf")] * 3
    assert a["mean_agreement_difference"] == pytest.approx((17 - 16) / 20)
    assert c["mean_agreement_difference"] == pytest.approx((11 - 16) / 20)
    assert {(row["baseline"], row["n_runs"], row["ci"], row["threshold"]) for row in rows.values()} == {("b", 10, "runs", 0.8)}


def test_the_best_is_the_baseline_of_its_size_and_threshold() -> None:
    table = reduce(THREE_METHODS, baseline="best", thresholds=(0.8, 0.95))["paired"]
    # No method reaches .95: mean agreement decides, and differences of MDADs are undefined.
    assert [(row["method"], row["baseline"], row["threshold"]) for row in table.to_pylist()] == [
        ("b", "a", 0.8),
        ("b", "a", 0.95),
        ("c", "a", 0.8),
        ("c", "a", 0.95),
    ]
    never = table.to_pylist()[1]
    assert never["mdad_difference"] is None
    assert (never["mdad_ci_lo"], never["mdad_ci_hi"]) == (float("-inf"), float("inf"))


def test_methods_are_compared_over_the_same_runs_alone() -> None:
    without_a_run = THREE_METHODS.filter(pc.or_(pc.not_equal(THREE_METHODS["method"], "a"), pc.less(THREE_METHODS["run"], 2)))
    assert [row["method"] for row in reduce(without_a_run, baseline="b")["paired"].to_pylist()] == ["c"]
    one_run = THREE_METHODS.filter(pc.equal(THREE_METHODS["run"], 0))
    row = reduce(one_run, baseline="b")["paired"].to_pylist()[0]
    assert (row["mdad_difference"], row["mdad_ci_lo"], row["mdad_ci_hi"], row["n_runs"]) == (-0.01, None, None, 1)


@pytest.mark.parametrize(("n_runs", "null"), [(9, True), (10, False)])
def test_differences_of_mdads_need_ten_runs_for_an_interval(n_runs: int, null: bool) -> None:
    few = THREE_METHODS.filter(pc.less(THREE_METHODS["run"], n_runs))
    for row in reduce(few, baseline="b")["paired"].to_pylist():
        for name in ("mdad", "mdad_monotone"):
            assert row[f"{name}_difference"] is not None
            assert [row[f"{name}_{end}"] is None for end in ("ci_lo", "ci_hi")] == [null, null]
        assert row["mean_agreement_ci_lo"] is not None


@pytest.mark.parametrize(("n_runs", "ci"), [(1, "pairs"), (2, "runs")])
def test_the_tables_name_the_interval_that_was_computed(n_runs: int, ci: str) -> None:
    """A single run cannot be resampled: its intervals are those by pairs."""
    few = THREE_METHODS.filter(pc.less(THREE_METHODS["run"], n_runs))
    by_runs, by_pairs = reduce(few), reduce(few, ci="pairs")
    for name in ("agreement", "mdad", "summary"):
        assert set(by_runs[name]["ci"].to_pylist()) == {ci}
        assert by_runs[name].equals(by_pairs[name]) == (ci == "pairs")


def test_without_a_baseline_there_is_no_paired_table() -> None:
    assert set(reduce(THREE_METHODS)) == {"agreement", "mdad", "summary", "standings"}
    assert len(reduce(THREE_METHODS, baseline="of another name")["paired"]) == 0
    assert reduce_partitions([], Rules(baseline="best"), 0)["paired"].equals(SCHEMAS["paired"].empty_table())
