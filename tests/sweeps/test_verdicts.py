"""Verdicts and costs of a sweep: sums by hand, and the tables of small sweeps."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError
from microbench_ray.core.schemas import SCHEMAS, conform
from microbench_ray.data import Benchmark
from microbench_ray.metrics import PairCounts, mdads, true_pairs
from microbench_ray.report.page.stopping import stopping_section
from microbench_ray.report.spending_figure import spending_figures
from microbench_ray.sweeps.stop_tables import mean_costs, stopping_rows, verdict_rows
from microbench_ray.sweeps.stops import SUMS, read_pairs, stop_row
from microbench_ray.sweeps.tables import rows_table
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import columns
from tests.sweeps.test_reduce import CELL

ROWS = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1.0]])
COSTS = np.array([1.0, 2, 4, 8])
KEY = {name: CELL[name] for name in CELL if name not in ("run", "mean_abs_error", "kendall_tau", "signal")}


def stops(read: Any, sums: list[int], run: int = 0) -> tuple[dict[str, Any], PairCounts]:
    row, counts = stop_row(read, true_pairs(sums, [4] * len(sums)))
    return KEY | {"run": run} | row, counts


def test_sums_by_hand() -> None:
    # Verdicts after 3, 3 and 4 items (see the tests of `stop_pairs`), all right where the truth is 4, 0 and 1 of 4 items.
    read = read_pairs(ROWS, np.array([1.0, 0.0, 0.25]), COSTS, 4)
    row, counts = stops(read, [4, 0, 1])
    by_bin = {name: {k - 1: value for k, value in enumerate(row[name]) if value} for name in SUMS[:3]}
    assert by_bin == {
        "items_read": {200: 3, 150: 3, 50: 4},
        "cost_read": {200: 7, 150: 7, 50: 15},
        "n_decided": {200: 1, 150: 1, 50: 1},
    }
    assert sum(row["n_false"]) == sum(row["n_fixed_false"]) == 0
    assert sum(row["n_fixed"]) == 3  # after all items of the list, means decide
    assert counts.n_agree.sum() == 3
    # Where the truth is 1, 1 and 0: the first verdict is about equal models, and false, the second one is right, the third false.
    row, counts = stops(read, [1, 1, 0])
    assert (row["items_read"][0], row["n_false"][0], row["cost_read"][0]) == (3, 1, 7)
    assert (row["n_false"][1 + 50], row["n_decided"][1 + 50], row["items_read"][1 + 50]) == (1, 2, 7)
    assert (int(counts.n_true_tied), int(counts.n_true_tied_up), counts.n_agree[50]) == (1, 1, 1)


def test_without_a_verdict_the_estimates_decide() -> None:
    read = read_pairs(ROWS[:, :2], np.array([0.2, 0.4, 0.4]), None, 4)
    assert not read.verdict.any()
    row, counts = stops(read, [4, 0, 1])
    assert row["cost_read"] is None
    assert sum(row["n_decided"]) == 0
    assert (counts.n_agree.sum(), counts.n_tied.sum()) == (0, 1)


def test_tables_by_hand() -> None:
    read = read_pairs(ROWS, np.array([1.0, 0.0, 0.25]), COSTS, 4)
    both = stops(read, [4, 0, 1]), stops(read, [1, 1, 0], 1)
    rows, counts = [row for row, _ in both], [each for _, each in both]
    table = rows_table("stops", rows, counts)
    assert conform(table, "stops").num_rows == 2
    pooled = PairCounts.stack(counts)
    found = {row["diff_hi"]: row for row in verdict_rows(KEY, table, pooled)}
    assert [row["n_pairs"] for row in found.values()] == [1, 3, 1, 1]
    assert found[0.0]["false"] == 1  # the tie
    at_quarter = found[0.255]  # one pair of 4 items, and two of 3 and 4, of which one is false
    assert (at_quarter["mean_items"], at_quarter["mean_cost"]) == pytest.approx((11 / 3, 37 / 3))
    assert (at_quarter["decided"], at_quarter["false"]) == pytest.approx((1, 1 / 3))
    measured = mdads(pooled, [0.8], n_resamples=100)
    (row,) = stopping_rows(KEY, table, pooled, "wrong", "runs", measured)
    assert (row["mean_items"], row["mean_cost"], row["false"]) == pytest.approx((20 / 6, 58 / 6, 2 / 6))
    assert row["mean_agreement"] == pytest.approx(4 / 5)
    assert row["mdad_monotone"] == measured[0].mdad_monotone


def test_mean_costs_are_over_runs() -> None:
    rows = [KEY | {"run": run, "size": size, "cost": cost} for run, size, cost in ((0, 10, 3.0), (1, 10, 6.0), (0, 20, 9.0))]
    found = mean_costs(rows_table("costs", rows))
    assert sorted(found.values()) == [4.5, 9]


@pytest.fixture(scope="module")
def board() -> Benchmark:
    table = columns(n_models=16, n_items=36)
    scores = np.array([table[name] for name in table if name.startswith("m")])
    return mb.benchmark(scores, cost=np.arange(36) % 5 + 1.0)


@pytest.fixture(scope="module")
def swept(board: Benchmark) -> mb.Result:
    return mb.sweep(
        board,
        ["random", "greedy", "anchor_points"],
        [9, 36],
        n_source=6,
        n_target=8,
        runs=3,
        unseen="none",
        verdicts=True,
        n_resamples=100,
        progress=False,
    )


def test_the_whole_list_decides(board: Benchmark, swept: mb.Result) -> None:
    verdicts, stopping = swept.frame("verdicts"), swept.frame("stopping")
    assert set(verdicts["method"]) == set(stopping["method"]) == {"random", "greedy"}
    whole = stopping[stopping["size"] == 36]
    assert (whole["mean_agreement"] == 1).all()
    assert (whole["mean_items"] < 36).all()
    assert (whole["mean_cost"] < required_costs(board).sum()).all()
    at_end = verdicts[(verdicts["size"] == 36) & (verdicts["diff_hi"] > 0)]
    assert (whole["mdad_monotone"] == at_end["diff_lo"].min()).all()
    assert (at_end["decided"] == 1).all()
    assert (at_end["fixed_decided"] == 1).all()
    small = stopping[stopping["size"] == 9]
    assert (small["mean_items"] <= 9).all()
    # The same pairs, in the same bins, as of the cells.
    pairs = swept.agreement[["method", "size", "diff_hi", "n_pairs"]]
    both = verdicts.merge(pairs, on=["method", "size", "diff_hi"])
    assert (both["n_pairs_x"] == both["n_pairs_y"]).all()
    assert len(both) == (verdicts["diff_hi"] > 0).sum()


def required_costs(board: Benchmark) -> np.ndarray:
    assert board.costs is not None
    return board.costs


def test_mdads_have_the_mean_cost_of_their_items(board: Benchmark, swept: mb.Result) -> None:
    costs = required_costs(board)
    mdad = swept.mdad.set_index(["method", "size"])["cost"]
    assert mdad["random", 36] == mdad["anchor_points", 36] == pytest.approx(costs.sum())
    assert costs.min() * 9 < mdad["greedy", 9] < costs.max() * 9
    assert swept.table()["cost"].notna().all()


def test_a_sweep_without_costs_has_none() -> None:
    found = mb.sweep(mb.synthetic(n_models=12, n_items=30), "random", [5], n_source=4, n_target=5, runs=1, progress=False)
    assert found.mdad["cost"].isna().all()
    assert "cost" not in found.table()
    assert not {"verdicts", "stopping"} & set(found.tables)
    with refuses(ConfigError, "table", where="verdicts", hint="verdicts=True"):
        found.frame("verdicts")


def test_methods_without_an_order_are_named_or_refused(board: Benchmark, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"n_source": 6, "n_target": 8, "runs": 1, "verdicts": True, "progress": False}
    with refuses(ConfigError, "order", where="verdicts", got="anchor_points"):
        mb.sweep(board, ["anchor_points"], [5], **options)
    with caplog.at_level(logging.WARNING):
        mb.sweep(board, ["random", "anchor_points"], [5], **options)
    assert [record for record in caplog.records if "anchor_points" in record.getMessage() and "order" in record.getMessage()]
    weighted = mb.benchmark(board.scores, subtask=["a"] * 20 + ["b"] * 16, truth="macro")
    with refuses(ConfigError, "mean", where="verdicts", got="macro"):
        mb.sweep(weighted, ["random"], [5], **options)


def test_the_command_writes_and_removes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame(columns(n_models=16, n_items=40)).assign(tokens=np.arange(40) % 7 + 1)
    table.to_parquet(tmp_path / "b.parquet")
    out = tmp_path / "out"
    words = [
        *("sweep", "benchmark=scores", f"benchmark.path={tmp_path}/b.parquet", "benchmark.columns={cost: tokens}", f"out={out}"),
        *("methods=[random,mid_range]", "grid.sizes=[5,20]", "grid.n_source=[6]", "grid.n_target=8", "grid.runs=2"),
        *("n_resamples=100", "report=false", "figures=false", "engine=serial"),
    ]
    assert main(words) == 0
    n_files = len(list(out.glob("cells/*.parquet")))
    capsys.readouterr()
    assert main([*words, "verdicts=true"]) == 0  # cells without stops are computed again, and stay
    assert len(list(out.glob("cells/*.parquet"))) == 2 * n_files
    shown = capsys.readouterr().out
    assert "until a verdict" in shown
    assert "stopping.parquet" in shown
    names = ["verdicts", "stopping"]
    first = {name: pq.read_table(out / f"{name}.parquet") for name in names}
    assert all(first[name].schema.equals(SCHEMAS[name], check_metadata=True) for name in names)
    assert main(["reduce", f"out={out}", "n_resamples=100", "report=false", "figures=false"]) == 0
    assert all(pq.read_table(out / f"{name}.parquet").equals(first[name]) for name in names)
    cells = pq.read_table(out / "mdad.parquet")
    assert main(words) == 0  # cells are reused, with their costs
    assert not any((out / f"{name}.parquet").exists() for name in names)
    assert pq.read_table(out / "mdad.parquet").equals(cells)


def test_the_figure_shows_panels_with_verdicts_or_costs(swept: mb.Result) -> None:
    pytest.importorskip("matplotlib")
    from microbench_ray.report.figures import _figure, _legend, method_styles

    style = method_styles(["random", "greedy", "anchor_points"])

    def drawn(*left_out: str, mdad: pa.Table = swept.tables["mdad"]) -> list[Any]:
        tables = {name: table for name, table in swept.tables.items() if name not in left_out} | {"mdad": mdad}
        return [figure for _, figure in spending_figures(tables, style, 0.8, _figure, _legend)]

    (both,) = drawn()
    read, against = (axis for sub in both.subfigs for axis in sub.axes)
    assert sorted(line.get_label() for line in read.lines if line.get_linestyle() == "-") == ["greedy", "random"]
    assert "cost" in against.get_xlabel()
    dashed = [line for line in against.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    stopping = swept.frame("stopping")
    assert dashed[0].get_xdata().tolist() in [rows["mean_cost"].sort_values().tolist() for _, rows in stopping.groupby("method")]
    (of_costs,) = drawn("verdicts", "stopping")
    assert [len(sub.axes) for sub in of_costs.subfigs] == [1]
    without = swept.tables["mdad"].drop_columns(["cost"])
    assert drawn("verdicts", "stopping", mdad=conform(without, "mdad")) == []


def test_the_page_has_a_section(swept: mb.Result) -> None:
    row = swept.frame("stopping").query("method == 'random' and size == 36").iloc[0]
    shown = stopping_section(swept.tables["stopping"])
    assert shown is not None
    assert f"{row['mean_items']:.1f}" in shown
    assert f"{row['mean_cost']:.1f}" in shown
    assert stopping_section(SCHEMAS["stopping"].empty_table()) is None


def test_a_table_of_mdads_of_an_earlier_version_has_no_costs() -> None:
    old = SCHEMAS["mdad"].empty_table().drop_columns(["cost"])
    assert conform(old, "mdad").schema.equals(SCHEMAS["mdad"])
