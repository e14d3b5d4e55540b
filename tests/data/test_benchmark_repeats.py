"""Repeats of a benchmark: from arrays, long tables, companions and folders of responses; scores stay their means."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.cli.settings.benchmark import IngestedConf, ScoresConf
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark, read_ingested, read_scores
from microbench_ray.ingest import registry
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.plain import PlainReader

NAN = np.nan
REPEATS = np.array(
    [
        [[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, NAN]],
        [[0, 0, 1], [1, 1, 1], [0, NAN, NAN], [0, 0, 0]],
    ]
)
MEANS = np.array([[2 / 3, 0, 1, 1 / 2], [1 / 3, 1, 0, 0]])


def board() -> Benchmark:
    return mb.benchmark(REPEATS, item_ids=list("abcd"), model_ids=["m", "n"], name="board")


def rows() -> pd.DataFrame:
    """The same as a long table."""
    found = [
        {"model": "mn"[m], "item_id": "abcd"[i], "repeat": k, "score": REPEATS[m, i, k]}
        for m, i, k in np.argwhere(~np.isnan(REPEATS))
    ]
    return pd.DataFrame(found)


def same(given: Benchmark) -> None:
    """The benchmark has these repeats, whatever the order of its rows."""
    order = np.argsort(given.item_ids)
    assert given.repeats is not None
    assert list(given.model_ids) == ["m", "n"]
    assert np.allclose((given.scores / given.units)[:, order], MEANS, atol=1e-6)
    assert np.array_equal(given.repeats[:, order], REPEATS.astype(np.float32), equal_nan=True)


def test_an_array_of_three_axes() -> None:
    same(board())


def test_repeats_are_saved_pickled_and_left_out(tmp_path: Path) -> None:
    given = board()
    given.save(tmp_path / "board")
    same(Benchmark.open(tmp_path / "board"))
    same(pickle.loads(pickle.dumps(given)))  # noqa: S301
    without = given.without_repeats()
    assert without.repeats is None
    assert without.digest == given.digest
    assert without.without_repeats() is without
    assert "repeat_scores" not in given.metadata.columns


def test_a_long_table_keeps_its_repeats(tmp_path: Path) -> None:
    same(mb.benchmark(rows()))
    rows().to_parquet(tmp_path / "long.parquet")
    same(read_scores(tmp_path / "long.parquet"))
    assert read_scores(tmp_path / "long.parquet", repeats=None).repeats is None
    conf = ScoresConf(path=str(tmp_path / "long.parquet"))
    assert conf.read().repeats is None
    same(conf.read(repeats=True))


def test_repeats_with_ids_of_their_own_are_in_the_order_of_their_rows() -> None:
    table = rows().assign(repeat=[f"r{k}" for k in range(len(rows()))])
    found = mb.benchmark(table).repeats
    assert found is not None
    assert np.array_equal(np.nansum(found, axis=2), np.nansum(REPEATS, axis=2))
    assert np.array_equal(found[0, 0], [1, 0, 1])


def test_a_wide_table_has_a_companion(tmp_path: Path) -> None:
    pd.DataFrame({"item_id": list("abcd"), "m": MEANS[0], "n": MEANS[1]}).to_parquet(tmp_path / "x.parquet")
    assert read_scores(tmp_path / "x.parquet").repeats is None
    few = rows()[lambda table: table["item_id"] != "c"]  # whose responses then have one repeat, the score
    few.to_csv(tmp_path / "x.repeats.csv", index=False)
    found = read_scores(tmp_path / "x.parquet").repeats
    assert found is not None
    assert np.array_equal(found[:, 2], [[1, NAN, NAN], [0, NAN, NAN]], equal_nan=True)
    assert np.array_equal(found[:, 0], REPEATS[:, 0])


def test_a_companion_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"item_id": list("abcd"), "m": [1, 0, 1, 0.5], "n": MEANS[1]}).to_parquet(tmp_path / "x.parquet")
    rows().to_csv(tmp_path / "x.repeats.csv", index=False)
    with refuses(DataError, "mean of its repeats", where="item 'a'", got="a score of 1, 3 repeats"):
        read_scores(tmp_path / "x.parquet")
    rows()[lambda table: table["repeat"] == 0].to_csv(tmp_path / "x.repeats.csv", index=False)
    with refuses(DataError, "repeats", where="x.repeats.csv"):
        read_scores(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("repeats", "word"),
    [
        (np.zeros((2, 4)), "shape"),
        (np.zeros((2, 3, 2)), "items"),
        (np.full((2, 4, 2), 2.0), "[0, 1]"),
    ],
)
def test_bad_arrays_are_refused(repeats: np.ndarray, word: str) -> None:
    with refuses(DataError, word, where="repeats"):
        Benchmark.from_arrays("b", np.zeros((2, 4)), list("abcd"), ["m", "n"], repeats=repeats)


def test_an_ingested_board_has_the_repeats_of_its_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.READERS, "plain", PlainReader())
    (tmp_path / "logs").mkdir()
    for m, model in enumerate("mn"):
        lines = [f"{'abcd'[i]} law {REPEATS[m, i, k]:g}" for i, k in np.argwhere(~np.isnan(REPEATS[m]))]
        (tmp_path / f"logs/{model}.log").write_text("\n".join(lines) + "\n")
    run_ingest(IngestJob(source="plain", path=str(tmp_path / "logs"), out=tmp_path / "board"))
    same(read_ingested(tmp_path / "board"))
    assert read_ingested(tmp_path / "board", repeats=False).repeats is None
    assert IngestedConf(path=str(tmp_path / "board")).read().repeats is None


def test_a_table_with_repeats_is_ingested_with_them(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    rows().to_csv(tmp_path / "tables/long.csv", index=False)
    run_ingest(IngestJob(source="table", path=str(tmp_path / "tables"), out=tmp_path / "board"))
    same(read_ingested(tmp_path / "board"))
