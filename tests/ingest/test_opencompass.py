from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.opencompass import OpenCompassReader
from microbench_ray.ingest.values import NOT_FINITE
from tests.helpers import many_models
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores, values

READER = OpenCompassReader()


def write(folder: Path, document: Any, model: str = "one", dataset: str = "sums") -> Path:
    file = folder / "20260819_121541/results" / model / f"{dataset}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return file


def test_many_models(tmp_path: Path) -> None:
    truth = many_models.opencompass(tmp_path)
    samples, tally = read_all(READER, tmp_path)
    assert {model: values(found) for model, found in samples.items()} == truth
    assert len({tuple((sample.item_id, sample.content) for sample in found) for found in samples.values()}) == 1
    assert not tally.dropped
    assert list(read_all(READER, tmp_path, Options(models=("*04",)))[0]) == ["maker-1_model-04"]
    with refuses(DataError, "OpenCompass", where=str(tmp_path), hint="tasks=['other']"):
        READER.find(tmp_path, Options(tasks=("other",)), Tally())


@pytest.mark.parametrize(
    "details",
    [
        {"type": "GEN", "0": {"pred": "2", "answer": "2", "correct": True}, "1": {"pred": "3", "answer": "4", "correct": False}},
        [{"pred": "2", "refr": "2", "is_correct": True}, {"pred": "3", "refr": "4", "is_correct": False}],
        {"type": "PPL", "0": {"references": "A", "correct": True}, "1": {"references": "B", "correct": False}},
        [{"example_abbr": "0", "correct": [True]}, {"example_abbr": "1", "cascade_correct": [0], "correct": [False]}],
    ],
)
def test_layouts_of_details(tmp_path: Path, details: Any) -> None:
    samples, _ = read_all(READER, write(tmp_path, {"accuracy": 50.0, "details": details}))
    assert scores(samples["one"]) == {"sums/0": [1], "sums/1": [0]}


def test_several_predictions_are_repetitions(tmp_path: Path) -> None:
    samples, _ = read_all(READER, write(tmp_path, {"details": [{"example_abbr": "all_7", "correct": [True, False, True, None]}]}))
    assert scores(samples["one"]) == {"sums/all_7": [0, 1, 1, None]}


def test_equality_where_the_accuracy_confirms_it(tmp_path: Path) -> None:
    details = {"type": "GEN", "0": {"predictions": "2", "references": "2"}, "1": {"predictions": "3", "references": "4"}}
    samples, _ = read_all(READER, write(tmp_path, {"accuracy": 50.0, "details": details}))
    assert scores(samples["one"]) == {"sums/0": [1], "sums/1": [0]}
    samples, tally = read_all(READER, write(tmp_path, {"rouge1": 61.2, "details": details}))
    assert samples["one"] == []
    assert tally.dropped == {"logs whose details lack correct or is_correct or cascade_correct": 1}


def test_files_without_details(tmp_path: Path) -> None:
    write(tmp_path, {"accuracy": 50.0})
    write(tmp_path, {"details": [{"correct": True}]}, dataset="others")
    samples, tally = read_all(READER, tmp_path)
    assert scores(samples["one"]) == {"others/0": [1]}
    assert tally.dropped == {"logs without per-sample details": 1}


@pytest.mark.parametrize(("value", "word"), [(66.7, "outside"), ("blue", "not a number"), ({}, "not a number")])
def test_invalid_scores(tmp_path: Path, value: Any, word: str) -> None:
    file = write(tmp_path, {"details": [{"correct": value}]})
    with refuses(DataError, word, where=f"{file}: item 'sums/0', metric 'correct'", got="dict" if value == {} else str(value)):
        read_all(READER, file)


def test_another_metric_and_nan(tmp_path: Path) -> None:
    file = write(tmp_path, {"details": [{"correct": True, "f1": 0.25}, {"correct": True, "f1": float("nan")}]})
    samples, tally = read_all(READER, file, Options(metric="f1"))
    assert scores(samples["one"]) == {"sums/0": [0.25], "sums/1": [None]}
    assert tally.dropped == {NOT_FINITE: 1}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"details": 3}', '{"details": [3]}', "[" * 100_000])
def test_broken_files(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, text)
    with refuses(DataError, "log", where=str(file)):
        read_all(READER, tmp_path)


def test_a_long_document_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, {"details": [{"correct": True, "prompt": "x" * 1000}]})
    with refuses(DataError, "too large", where=str(file), hint="max_line_bytes"):
        read_all(READER, file, Options(max_line_bytes=500))
