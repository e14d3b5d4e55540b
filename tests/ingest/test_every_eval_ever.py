from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.every_eval_ever import EveryEvalEverReader
from microbench_ray.ingest.values import ENDED_IN_ERROR, NOT_FINITE, WITHOUT_SCORE
from tests.helpers import many_models
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores, values

READER = EveryEvalEverReader()


def line(name: str = "q1", score: Any = 1.0, correct: bool | None = None, **change: Any) -> dict[str, Any]:
    evaluation = {"score": score, **({} if correct is None else {"is_correct": correct})}
    identity = {"model_id": "maker/one", "evaluation_name": "sums", "sample_id": name, "evaluation": evaluation}
    return {**identity, "input": {"raw": f"{name}?", "reference": ["2"]}, "evaluation_result_id": "sums.accuracy", **change}


def write(folder: Path, lines: list[dict[str, Any]], **config: Any) -> Path:
    file = folder / "0_samples.jsonl"
    file.write_text("".join(json.dumps(document) + "\n" for document in lines))
    if config:
        result = {"evaluation_result_id": "sums.accuracy", "evaluation_name": "sums", "metric_config": config}
        (folder / "0.json").write_text(json.dumps({"evaluation_results": [result]}))
    return file


def test_many_models(tmp_path: Path) -> None:
    truth = many_models.every_eval_ever(tmp_path)
    samples, tally = read_all(READER, tmp_path)
    assert {model: values(found) for model, found in samples.items()} == truth
    assert {sample.subtask for found in samples.values() for sample in found} == {"sums.even", "sums.odd"}
    assert len({tuple((sample.item_id, sample.content) for sample in found) for found in samples.values()}) == 1
    assert not tally.dropped
    even, _ = read_all(READER, tmp_path, Options(tasks=("*.even",), models=("*-04",)))
    assert values(even["maker-1/model-04"]) == truth["maker-1/model-04"][::2]


def test_declared_ranges(tmp_path: Path) -> None:
    """A scale of 1 to 5; a sample that is right or wrong keeps its 1 or 0."""
    given = [(5.0, True), (3.0, False), (1.0, False), (1.0, True), (0.0, False)]
    lines = [line(f"q{k}", score, correct) for k, (score, correct) in enumerate(given)]
    file = write(tmp_path, lines, metric_id="judge", min_score=1.0, max_score=5.0, lower_is_better=False)
    assert [found.score for found in read_all(READER, file)[0]["maker/one"]] == [1, 0.5, 0, 1, 0]
    assert [found.score for found in read_all(READER, file, Options(metric="is_correct"))[0]["maker/one"]] == [1, 0, 0, 1, 0]
    write(tmp_path, [line("q9", 7.0, False)], min_score=1.0, max_score=5.0)
    with refuses(DataError, "outside", where=f"{file}: item 'sums/q9', metric 'sums.accuracy'", got="1.5"):
        read_all(READER, file)


def test_undeclared_ranges_are_not_guessed(tmp_path: Path) -> None:
    with refuses(DataError, "outside", where="q1", got="80"):
        read_all(READER, write(tmp_path, [line(score=80.0)]))


def test_an_error_rate_is_refused(tmp_path: Path) -> None:
    with refuses(DataError, "error rate", where="line 1", got="lower_is_better", hint="metric="):
        read_all(READER, write(tmp_path, [line()], lower_is_better=True))


def test_several_metrics(tmp_path: Path) -> None:
    file = write(tmp_path, [line(), line(score=0.25, evaluation_result_id="sums.f1")], metric_id="acc", metric_name="Accuracy")
    with refuses(DataError, "several metrics", where=str(file), got="'sums.accuracy', 'sums.f1'", hint="metric="):
        read_all(READER, file)
    for metric, expected in (("*.f1", 0.25), ("acc", 1), ("Accuracy", 1)):
        samples, tally = read_all(READER, file, Options(metric=metric))
        assert scores(samples["maker/one"]) == {"sums/q1": [expected]}
        assert tally.dropped == {"samples of another metric": 1}


def test_missing_scores(tmp_path: Path) -> None:
    lines = [line("q1", float("nan")), line("q2", None), line("q3", error="timeout"), line("q4", float("inf")), line("q4", 0.5)]
    samples, tally = read_all(READER, write(tmp_path, lines))
    assert [found.score for found in samples["maker/one"]] == [None, None, None, None, 0.5]
    assert tally.dropped == {NOT_FINITE: 2, WITHOUT_SCORE: 1, ENDED_IN_ERROR: 1}


def test_two_models_in_a_file(tmp_path: Path) -> None:
    with refuses(DataError, "several models", where="line 2", got="maker/two"):
        read_all(READER, write(tmp_path, [line(), line(model_id="maker/two")]))


@pytest.mark.parametrize("model", ["../../etc/passwd", "a\0b", "m" * 500])
def test_model_names_are_not_changed(tmp_path: Path, model: str) -> None:
    assert list(read_all(READER, write(tmp_path, [line(model_id=model)]))[0]) == [model]


@pytest.mark.parametrize("text", ["[1]\n", '{"model_id": 3}\n', '{"model_id": "a"}\n', "{\n", "[" * 100_000, "\xff"])
def test_broken_files(tmp_path: Path, text: str) -> None:
    file = tmp_path / "0_samples.jsonl"
    file.write_bytes(text.encode("latin-1"))
    with refuses(DataError, "log", where=str(file)):
        read_all(READER, file)


@pytest.mark.parametrize("depth", [60, 900, 100_000])
def test_nested_items(tmp_path: Path, depth: int) -> None:
    file = tmp_path / "0_samples.jsonl"
    file.write_text(json.dumps(line()).replace('"q1?"', "[" * depth + "]" * depth) + "\n")
    with refuses(DataError, "nested too deeply", where=str(file)):
        read_all(READER, file)


def test_long_lines_and_foreign_files(tmp_path: Path) -> None:
    file = write(tmp_path, [line(), line(note="x" * 2000)])
    with refuses(DataError, "too long", where=f"{file}: line 2", got="1,000", hint="max_line_bytes"):
        read_all(READER, file, Options(max_line_bytes=1000))
    (tmp_path / "other.jsonl").write_text('{"doc_id": 0}\n')
    (tmp_path / "empty.jsonl").write_text("")
    tally = Tally()
    assert [log.files[0].name for log in READER.find(tmp_path, Options(), tally)] == ["0_samples.jsonl"]
    assert sum(tally.dropped.values()) == 2
