"""The table `standings`: which methods are not worse than the best, over the runs that all of them have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.metrics import best_p_values
from microbench_ray.metrics.ties import doubled
from microbench_ray.sweeps.reduce import Rules, groups, reduce_partitions
from tests.helpers.small_sweep import command, read_cells
from tests.sweeps.test_reduce import NONE, THREE_METHODS, cells, counts


def standings(table: Any, **rules: Any) -> dict[str, dict[str, Any]]:
    found = reduce_partitions([(table, NONE)], Rules(**rules), 0)["standings"]
    assert found.schema.equals(SCHEMAS["standings"], check_metadata=True)
    return {row["method"]: row for row in found.to_pylist()}


def test_the_best_of_three_methods_that_differ_alike_in_all_runs() -> None:
    rows = standings(THREE_METHODS)
    assert {method: row["among_best"] for method, row in rows.items()} == {"a": True, "b": False, "c": False}
    assert {row["n_runs"] for row in rows.values()} == {10}


def test_below_ten_runs_and_for_a_single_method_nothing_is_said() -> None:
    for few in (
        THREE_METHODS.filter(pc.less(THREE_METHODS["run"], 9)),
        THREE_METHODS.filter(pc.equal(THREE_METHODS["method"], "a")),
    ):
        for row in standings(few).values():
            assert (row["p_best"], row["among_best"]) == (None, None)


def test_only_the_runs_that_all_methods_have_count() -> None:
    more = cells(*(({"method": "a", "run": run}, counts({2: (10, 0)})) for run in range(10, 15)))
    assert standings(pa.concat_tables([THREE_METHODS, more])) == standings(THREE_METHODS)


def test_fixed_lists_have_no_row() -> None:
    fixed = cells(*(({"method": name, "n_source": 0, "unseen": "none"}, counts({2: (10, 9)})) for name in "ab"))
    assert standings(fixed) == {}


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_methods_are_among_the_best_by_their_p_value(level: float) -> None:
    rows = (
        ({"method": m, "run": run}, counts({1: (20, good + (run * 7) % 4)}))
        for m, good in (("a", 15), ("b", 14))
        for run in range(12)
    )
    for row in standings(cells(*rows), confidence_level=level).values():
        assert row["among_best"] == (row["p_best"] > 1 - level)


def test_a_sweep_writes_what_the_cells_say(tmp_path: Path, board: Path) -> None:
    assert main(command(board, tmp_path, "methods=[random,random_subtask_equal,stratified_confidence]")) == 0
    table = pq.read_table(tmp_path / "standings.parquet").to_pandas()
    assert len(table) == 3 * 2 * 3 * 2
    panel = {"size": 10, "n_source": 20, "split": "seen"}
    found = table[(table[list(panel)] == list(panel.values())).all(axis=1)]
    own = [group for group in groups(read_cells(tmp_path), NONE) if all(group.cells[k][0].as_py() == v for k, v in panel.items())]
    totals = [[part.sum(axis=1) for part in doubled(group.counts, "wrong")] for group in own]
    expected = best_p_values(np.stack([agree for agree, _ in totals]), np.stack([pairs for _, pairs in totals]))
    by_method = dict(zip([group.cells["method"][0].as_py() for group in own], expected.tolist(), strict=True))
    assert dict(zip(found["method"], found["p_best"], strict=True)) == pytest.approx(by_method)
