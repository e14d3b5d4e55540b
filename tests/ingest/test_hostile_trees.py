"""Hostile folders of logs: pipes, links to nowhere, names and numbers that cannot be stored. The other logs are ingested."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.ingested import read_ingested
from microbench_ray.data.names import check_ids, show_name
from microbench_ray.data.responses import list_model_files, pack, read_responses
from microbench_ray.ingest.base import finite_number
from microbench_ray.ingest.regular import NOT_REGULAR
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import TIME, line, write, write_results


def ingest(path: Path, out: Path, source: str = "lm_eval") -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=out))


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with one good log, of the model `good`."""
    write(tmp_path / "logs" / "good", "t", [line(0), line(1)])
    return tmp_path / "logs"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("missing"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, link_to_nowhere, link_to_itself, link_to_a_device])
def test_only_regular_files_are_opened(logs: Path, make: Any, caplog: pytest.LogCaptureFixture) -> None:
    (logs / "bad").mkdir()
    for name in (f"samples_t_{TIME}.jsonl", f"results_{TIME}.json"):
        make(logs / "bad" / name)
    with caplog.at_level(logging.WARNING):
        summary = ingest(logs, logs.parent / "out")
    assert (summary.added, summary.failed, summary.dropped) == (["good"], {}, {NOT_REGULAR: 1})
    assert f"samples_t_{TIME}.jsonl was skipped" in caplog.text


@pytest.mark.parametrize("make", [pipe, link_to_nowhere, link_to_itself])
def test_readers_of_single_files_skip_what_is_not_one(tmp_path: Path, make: Any) -> None:
    details = [{"example_abbr": "q", "correct": True}]
    good = tmp_path / "logs" / "results" / "good" / "t.json"
    good.parent.mkdir(parents=True)
    good.write_text(json.dumps({"details": details}))
    make(good.with_name("bad.json"))
    summary = ingest(tmp_path / "logs", tmp_path / "out", "opencompass")
    assert (summary.added, summary.dropped) == (["good"], {NOT_REGULAR: 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"doc_id": "\ud800"},
        {"metrics": ["\ud800"], "\ud800": 1.0},
        {"filter": "\ud800"},
    ],
)
def test_texts_that_are_not_unicode_fail_their_model_only(logs: Path, fields: dict[str, Any]) -> None:
    path = write(logs / "bad", "t", [])
    path.write_text(json.dumps(line(0) | fields) + "\n")
    summary = ingest(logs, logs.parent / "out")
    assert "good" in summary.added
    assert "\ud800" not in "".join(summary.lines())
    assert "bad" in {*summary.added, *summary.failed}
    write(logs / "other", "t", [line(0), line(1)])
    ingest(logs, logs.parent / "out")
    assert "other" in read_ingested(logs.parent / "out", max_missing=0.6).models["model_id"].to_pylist()


def test_huge_integers_are_missing_scores(logs: Path) -> None:
    path = write(logs / "bad", "t", [line(1)])
    path.write_text(path.read_text() + json.dumps(line(2)).replace('"acc": 1.0', f'"acc": {"9" * 400}') + "\n")
    summary = ingest(logs, logs.parent / "out")
    assert (summary.added, summary.missing) == (["bad", "good"], 1)
    path.write_text(path.read_text().replace("9" * 400, "9" * 5000))
    [error] = ingest(logs, logs.parent / "out").failed.values()
    assert isinstance(error, DataError)


@pytest.mark.parametrize("content", [{"config": {"model_sha": "a\ud800"}}, {"model_name": "org/\ud800"}])
def test_names_and_facts_are_checked_when_they_come_in(logs: Path, content: dict[str, Any]) -> None:
    write(logs / "bad", "t", [line(0)])
    path = write_results(logs / "bad", "org/bad")
    path.write_text(json.dumps({"results": {}, "model_name": "org/bad"} | content))
    summary = ingest(logs, logs.parent / "out")
    assert summary.added == ["good"]
    [error] = summary.failed.values()
    assert "Unicode" in str(error)
    assert "\\ud800" in str(error)
    write(logs / "other", "t", [line(0), line(1)])
    ingest(logs, logs.parent / "out")
    assert read_ingested(logs.parent / "out").scores.shape[0] == 2


def test_a_stored_fact_that_is_not_unicode_is_one_error(logs: Path) -> None:
    ingest(logs, logs.parent / "out")
    folder = open_folder(logs.parent / "out")
    [file] = list_model_files(folder)
    responses = read_responses(folder, file.name)
    (logs.parent / "out" / file.name).write_bytes(pack(responses, replace(file.record, facts={"revision": "a\ud800"})))
    with refuses(DataError, "Unicode", where=file.name, hint="ingest"):
        read_ingested(logs.parent / "out")


def test_a_file_name_that_is_not_utf8_fails_alone(logs: Path) -> None:
    text = (json.dumps(line(0)) + "\n").encode()
    (logs / "bad").mkdir()
    for name in (b"samples_\xff_2026-01-01T00-00-00.jsonl", b"samples_t_2026-01-01T00-00-00.jsonl"):
        Path(os.fsdecode(os.fsencode(logs / "bad") + b"/" + name)).write_bytes(text)
    folder_name = Path(os.fsdecode(os.fsencode(logs) + b"/\xfe"))
    folder_name.mkdir()
    (folder_name / "samples_t_2026-01-01T00-00-00.jsonl").write_bytes(text)
    summary = ingest(logs, logs.parent / "out")
    assert summary.added == ["bad", "good"]
    assert len(summary.failed) == 2
    assert all("Unicode" in str(error) for error in summary.failed.values())


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"details": ' * 100_000, "null", "[1]", '{"details": {"a": 1}}', '{"details": 5}']
)
def test_a_document_of_another_kind_fails_alone(tmp_path: Path, text: str) -> None:
    for model, document in (("good", json.dumps({"details": [{"correct": True}]})), ("bad", text)):
        path = tmp_path / "logs" / "results" / model / "t.json"
        path.parent.mkdir(parents=True)
        path.write_text(document)
    summary = ingest(tmp_path / "logs", tmp_path / "out", "opencompass")
    assert (summary.added, list(summary.failed)) == (["good"], ["bad"])


def test_a_table_of_another_kind_fails_alone(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    pq.write_table(pa.table({"item_id": ["a"], "m": [1.0]}), logs / "good.parquet")
    (logs / "bad.parquet").write_bytes(b"PAR1")
    pq.write_table(pa.table({"name": ["a"], "n": [1.0]}), logs / "other.parquet")
    summary = ingest(logs, tmp_path / "out", "scores")
    assert (summary.added, len(summary.failed)) == (["m"], 2)


def test_decimal_columns_are_scores(tmp_path: Path) -> None:
    scores = pa.array([Decimal("0.25"), Decimal("1.00"), None], pa.decimal128(5, 2))
    pq.write_table(pa.table({"item_id": ["a", "b", "c"], "m": scores}), tmp_path / "scores.parquet")
    summary = ingest(tmp_path / "scores.parquet", tmp_path / "out", "scores")
    assert (summary.responses, summary.missing, dict(summary.dropped)) == (2, 1, {"samples without a score": 1})
    assert finite_number(Decimal("sNaN")) is None
    assert finite_number(Decimal("1e999")) is None


def test_names_are_shown_without_control_characters() -> None:
    assert show_name("a\x1b[2J\nb\ud800\u202e") == "a\\x1b[2J\\nb\\ud800\\u202e"
    assert len(show_name("x" * 10_000)) < 300
    with refuses(DataError, "Unicode", where="model 2", got="\\ud800"):
        check_ids(["a", "\ud800"], "model")
