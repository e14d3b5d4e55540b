from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.inspect_fields import header_of, plain_header, plain_sample, sample_of
from microbench_ray.ingest.inspect_logs import InspectReader
from microbench_ray.ingest.values import ENDED_IN_ERROR, NOT_FINITE, WITHOUT_SCORE
from tests.helpers import many_models, real_inspect
from tests.helpers.errors import refuses
from tests.helpers.reading import MEGABYTE, read_all, read_in_subprocess, scores, values

# Found, not imported: importing it takes seconds, in each process that collects the tests.
pytestmark = pytest.mark.skipif(find_spec("inspect_ai") is None, reason="needs the extra `inspect`")

READER = InspectReader()


def header(**change: Any) -> dict[str, Any]:
    """The fields of a log's header that every version has."""
    evaluation = {"created": "2026-01-01T00:00:00+00:00", "task": "sums", "model": "maker/one", "dataset": {}, "config": {}}
    evaluation |= {key: change.pop(key) for key in ("model", "task") if key in change}
    return {"version": 2, "status": "success", "eval": evaluation, **change}


def sample(name: int | str = 1, value: Any = "C", **change: Any) -> dict[str, Any]:
    return {"id": name, "epoch": 1, "input": "1 + 1?", "target": "2", "scores": {"match": {"value": value}}, **change}


def write_eval(file: Path, samples: list[dict[str, Any]], **change: Any) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(header(**change)))
        for number, document in enumerate(samples):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(document))
    return file


def write_json(file: Path, samples: list[dict[str, Any]], **change: Any) -> Path:
    file.write_text(json.dumps(header(**change) | {"samples": samples}))
    return file


def test_real_logs(test_data: Path) -> None:
    """The expected values were read from the files by hand."""
    samples, tally = read_all(READER, test_data / "formats/inspect_ai")
    assert [sample.score for sample in samples["ollama/qwen2.5:0.5b"]] == [1, 0, 0]
    assert [sample.item_id for sample in samples["ollama/qwen2.5:0.5b"]] == [f"inspect_evals/arc_easy/{k}" for k in (1, 2, 3)]
    assert [sample.score for sample in samples["anthropic/claude-sonnet-4-0"]] == [1] * 5
    assert {sample.subtask for sample in samples["anthropic/claude-sonnet-4-0"]} == {"inspect_evals/arc_easy"}
    assert scores(samples["mistral/mistral-large-latest"]) == {"inspect_evals/cyse2_vulnerability_exploit/1": [0.65]}
    pubmed = {"inspect_evals/pubmedqa/12377809": [1], "inspect_evals/pubmedqa/26163474": [1]}
    assert scores(samples["openai/azure/gpt-4o-mini"]) == pubmed
    assert tally.dropped["logs with status cancelled"] == 2
    assert tally.dropped[ENDED_IN_ERROR] == 1
    assert tally.dropped[WITHOUT_SCORE] == 10


def test_items_agree_between_forms_of_a_log_and_between_models(test_data: Path) -> None:
    folder = test_data / "formats/inspect_ai"
    one, other = (read_all(READER, folder / f"log_formats.{kind}")[0]["ollama/llama3.1"] for kind in ("eval", "json"))
    assert one == other
    (qwen,), (sonnet,) = (read_all(READER, folder / f"eee_data_arc_{name}.json")[0].values() for name in ("qwen", "sonnet"))
    assert [sample.content for sample in qwen] == [sample.content for sample in sonnet[:3]]
    assert len({sample.content for sample in sonnet}) == 5


@pytest.mark.slow
def test_logs_of_the_installed_inspect(inspect_logs: Path) -> None:
    """Its Python interface and its command line, `.eval` and `.json`, two epochs."""
    samples, tally = read_all(READER, inspect_logs)
    truth = real_inspect.expected(real_inspect.N_MODELS)
    assert {model: scores(found) for model, found in samples.items()} == {
        model: {f"capitals/{name}": values for name, values in items.items()} for model, items in truth.items()
    }
    contents = {tuple(sorted({(sample.item_id, sample.content) for sample in found})) for found in samples.values()}
    assert len(contents) == 1
    assert not tally.dropped


def test_models_made_of_a_real_log(test_data: Path, tmp_path: Path) -> None:
    truth = many_models.inspect(tmp_path, test_data)
    samples, _ = read_all(READER, tmp_path)
    assert {model: values(found) for model, found in samples.items()} == truth
    selected, _ = read_all(READER, tmp_path, Options(models=("maker-1/*",), tasks=("popul*",)))
    assert sorted(selected) == sorted(model for model in truth if model.startswith("maker-1/"))


@pytest.mark.parametrize("write", [write_eval, write_json])
def test_values(tmp_path: Path, write: Any) -> None:
    given = ["C", "I", "P", "N", True, False, 0.25, 1, "0.5", "yes", float("nan"), float("inf"), {"only": "P"}]
    kind = "eval" if write is write_eval else "json"
    file = write(tmp_path / f"log.{kind}", [sample(k, value) for k, value in enumerate(given)])
    samples, tally = read_all(READER, file)
    assert [found.score for found in samples["maker/one"]] == [1, 0, 0.5, 0, 1, 0, 0.25, 1, 0.5, 1, None, None, 0.5]
    assert tally.dropped == {NOT_FINITE: 2}


def test_metric_names_a_scorer_and_a_key(tmp_path: Path) -> None:
    several = {"first": {"value": "I"}, "second": {"value": {"a": 0.25, "b": "C"}}}
    file = write_eval(tmp_path / "log.eval", [sample(scores=several)])

    def score(metric: str | None) -> float | None:
        return read_all(READER, file, Options(metric=metric))[0]["maker/one"][0].score

    assert [score(metric) for metric in (None, "second/a", "second/b")] == [0, 0.25, 1]
    with refuses(DataError, "several values", where="scorer 'second'", got="'a', 'b'", hint="metric=second/KEY"):
        score("second")
    with refuses(DataError, "no score", where="scorer 'third'", got="'first', 'second'", hint="metric="):
        score("third")


@pytest.mark.parametrize(
    ("value", "word"), [(7, "outside"), (-0.5, "outside"), ("blue", "not a number"), ([1, 2], "list"), ("1e400", None)]
)
def test_invalid_scores(tmp_path: Path, value: Any, word: str | None) -> None:
    file = write_eval(tmp_path / "log.eval", [sample("q7", value)])
    if word is None:
        assert read_all(READER, file)[0]["maker/one"][0].score is None
        return
    with refuses(DataError, word, where=str(file)) as caught:
        read_all(READER, file)
    assert "q7" in (caught.value.where or "")
    assert "'match'" in (caught.value.where or "")


def test_errors_and_unscored_samples_are_missing(tmp_path: Path) -> None:
    failed = {"message": "broke", "traceback": "", "traceback_ansi": ""}
    file = write_eval(tmp_path / "log.eval", [sample(1, error=failed), sample(2, scores=None), sample(3, scores={})])
    samples, tally = read_all(READER, file)
    assert [found.score for found in samples["maker/one"]] == [None] * 3
    assert tally.dropped == {ENDED_IN_ERROR: 1, WITHOUT_SCORE: 2}


@pytest.mark.parametrize("status", ["error", "cancelled", "started"])
def test_unsuccessful_logs_are_dropped(tmp_path: Path, status: str) -> None:
    write_eval(tmp_path / "a.eval", [sample()], status=status)
    with refuses(DataError, "Inspect", where=str(tmp_path), got=f"status {status}: 1"):
        read_all(READER, tmp_path)
    write_eval(tmp_path / "b.eval", [sample()])
    samples, tally = read_all(READER, tmp_path)
    assert len(samples["maker/one"]) == 1
    assert tally.dropped == {f"logs with status {status}": 1}


def test_a_log_without_samples(tmp_path: Path) -> None:
    _, tally = read_all(READER, write_eval(tmp_path / "log.eval", []))
    assert tally.dropped == {"logs without samples": 1}


@pytest.mark.parametrize("model", ["../../etc/passwd", "a\0b", "m" * 500, "<script>alert(1)</script>"])
def test_model_names_are_not_changed(tmp_path: Path, model: str) -> None:
    assert list(read_all(READER, write_eval(tmp_path / "log.eval", [sample()], model=model))[0]) == [model]


def test_json_of_other_programs(tmp_path: Path) -> None:
    write_eval(tmp_path / "log.eval", [sample()])
    (tmp_path / "listing.json").write_text('{"log.eval": {"task": "sums"}}')
    (tmp_path / "package.json").write_text('{"eval": 3, "status": "success", "name": "not ours"}')
    samples, tally = read_all(READER, tmp_path)
    assert len(samples) == 1
    [(path, error)] = tally.failed.items()
    assert path == str(tmp_path / "package.json")
    assert "expected an object" in (error.got or "")
    assert tally.dropped == {"JSON files of another kind": 1}


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", '{"status": "success", "eval": {"task"', "[" * 100_000, '{"status": 1, "eval": {}}']
)
def test_broken_json(tmp_path: Path, text: str) -> None:
    file = tmp_path / "log.json"
    file.write_text(text)
    with refuses(DataError, "log", where=str(file)):
        read_all(READER, file)


def test_truncated_and_foreign_archives(tmp_path: Path) -> None:
    whole = write_eval(tmp_path / "whole.eval", [sample()]).read_bytes()
    contents = {"cut.eval": whole[: len(whole) // 2], "empty.eval": b"", "text.eval": b"no archive", "inside.eval": b""}
    damaged = bytearray(whole)
    damaged[whole.index(b"samples/0") + 20 : whole.index(b"samples/0") + 60] = bytes(40)
    contents["inside.eval"] = bytes(damaged)
    for name, content in contents.items():
        file = tmp_path / name
        file.write_bytes(content)
        with refuses(DataError, "not an Inspect log", where=str(file)):
            read_all(READER, file)
    with zipfile.ZipFile(tmp_path / "other.eval", "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    with refuses(DataError, "not an Inspect log", where="other.eval: _journal/start.json"):
        read_all(READER, tmp_path / "other.eval")


def write_bomb(file: Path, method: int) -> Path:
    """A log with a second sample of 300 MB of zeros, compressed to under 1 MB."""
    write_eval(file, [sample()])
    with zipfile.ZipFile(file, "a", method) as archive, archive.open("samples/2_epoch_1.json", "w") as member:
        for _ in range(3 if method == zipfile.ZIP_BZIP2 else 300):  # BZIP2 is refused by its name alone
            member.write(bytes(MEGABYTE))
    return file


def write_lying_copy(file: Path, bomb: Path) -> Path:
    """A copy of the log whose central directory records a size of 1,000 bytes for the last member."""
    with zipfile.ZipFile(bomb) as archive:
        size = archive.getinfo("samples/2_epoch_1.json").file_size
    content = bytearray(bomb.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    assert content[entry + 24 : entry + 28] == size.to_bytes(4, "little")
    content[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    file.write_bytes(content)
    return file


@pytest.mark.slow
def test_decompression_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    pytest.importorskip("zipfile_zstd")  # what inspect-ai adds Zstandard to `zipfile` with, when it is imported
    paths = {}
    for method in ("ZIP_DEFLATED", "ZIP_ZSTANDARD", "ZIP_BZIP2"):
        bomb = paths[method] = write_bomb(tmp_path / f"{method}.eval", getattr(zipfile, method))
        paths[f"{method}_lying"] = write_lying_copy(tmp_path / f"{method}_lying.eval", bomb)
    parts = [{"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]}]  # which the library reads
    small = write_eval(tmp_path / "small.eval", [sample(input=parts)])
    for name, reading in read_in_subprocess(InspectReader, paths, MEGABYTE, warm_up=small).items():
        assert f"{name}.eval: samples/2_epoch_1.json" in reading.message, name
        assert reading.growth < 180 * MEGABYTE, name


def test_member_names_outside_the_archive_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    file = write_eval(tmp_path / "deep/log.eval", [sample()])
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("samples/../../../escaped.json", json.dumps(sample(2)))
        archive.writestr("../escaped.json", "{}")
    samples, _ = read_all(READER, file)
    assert len(samples["maker/one"]) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "log.eval"]


def test_a_large_document_is_refused(tmp_path: Path) -> None:
    file = write_json(tmp_path / "log.json", [sample()])
    with refuses(DataError, "too large", where=str(file), hint="max_line_bytes"):
        READER.find(file, Options(max_line_bytes=100), Tally())


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain logs need no library, others do."""
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    assert READER.find(write_eval(tmp_path / "log.eval", [sample()]), Options(), Tally())
    with refuses(DataError, "not installed", where="source=inspect", hint="microbench-ray[inspect]"):
        READER.find(write_eval(tmp_path / "old.eval", [sample()], version=1), Options(), Tally())


PLAIN: list[dict[str, Any]] = [
    {},
    {"input": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]},
    {"choices": ["3", "4"], "target": ["B"]},
    {"scores": {"judge": {"value": {"a": 1, "b": None}}, "list": {"value": [1, True]}}},
    {"scores": None},
    {"scores": {"judge": {"value": float("nan")}}},
    {"error": {"message": "no", "traceback": "", "traceback_ansi": ""}},
    {"model_usage": {"m": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}, "working_time": 1.5},
]
OTHERS: list[dict[str, Any]] = [
    {"input": [{"role": "user", "content": [{"type": "text", "text": "2 +"}, {"type": "text", "text": "2?"}]}]},
    {"input": [{"role": "assistant", "content": "<think>2</think>4"}]},
    {"epoch": "1"},
    {"target": None},
    {"choices": "AB"},
    {"scores": {"judge": {"value": None}}},
    {"score": {"value": "C"}},
]


@pytest.mark.parametrize("change", PLAIN, ids=str)
def test_plain_samples_are_those_of_the_library(change: dict[str, Any]) -> None:
    from inspect_ai.log import EvalSample

    document = sample(**change)
    assert repr(plain_sample(document)) == repr(sample_of(EvalSample.model_validate(document)))


@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_the_library_reads_all_other_samples(change: dict[str, Any]) -> None:
    assert plain_sample(sample(**change)) is None


@pytest.mark.parametrize("change", [{}, {"invalidated": True}, {"status": "cancelled"}], ids=str)
def test_plain_headers_are_those_of_the_library(change: dict[str, Any]) -> None:
    from inspect_ai.log import EvalLog

    document = header() | change
    document["eval"] |= {"model_args": {"revision": "a"}, "model_generate_config": {"reasoning_effort": "low", "seed": 1}}
    plain, library = plain_header(document), header_of(EvalLog.model_validate(json.loads(json.dumps(document))))
    assert plain == replace(library, generation={"reasoning_effort": "low"})
    assert library.generation == {"reasoning_effort": "low", "seed": 1}


@pytest.mark.parametrize("change", [{"version": 1}, {"status": "odd"}, {"plan": None}, {"results": {"scorer": {"name": "match"}}}])
def test_the_library_reads_all_other_headers(change: dict[str, Any]) -> None:
    assert plain_header(header() | change) is None


def test_an_empty_and_a_missing_folder(tmp_path: Path) -> None:
    with refuses(DataError, "Inspect", where=str(tmp_path), hint="path="):
        READER.find(tmp_path, Options(), Tally())
    with refuses(DataError, "does not exist", where=str(tmp_path / "missing"), hint="path="):
        READER.find(tmp_path / "missing", Options(), Tally())
