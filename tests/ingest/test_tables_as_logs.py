from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.data import read_release, read_scores
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.release import ReleaseReader
from microbench_ray.ingest.tables import TableReader
from microbench_ray.ingest.values import NOT_FINITE, WITHOUT_SCORE
from tests.helpers import many_models
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, values
from tests.helpers.table_files import write

WIDE, RELEASE = TableReader(), ReleaseReader()
SUFFIXES = (".parquet", ".feather", ".csv", ".csv.gz")


def test_many_columns(tmp_path: Path) -> None:
    truth = many_models.scores(tmp_path)
    samples, tally = read_all(WIDE, tmp_path / "sums.parquet")
    assert {model: values(found) for model, found in samples.items()} == truth
    assert not tally.dropped
    for model, found in samples.items():
        assert [sample.confidence for sample in found] == [0.2 + 0.5 * value for value in truth[model]]
    benchmark = read_scores(tmp_path / "sums.parquet")
    assert [(sample.item_id, sample.subtask) for sample in samples["maker-0/model-00"]] == [
        (f"sum_{item:04d}", "even" if item % 2 == 0 else "odd") for item in range(many_models.N_ITEMS)
    ]
    assert list(benchmark.model_ids) == list(samples)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_all_formats(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"item_id": ["001", "002", "003"], "one": [1.0, None, 0.5], "two": [0, 1, 1], "label": [2, 0, 1]})
    write(table, tmp_path / f"board{suffix}")
    write(table.select(["item_id", "two"]).take([2, 1, 0]), tmp_path / f"board.confidence{suffix}")
    samples, tally = read_all(WIDE, tmp_path)
    assert [(sample.item_id, sample.subtask, sample.score) for sample in samples["one"]] == [
        ("001", "all", 1),
        ("002", "all", None),
        ("003", "all", 0.5),
    ]
    assert [(sample.score, sample.confidence, sample.label) for sample in samples["two"]] == [(0, 0, 2), (1, 1, 0), (1, 1, 1)]
    assert tally.dropped == {WITHOUT_SCORE: 1}


def test_other_settings_of_a_table_are_named_by_their_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "board.csv").write_text("item_id,a,b\nq1,1,0\nq2,0,1\n")
    command = ["ingest", "source=table", f"path={tmp_path / 'board.csv'}", f"out={tmp_path / 'out'}"]
    assert main([*command, "shape=items"]) == 0
    assert main(command) == 1
    assert "shape=items before, shape not given now" in capsys.readouterr().err


def test_patterns(tmp_path: Path) -> None:
    many_models.scores(tmp_path)
    samples, _ = read_all(WIDE, tmp_path, Options(models=("maker-1/*",), tasks=("odd",)))
    assert {model.partition("/")[0] for model in samples} == {"maker-1"}
    assert {sample.subtask for found in samples.values() for sample in found} == {"odd"}
    with refuses(DataError, "table", where=str(tmp_path), hint="models=['none']"):
        WIDE.find(tmp_path, Options(models=("none",)), Tally())


def test_a_changed_table_is_read_again(tmp_path: Path) -> None:
    for value in (0, 0.25):
        write(pa.table({"item_id": ["a"], "one": [float(value)]}), tmp_path / "board.csv")
        assert read_all(WIDE, tmp_path / "board.csv")[0]["one"][0].score == value


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"name": ["a"], "one": [1.0]}, "items or the models"),
        ({"item_id": ["a"], "one": [1.5]}, "outside"),
        ({"item_id": ["a"], "one": ["blue"]}, "text where a score"),
        ({"item_id": ["a", None], "one": [1.0, 0.0]}, "no item_id"),
        ({"item_id": ["a"], "subtask": [""], "one": [1.0]}, "no subtask"),
        ({"item_id": ["a"]}, "no column with a model's scores"),
    ],
)
def test_bad_tables(tmp_path: Path, suffix: str, columns: dict[str, Any], word: str) -> None:
    file = write(pa.table(columns), tmp_path / f"board{suffix}")
    with refuses(DataError, word, where=str(file)):
        read_all(WIDE, file)


def test_broken_tables(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        file = tmp_path / f"board{suffix}"
        file.write_bytes(b"\x00\xff no table")
        with refuses(DataError, "file", where=str(file)):
            read_all(WIDE, file)


@pytest.mark.parametrize("folder", [False, True])
def test_release(tmp_path: Path, folder: bool) -> None:
    truth = many_models.release(tmp_path)
    path = tmp_path if folder else tmp_path / "sums"
    samples, _ = read_all(RELEASE, path)
    assert {model: [sample.score for sample in found] for model, found in samples.items()} == truth
    benchmark = read_release(path)
    for model, found in samples.items():
        row = list(benchmark.model_ids).index(model)
        assert [sample.item_id for sample in found] == list(benchmark.item_ids)
        assert [sample.label for sample in found] == [item % 4 for item in range(many_models.N_ITEMS)]
        assert [sample.confidence for sample in found] == [0.7 if value else 0.1 for value in truth[model]]
        assert benchmark.answers is not None
        assert np.allclose([sample.answers or () for sample in found], benchmark.answers[row])
    half, _ = read_all(RELEASE, path, Options(tasks=("*_01",), models=("*-04",)))
    assert len(half["maker-1/model-04"]) == many_models.N_ITEMS // 2


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("models-by-correctness", 7.0, "outside"),
        ("models-by-confidence", 7.0, "probability"),
        ("labels", 9, "label"),
    ],
)
def test_bad_releases(tmp_path: Path, name: str, value: float, word: str) -> None:
    many_models.release(tmp_path)
    file = tmp_path / f"sums_{name}_combined.npy"
    array = np.load(file)
    array.flat[0] = value
    np.save(file, array)
    with refuses(DataError, word, where=str(file), got=f"{value:g}"):
        read_all(RELEASE, tmp_path)


def test_nan_in_a_release_is_missing(tmp_path: Path) -> None:
    many_models.release(tmp_path)
    for name in ("correctness", "confidence"):
        array = np.load(tmp_path / f"sums_models-by-{name}_combined.npy")
        array[0, 0] = np.nan
        np.save(tmp_path / f"sums_models-by-{name}_combined.npy", array)
    samples, tally = read_all(RELEASE, tmp_path)
    assert samples["maker-0/model-00"][0].score is None
    assert tally.dropped == {NOT_FINITE: 1}


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    many_models.release(tmp_path)
    np.save(tmp_path / "sums_labels_combined.npy", np.array([sys], dtype=object)[:0], allow_pickle=True)
    with refuses(DataError, ".npy", where="sums_labels_combined.npy"):
        RELEASE.find(tmp_path, Options(), Tally())


def test_what_a_table_was_taken_for_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of a table that needs no guess."""
    (tmp_path / "t.csv").write_text("item_id,one,two\nq1,1,0\nq2,0,1\n")
    assert main(["ingest", "source=table", f"path={tmp_path / 't.csv'}", f"out={tmp_path / 'out'}"]) == 0
    shown = capsys.readouterr()
    assert "models are 2 columns: 'one', 'two'" in shown.out + shown.err
    assert "q1" in shown.out + shown.err
