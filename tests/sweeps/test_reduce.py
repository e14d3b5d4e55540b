"""From cells to tables: values by hand, rules, and tables that do not depend on how cells are divided."""

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
    """From bin to (pairs, agreeing, tied, tied but in order)."""
    made = PairCounts.zeros()
    for bin_, numbers in pairs.items():
        for name, number in zip(("n_pairs", "n_agree", "n_tied", "n_tied_agree"), numbers, strict=False):
            getattr(made, name)[bin_] = number
    made.n_true_tied[...], made.n_true_tied_up[...] = true_tied, true_tied_up
    return made


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


def test_agreement_by_hand():
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
        # One tied pair lies in the true order, and 3 of 5 pairs that are tied in truth are up: bin 0 has 10 of 15.
        ("paper", 10 / 15, 23 / 29),
    ],
)
def test_ties_count_as_the_policy_says(tie_policy, first, mean):
    tables = reduce(TWO_RUNS, tie_policy=tie_policy)
    assert tables["agreement"]["agreement"][0].as_py() == pytest.approx(first, abs=1e-15)
    assert one(tables["summary"])["mean_agreement"] == pytest.approx(mean, abs=1e-15)
    assert {table["tie_policy"][0].as_py() for table in tables.values()} == {tie_policy}


def test_mdad_by_hand():
    row = one(reduce(TWO_RUNS)["mdad"])
    # Bin 2 is the first with agreement of at least .8; the increasing fit is .6, .9, 1 there too.
    assert (row["threshold"], row["mdad"], row["mdad_monotone"], row["n_runs"]) == (0.8, 0.01, 0.01, 2)
    assert row["ci_lo"] <= 0.01 <= row["ci_hi"]
    rows = reduce(TWO_RUNS, thresholds=(0.95, 0.6))["mdad"].to_pylist()
    assert [(row["threshold"], row["mdad"], row["mdad_monotone"]) for row in rows] == [(0.6, 0.0, 0.0), (0.95, 0.02, 0.02)]


def test_one_lucky_bin_fools_the_first_crossing_and_not_the_monotone_one():
    # Bin 1 has 1 of 1, bin 2 has 10 of 20, bin 3 19 of 20: the fit pools bins 1 and 2 at 11/21.
    row = one(reduce(cells(({}, counts({0: (20, 10), 1: (1, 1), 2: (20, 10), 3: (20, 19)}))))["mdad"])
    assert (row["mdad"], row["mdad_monotone"]) == (0.005, 0.015)


def test_a_threshold_that_is_never_reached_is_null():
    tables = reduce(cells(*(({"run": run}, counts({0: (10, 5), 7: (10, 7)})) for run in range(5))))
    row = one(tables["mdad"])
    names = ("mdad", "ci_lo", "ci_hi", "mdad_monotone", "mdad_monotone_ci_lo", "mdad_monotone_ci_hi")
    assert [row[name] for name in names] == [None] * 6
    assert row["reached_share"] == 0
    assert one(tables["summary"])["share_reliable"] == 0


def test_summary_by_hand():
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


def test_no_pairs_at_all():
    tables = reduce(cells(({"kendall_tau": None}, counts({}, 6, 0))))
    row = one(tables["summary"])
    assert [row[name] for name in ("mean_agreement", "kendall_tau", "kendall_tau_sd", "share_reliable")] == [None] * 4
    assert one(tables["mdad"])["mdad"] is None
    assert [(r["diff_lo"], r["n_pairs"], r["agreement"], r["ci_lo"]) for r in tables["agreement"].to_pylist()] == [
        (0, 0, None, None)
    ]


def test_no_cells_at_all():
    for some in ([], [(SCHEMAS["cells"].empty_table(), NONE)]):
        for name, table in reduce_partitions(some, Rules(), 0).items():
            assert table.equals(SCHEMAS[name].empty_table())


def resampled(numbers: dict[str, Any], n: int = 200) -> pa.Table:
    """Draws of the models that agree now and then."""
    rng = np.random.default_rng(0)
    drawn = [counts({0: (10, int(rng.binomial(10, 0.6))), 2: (10, int(rng.binomial(10, 0.9)))}) for _ in range(n)]
    rows = [CELL | numbers | {"resample": draw} for draw in range(n)]
    return rows_table("resamples", rows, drawn)


def test_a_fixed_list_resamples_models():
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
    # Of the cells alone, as far as the others are concerned.
    assert reduce(TWO_RUNS)["agreement"].equals(tables["agreement"].filter(pc.equal(tables["agreement"]["method"], "random")))
    # As the paper does, if asked for.
    by_pairs = reduce(table, draws, ci="pairs")
    assert {row["ci"] for row in by_pairs["mdad"].to_pylist()} == {"pairs"}


def test_the_order_of_cells_and_their_division_do_not_matter():
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
    # The fixed list has no runs, and is compared with nothing.
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


def test_rows_are_sorted_by_their_key():
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


def test_a_count_and_a_fraction_of_the_same_size_are_groups_apart():
    table = cells(({}, counts({0: (5, 3)})), ({"fraction": 0.5}, counts({0: (5, 4)})))
    assert sorted(row["agreement"] for row in reduce(table)["agreement"].to_pylist()) == [0.6, 0.8]


def test_groups_hold_their_runs_in_order():
    rows = [({"run": run, "size": size}, counts({run: (1, 1)})) for run, size in [(2, 10), (0, 20), (0, 10), (1, 10), (1, 20)]]
    found = [(group["size"][0].as_py(), group["run"].to_pylist(), each.n_pairs) for group, each, _ in groups(cells(*rows), NONE)]
    assert [(size, runs) for size, runs, _ in found] == [(10, [0, 1, 2]), (20, [0, 1])]
    for _, runs, pairs in found:
        assert [int(np.argmax(row)) for row in pairs] == runs


def test_the_seed_moves_intervals_and_no_estimate():
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
    ("rules", "message"),
    [
        ({"thresholds": ()}, r"thresholds must be in \(0, 1\]"),
        ({"thresholds": (0.0,)}, r"thresholds must be in \(0, 1\]"),
        ({"thresholds": (0.8, 1.1)}, r"thresholds must be in \(0, 1\]"),
        ({"thresholds": (float("nan"),)}, r"thresholds must be in \(0, 1\]"),
        ({"thresholds": (0.8, 0.8)}, "A value stands twice in thresholds"),
        ({"tie_policy": "right"}, "Unknown tie_policy"),
        ({"ci": "models"}, "Unknown ci"),
        ({"confidence_level": 1.0}, "confidence_level must be between 0 and 1"),
        ({"confidence_level": 95}, "confidence_level must be between 0 and 1"),
        ({"n_resamples": 10}, "n_resamples must be at least 100"),
    ],
)
def test_rules_that_cannot_be_are_refused(rules, message):
    with pytest.raises(ConfigError, match=message):
        Rules(**rules)


def paired_rows(table: pa.Table) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {(row["method"], row["size"], row["split"]): row for row in table.to_pylist()}


# Bin 2 has .8 of its pairs right in `a`, `b` needs bin 4, `c` never gets there.
THREE_METHODS = cells(
    *(
        ({"method": method, "run": run}, counts({2: (10, in_two), 4: (10, in_four)}))
        for method, in_two, in_four in (("a", 8, 9), ("b", 7, 9), ("c", 5, 6))
        for run in range(3)
    )
)


def test_paired_differences_by_hand():
    table = reduce(THREE_METHODS, baseline="b")["paired"]
    assert table.schema.equals(SCHEMAS["paired"], check_metadata=True)
    rows = paired_rows(table)
    assert sorted(key[0] for key in rows) == ["a", "c"]
    a, c = rows["a", 10, "seen"], rows["c", 10, "seen"]
    for prefix in ("mdad", "mdad_monotone"):
        # Runs are alike: no resample differs.
        assert [a[f"{prefix}_{end}"] for end in ("difference", "ci_lo", "ci_hi")] == pytest.approx([-0.01] * 3)
        assert [c[f"{prefix}_{end}"] for end in ("difference", "ci_lo", "ci_hi")] == [float("inf")] * 3
    assert a["mean_agreement_difference"] == pytest.approx((17 - 16) / 20)
    assert c["mean_agreement_difference"] == pytest.approx((11 - 16) / 20)
    assert {(row["baseline"], row["n_runs"], row["ci"], row["threshold"]) for row in rows.values()} == {("b", 3, "runs", 0.8)}


def test_the_best_is_the_baseline_of_its_size_and_threshold():
    table = reduce(THREE_METHODS, baseline="best", thresholds=(0.8, 0.95))["paired"]
    # At .95 no method is there: mean agreement decides, and differences of MDADs are undefined.
    assert [(row["method"], row["baseline"], row["threshold"]) for row in table.to_pylist()] == [
        ("b", "a", 0.8),
        ("b", "a", 0.95),
        ("c", "a", 0.8),
        ("c", "a", 0.95),
    ]
    never = table.to_pylist()[1]
    assert never["mdad_difference"] is None
    assert (never["mdad_ci_lo"], never["mdad_ci_hi"]) == (float("-inf"), float("inf"))


def test_methods_are_compared_over_the_same_runs_alone():
    lacking = THREE_METHODS.filter(pc.or_(pc.not_equal(THREE_METHODS["method"], "a"), pc.less(THREE_METHODS["run"], 2)))
    assert [row["method"] for row in reduce(lacking, baseline="b")["paired"].to_pylist()] == ["c"]
    one_run = THREE_METHODS.filter(pc.equal(THREE_METHODS["run"], 0))
    row = reduce(one_run, baseline="b")["paired"].to_pylist()[0]
    assert (row["mdad_difference"], row["mdad_ci_lo"], row["mdad_ci_hi"], row["n_runs"]) == (-0.01, None, None, 1)


def test_no_baseline_no_table():
    assert set(reduce(THREE_METHODS)) == {"agreement", "mdad", "summary"}
    assert len(reduce(THREE_METHODS, baseline="of another name")["paired"]) == 0
    assert reduce_partitions([], Rules(baseline="best"), 0)["paired"].equals(SCHEMAS["paired"].empty_table())
