"""Costs of items: where they come from, that they are content and are kept, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.settings.benchmark import IngestedConf
from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses

SCORES = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 1]], float)
ITEMS = ["q0", "q1", "q2", "q3"]
COSTS = [10.0, 20.0, 40.0, 80.0]


def wide() -> pd.DataFrame:
    return pd.DataFrame({"item_id": ITEMS, "tokens": COSTS} | {f"m{k}": row for k, row in enumerate(SCORES)})


def test_costs_of_arrays_and_tables_are_the_same(tmp_path: Path) -> None:
    expected = mb.benchmark(SCORES, ITEMS, ["m0", "m1", "m2"], name="b", cost=COSTS)
    assert expected.costs is not None
    assert expected.costs.tolist() == COSTS
    wide().to_csv(tmp_path / "b.csv", index=False)
    long = wide().melt(["item_id", "tokens"], var_name="model", value_name="score")
    long.to_csv(tmp_path / "long.csv", index=False)
    for found in (
        mb.benchmark(wide(), name="b", columns={"cost": "tokens"}),
        mb.read_scores(tmp_path / "b.csv", columns={"cost": "tokens"}),
        mb.read_scores(tmp_path / "long.csv", name="b", columns={"cost": "tokens"}),
    ):
        assert found.digest == expected.digest
        assert list(found.model_ids) == ["m0", "m1", "m2"]
        assert any("'tokens'" in note for note in found.notes)


def test_costs_of_responses_are_averaged_where_they_are_known() -> None:
    long = wide().melt(["item_id", "tokens"], var_name="model", value_name="score")
    long["tokens"] = [10, 20, 40, 80, 14, 20, np.nan, 80, 18, 20, 20, 80]
    found = mb.benchmark(long, columns={"cost": "tokens"})
    assert found.costs is not None
    assert found.costs.tolist() == pytest.approx([14, 20, 30, 80])


def test_costs_are_content_and_are_kept(tmp_path: Path) -> None:
    plain = mb.benchmark(SCORES, ITEMS, ["m0", "m1", "m2"], name="b")
    costly = mb.benchmark(SCORES, ITEMS, ["m0", "m1", "m2"], name="b", cost=COSTS)
    assert plain.costs is None
    assert plain.digest != costly.digest
    assert plain.accuracies().tolist() == costly.accuracies().tolist()
    costly.save(tmp_path / "board")
    stored = mb.read_scores(tmp_path / "board")
    assert stored.digest == costly.digest
    assert stored.costs is not None
    assert stored.costs.tolist() == COSTS


def test_a_dropped_item_takes_its_cost_along() -> None:
    gaps = SCORES.copy()
    gaps[:, 1] = np.nan
    found = mb.benchmark(gaps, ITEMS, max_missing=1, cost=COSTS)
    assert found.costs is not None
    assert found.costs.tolist() == [10, 40, 80]


def test_what_is_no_cost_is_refused() -> None:
    for costs, got in (([1, 1, 0, 1], "0"), ([1, 1, np.nan, 1], "nan"), ([1, 1, -2, 1], "-2"), ([1, 1, np.inf, 1], "inf")):
        with refuses(DataError, "cost", where="item 'q2'", got=got):
            mb.benchmark(SCORES, ITEMS, cost=costs)
    with refuses(DataError, "one cost per item", got="(3,)"):
        mb.benchmark(SCORES, ITEMS, cost=[1, 2, 3])
    with refuses(DataError, "cost", where="cost"):
        mb.benchmark(wide(), cost=COSTS)
    with refuses(DataError, "needs a cost", where="row 3", got="empty"):
        mb.benchmark(wide().assign(tokens=[1, 2, np.nan, 4]), columns={"cost": "tokens"})
    long = wide().melt(["item_id", "tokens"], var_name="model", value_name="score").astype({"tokens": str})
    long.loc[3, "tokens"] = "many"
    with refuses(DataError, "cost", where="'tokens'", got="many"):
        mb.benchmark(long, columns={"cost": "tokens"})
    turned = wide().set_index("item_id")[["m0", "m1"]].T.rename_axis("model").reset_index()
    with refuses(DataError, "row per model", got="cost"):
        mb.benchmark(turned.assign(tokens=1), shape="models", columns={"cost": "tokens"})


def test_costs_of_an_ingested_board_come_from_a_table(tmp_path: Path) -> None:
    wide().drop(columns="tokens").to_csv(tmp_path / "scores.csv", index=False)
    run_ingest(IngestJob(source="table", path=str(tmp_path / "scores.csv"), out=tmp_path / "out", options=Options()))
    rows = [("q3", 80), ("q0", 10), ("q1", 20), ("q2", 40), ("other", 1)]
    pd.DataFrame(rows, columns=["item_id", "cost"]).to_csv(tmp_path / "costs.csv", index=False)
    found = mb.read_ingested(tmp_path / "out", items=tmp_path / "costs.csv")
    assert found.costs is not None
    assert dict(zip(found.item_ids, found.costs.tolist(), strict=True)) == dict(zip(ITEMS, COSTS, strict=True))
    by_command = IngestedConf(path=str(tmp_path / "out"), items=str(tmp_path / "costs.csv")).read()
    assert by_command.digest == found.digest != mb.read_ingested(tmp_path / "out").digest
    for table, word, got in (
        (pd.DataFrame({"item_id": ITEMS[:3], "cost": 1.0}), "lacks items", "q3"),
        (pd.DataFrame({"item_id": ITEMS, "tokens": 1.0}), "lacks a column", "tokens"),
        (pd.DataFrame({"item_id": ITEMS, "cost": ["1", "2", "many", "4"]}), "number", "many"),
        (pd.DataFrame({"item_id": ITEMS, "cost": [1, 2, -3, 4]}), "positive", "-3"),
    ):
        table.to_csv(tmp_path / "wrong.csv", index=False)
        with refuses(DataError, word, got=got):
            mb.read_ingested(tmp_path / "out", items=tmp_path / "wrong.csv")
