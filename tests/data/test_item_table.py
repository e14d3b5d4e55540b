"""A table about the items of an ingested board: weights, clusters and subtasks, joined by ids."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

import microbench_ray as mb
from microbench_ray.cli.main import main
from microbench_ray.cli.settings.benchmark import IngestedConf
from microbench_ray.core.errors import DataError
from microbench_ray.data import read_ingested
from microbench_ray.data.stamps import board_stamp
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses

ITEMS = ["1", "2", "3", "4", "5", "6"]
SCORES = {"m0": [1, 1, 1, 1, 0, 0], "m1": [1, 0, 0, 0, 1, 1], "m2": [0, 1, 0, 1, 0, 1]}


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on six items of one subtask, as ingested."""
    folder = tmp_path_factory.mktemp("items")
    pd.DataFrame({"item_id": ITEMS, **SCORES}).to_csv(folder / "scores.csv", index=False)
    run_ingest(IngestJob(source="table", path=str(folder / "scores.csv"), out=str(folder / "board"), options=Options()))
    return folder / "board"


def about(path: Path, **changes: list[object] | None) -> Path:
    """A table of the items, in another order than the board's, with a row for an item that the board does not have."""
    columns: dict[str, list[object] | None] = {
        "item_id": ["9", *reversed(ITEMS)],
        "weight": [1, 3, 3, 1, 1, 1, 1],
        "cluster": list("zccbbaa"),
        "subtask": ["other", "small", "small", "big", "big", "big", "big"],
        "question": ["?"] * 7,
    }
    kept = {name: column for name, column in (columns | changes).items() if column is not None}
    table = pd.DataFrame(kept)
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_weights_clusters_and_subtasks(ingested: Path, tmp_path: Path, suffix: str) -> None:
    found = read_ingested(ingested, items=about(tmp_path / f"items{suffix}"), name="b")
    expected = mb.benchmark(
        np.array(list(SCORES.values()), float),
        ITEMS,
        list(SCORES),
        ["big"] * 4 + ["small"] * 2,
        name="b",
        weights=[1, 1, 1, 1, 3, 3],
        cluster=list("aabbcc"),
    )
    assert found.digest == expected.digest
    assert found.accuracies().tolist() == [4 / 10, 7 / 10, 5 / 10]
    assert any("1 items" in note and "'9'" in note for note in found.notes)


def test_subtasks_alone_make_another_mean(ingested: Path, tmp_path: Path) -> None:
    path = about(tmp_path / "items.csv", weight=None, cluster=None)
    found = read_ingested(ingested, items=path, truth="macro")
    assert found.accuracies().tolist() == [4 / 8, 5 / 8, 4 / 8]
    assert found.weights is None
    assert found.cluster_codes is None


def test_a_table_that_does_not_fit_is_refused(ingested: Path, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, list[object] | None], str, str]] = [
        ({"item_id": [f"q{k}" for k in range(7)]}, "board", "6 of 6: '1', '2'"),
        ({"item_id": ["9", "6", "5", "4", "3", "2", "8"]}, "board", "1 of 6: '1'"),
        ({"item_id": ["9", "6", "5", "4", "3", "2", "2"]}, "twice", "'2'"),
        ({"item_id": None}, "column", "weight"),
        ({"weight": None, "cluster": None, "subtask": None}, "column", "question"),
        ({"weight": [1, 1, 1, 1, 1, 1, None]}, "weight", "'1'"),
        ({"weight": [1, 1, 1, 1, 1, "two", 1]}, "number", "'two'"),
        ({"weight": [1, 1, 1, 1, 1, 0, 1]}, "positive", "0"),
        ({"cluster": ["a", "", "b", "b", "b", "b", "b"]}, "cluster", "'6'"),
    ]
    for changes, word, got in cases:
        with refuses(DataError, word, got=got):
            read_ingested(ingested, items=about(tmp_path / "items.csv", **changes))
    with refuses(DataError, "macro", got="weights"):
        read_ingested(ingested, items=about(tmp_path / "items.csv"), truth="macro")


def test_a_changed_table_is_another_board(ingested: Path, tmp_path: Path) -> None:
    path = about(tmp_path / "items.csv")
    settings = asdict(IngestedConf(path=str(ingested), items=str(path)))
    before = board_stamp(ingested, settings)
    about(path, weight=[1, 1, 1, 1, 1, 1, 1])
    assert before is not None
    assert board_stamp(ingested, settings) != before


def test_on_the_command_line(ingested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = about(tmp_path / "items.csv", cluster=None)
    words = ["plan", "benchmark=ingested", f"benchmark.path={ingested}", f"benchmark.items={items}"]
    assert main([*words, "size=3", "models=[m0,m1]"]) == 0
    assert "weight" in capsys.readouterr().out
    assert main([*words[:3], f"benchmark.items={tmp_path / 'none.csv'}", "size=3"]) == 1
    assert "none.csv" in capsys.readouterr().err


def test_arrow_texts_are_read_as_texts(ingested: Path, tmp_path: Path) -> None:
    table = pa.table({"item_id": list(map(int, ITEMS)), "cluster": pa.array(list("aabbcc")).dictionary_encode()})
    pa.feather.write_feather(table, str(tmp_path / "items.feather"))
    found = read_ingested(ingested, items=tmp_path / "items.feather").cluster_codes
    assert found is not None
    assert found.tolist() == [0, 0, 1, 1, 2, 2]
