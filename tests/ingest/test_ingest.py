"""What all readers share: appending, conflicts, means, failures, and the resulting benchmark."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, DataError, DataWarning, StoreError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.core.storage.store import Store
from microbench_ray.data import Benchmark, read_ingested
from microbench_ray.data.ingested_items import item_versions
from microbench_ray.data.responses import list_model_files, model_file, read_responses
from microbench_ray.ingest import registry
from microbench_ray.ingest.base import Options, Sample
from microbench_ray.ingest.fold import OnConflict, fold
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.plain import PlainReader


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> PlainReader:
    reader = PlainReader()
    monkeypatch.setitem(registry.READERS, "plain", reader)
    return reader


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def run(tmp_path: Path, on_conflict: OnConflict = "error", options: Options | None = None) -> IngestSummary:
    """Ingest `logs/` into `board/`."""
    return run_ingest(
        IngestJob(
            source="plain",
            path=str(tmp_path / "logs"),
            out=tmp_path / "board",
            options=options or Options(),
            on_conflict=on_conflict,
        )
    )


def scores(benchmark: Benchmark) -> dict[str, dict[str, float | None]]:
    values = np.where(benchmark.scores == benchmark.missing, np.nan, benchmark.scores / benchmark.units)
    return {
        str(model): {
            str(item): None if np.isnan(value) else float(value) for item, value in zip(benchmark.item_ids, row, strict=True)
        }
        for model, row in zip(benchmark.model_ids, values, strict=True)
    }


def test_from_logs_to_a_benchmark(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q2 law 1", "q1 law 0", "q3 art 0.5")
    write(tmp_path / "logs/b.log", "q1 law 1", "q2 law 1", "q3 art 0")
    summary = run(tmp_path)
    assert (summary.added, summary.logs, summary.responses, summary.missing) == (["a", "b"], 2, 6, 0)
    benchmark = read_ingested(tmp_path / "board")
    assert benchmark.name == "board"
    assert scores(benchmark) == {"a": {"q3": 0.5, "q1": 0, "q2": 1}, "b": {"q3": 0, "q1": 1, "q2": 1}}
    assert benchmark.subtask_names == ["art", "law"]
    assert benchmark.metadata["family"].tolist() == ["a", "b"]


def test_relative_and_absolute_paths_are_the_same(tmp_path: Path, plain: PlainReader, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "logs/a.log", "q1 law 1")
    monkeypatch.chdir(tmp_path)
    assert run_ingest(IngestJob(source="plain", path="logs", out=Path("board"))).added == ["a"]
    assert run(tmp_path).unchanged == ["a"]


def test_repetitions_are_averaged_and_unscored_ones_are_missing(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1", "q1 all 0", "q1 all nan", "q2 all none", "q3 all 1")
    write(tmp_path / "logs/b.log", "q1 all 1", "q2 all 0", "q3 all 1")
    summary = run(tmp_path)
    assert summary.missing == 1
    assert scores(read_ingested(tmp_path / "board", max_missing=0.5))["a"] == {"q1": 0.5, "q2": None, "q3": 1}


def test_a_new_model_is_added_without_reading_the_others(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1")
    write(tmp_path / "logs/b.log", "q1 all 0")
    run(tmp_path)
    before = (tmp_path / "board" / model_file("a")).read_bytes()
    write(tmp_path / "logs/c.log", "q1 all 1")
    plain.read_logs.clear()
    summary = run(tmp_path)
    assert plain.read_logs == ["c.log"]
    assert (summary.added, summary.unchanged) == (["c"], ["a", "b"])
    assert (tmp_path / "board" / model_file("a")).read_bytes() == before
    assert read_ingested(tmp_path / "board").model_ids.tolist() == ["a", "b", "c"]


def test_a_changed_log_replaces_its_earlier_responses(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1", "q2 all 1")
    write(tmp_path / "logs/b.log", "q1 all 1", "q2 all 1")
    run(tmp_path)
    write(tmp_path / "logs/a.log", "q1 all 0", "q2 all 1")
    os.utime(tmp_path / "logs/a.log", ns=(1, 1))
    assert run(tmp_path).updated == ["a"]
    assert scores(read_ingested(tmp_path / "board"))["a"] == {"q1": 0, "q2": 1}


def test_logs_of_one_model_are_merged(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a@1.log", "q1 all 1", "q2 all none")
    write(tmp_path / "logs/a@2.log", "q1 all 1", "q2 all 0.5")
    write(tmp_path / "logs/b.log", "q1 all 1", "q2 all 1")
    run(tmp_path)
    assert scores(read_ingested(tmp_path / "board"))["a"] == {"q1": 1, "q2": 0.5}


def test_conflicting_logs_are_named_and_the_other_models_are_ingested(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a@1.log", "q1 all 1", "q2 all 1")
    write(tmp_path / "logs/a@2.log", "q1 all 0", "q2 all 1")
    write(tmp_path / "logs/b.log", "q1 all 1", "q2 all 0")
    summary = run(tmp_path)
    assert summary.added == ["b"]
    error = summary.failed["a"]
    assert error.where == "model 'a', item 'q1'"
    assert "a@1.log" in (error.got or "")
    assert "a@2.log" in (error.got or "")
    assert "on_conflict=last" in (error.hint or "")
    assert not (tmp_path / "board" / model_file("a")).exists()
    run(tmp_path, on_conflict="last")
    assert scores(read_ingested(tmp_path / "board"))["a"] == {"q1": 0, "q2": 1}


def test_conflicts_with_logs_ingested_earlier_are_found(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a@1.log", "q1 all 1")
    write(tmp_path / "logs/b.log", "q1 all 1")
    run(tmp_path)
    before = (tmp_path / "board" / model_file("a")).read_bytes()
    write(tmp_path / "logs/a@2.log", "q1 all 0")
    summary = run(tmp_path)
    assert "a@1.log" in str(summary.failed["a"])
    assert (tmp_path / "board" / model_file("a")).read_bytes() == before
    assert run(tmp_path, on_conflict="last").updated == ["a"]
    assert scores(read_ingested(tmp_path / "board"))["a"] == {"q1": 0}


def test_a_broken_log_leaves_its_model_as_it_was(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1", "broken")
    with refuses(DataError, "broken", where="a.log: line 2"):
        run(tmp_path)  # no model could be ingested
    write(tmp_path / "logs/b.log", "q1 all 1")
    assert list(run(tmp_path).failed) == ["a"]
    assert [file.record.model for file in list_model_files(open_folder(tmp_path / "board"))] == ["b"]


def test_a_score_outside_the_range_is_an_error_that_names_the_log(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 40")
    with refuses(DataError, "score", where="a.log: item 'q1'", got="40"):
        run(tmp_path)


def test_responses_to_other_versions_of_an_item_are_missing(tmp_path: Path, plain: PlainReader) -> None:
    for model in "abc":
        write(tmp_path / f"logs/{model}.log", "q1 all 1 old", "q2 all 1 x", "q3 all 1 x")
    write(tmp_path / "logs/d.log", "q1 all 0 new", "q2 all 0 x", "q3 all 0 x")
    run(tmp_path)
    benchmark = read_ingested(tmp_path / "board", max_missing=0.5)
    assert scores(benchmark)["d"] == {"q1": None, "q2": 0, "q3": 0}
    assert "'q1'" in benchmark.notes[0]


def test_items_that_few_models_answered_are_left_out(tmp_path: Path, plain: PlainReader) -> None:
    for model in "abc":
        write(tmp_path / f"logs/{model}.log", "q1 all 1", "q2 all 0")
    write(tmp_path / "logs/d.log", "q1 all 1", "q2 all 0", "q9 all 1")
    run(tmp_path)
    assert read_ingested(tmp_path / "board").item_ids.tolist() == ["q1", "q2"]
    assert "'q9'" in read_ingested(tmp_path / "board").notes[0]
    kept = read_ingested(tmp_path / "board", min_answered=0, max_missing=0.5)
    assert kept.item_ids.tolist() == ["q1", "q2", "q9"]


def test_the_order_of_reading_does_not_matter(tmp_path: Path, plain: PlainReader) -> None:
    rng = np.random.default_rng(0)
    lines = {m: [f"q{i} {'xy'[i % 2]} {rng.integers(2)} v{rng.integers(2)}" for i in rng.permutation(9)] for m in "abcdef"}
    digests = set()
    for order in ("abcdef", "fcadbe"):
        folder = tmp_path / order
        for model in order:
            write(folder / f"logs/{model}.log", *lines[model])
            run(folder)
        digests.add(read_ingested(folder / "board", max_missing=1).digest)
    assert len(digests) == 1


def test_models_csv_adds_metadata(tmp_path: Path, plain: PlainReader) -> None:
    for model in "ab":
        write(tmp_path / f"logs/{model}.log", "q1 all 1")
    run(tmp_path)
    (tmp_path / "board/models.csv").write_text("model_id,params,family\na,7e9,llama\nz,1,unknown\n")
    metadata = read_ingested(tmp_path / "board").metadata
    assert metadata["family"].tolist() == ["llama", "b"]
    assert metadata["params"].tolist()[0] == 7e9


def test_model_names_that_are_not_file_names(tmp_path: Path, plain: PlainReader) -> None:
    hostile = ["../../etc/passwd", "/root", "a/b", "a_b", "x" * 500, "", "a\0b"]
    files = {model_file(name) for name in hostile}
    assert len(files) == len(hostile)
    for name in files:
        assert name.count("/") == 1
        assert name.split("/")[1] not in (".", "..")
        assert len(name) < 200


def test_a_folder_has_one_set_of_settings(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1")
    run(tmp_path)
    with refuses(ConfigError, "settings", where=str(tmp_path / "board"), got="metric not given before, metric=f1 now", hint="out="):
        run(tmp_path, options=Options(metric="f1"))


def test_a_damaged_file_is_named(tmp_path: Path, plain: PlainReader) -> None:
    for model in "ab":
        write(tmp_path / f"logs/{model}.log", "q1 all 1")
    run(tmp_path)
    path = tmp_path / "board" / model_file("a")
    path.write_bytes(path.read_bytes()[:-20])
    with refuses(DataError, "responses", where=str(path)):
        read_ingested(tmp_path / "board")


def test_an_empty_folder(tmp_path: Path) -> None:
    with refuses(DataError, "responses", where=str(tmp_path)):
        read_ingested(tmp_path)


class Killed(BaseException):
    """Stands for a kill just before a write."""


def test_a_job_killed_at_any_write_resumes_to_the_same_files(
    tmp_path: Path, plain: PlainReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in "abcd":
        write(tmp_path / f"logs/{model}.log", "q1 all 1", "q2 all 0")
    run(tmp_path)
    expected = {path.name: path.read_bytes() for path in (tmp_path / "board").rglob("*.*") if path.is_file()}
    real_write, remaining = Store.write, 0

    def write_or_die(store: Store, name: str, content: bytes) -> None:
        nonlocal remaining
        if remaining == 0:
            raise Killed
        remaining -= 1
        real_write(store, name, content)

    monkeypatch.setattr(Store, "write", write_or_die)
    job = IngestJob(source="plain", path=str(tmp_path / "logs"), out=tmp_path / "killed")
    for after in range(100):
        remaining = after
        try:
            run_ingest(job)
        except Killed:
            continue
        break
    assert 2 <= after < 100
    assert {path.name: path.read_bytes() for path in (tmp_path / "killed").rglob("*.*") if path.is_file()} == expected


def test_a_full_disk_leaves_no_partial_files(tmp_path: Path, plain: PlainReader, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1")
    monkeypatch.setattr("microbench_ray.core.storage.store.DISK_PATIENCE", 0.0)

    def full(folder: object, name: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microbench_ray.core.storage.folders.LocalFolder.write", full)
    with refuses(StoreError, "cannot be written", where=str(tmp_path / "board")):
        run(tmp_path)
    monkeypatch.undo()
    assert list((tmp_path / "board").rglob("*.parquet")) == []


def test_one_process_at_a_time(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 all 1")
    with Store(tmp_path / "board", folders=("models",)).locked(0), refuses(StoreError, "process", where=str(tmp_path / "board")):
        run(tmp_path)


def test_the_rows_of_a_file(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q2 law 1 c2", "q1 law 0 c1")
    run(tmp_path)
    rows = read_responses(open_folder(tmp_path / "board"), model_file("a")).to_pylist()
    assert [(row["item_id"], row["score"], row["content"], row["position"]) for row in rows] == [
        ("q1", 0.0, "c1", "2"),
        ("q2", 1.0, "c2", "1"),
    ]
    assert rows[0]["log"] == (tmp_path / "logs/a.log").resolve().as_posix()


@pytest.mark.usefixtures("plain")
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "logs/a.log", "q1 law 1", "q2 law none")
    write(tmp_path / "logs/b.log", "broken")
    arguments = ["ingest", "source=plain", f"path={tmp_path / 'logs'}", f"out={tmp_path / 'board'}"]
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert "1 added, 0 updated, 0 unchanged, 1 failed" in output.out
    assert "items: 2, subtasks: 1, responses: 1, missing: 1" in output.out
    assert "b.log: line 1" in output.err
    assert json.loads((tmp_path / "board/ingest.json").read_text())["source"] == "plain"
    assert main([*arguments[:1], "source=nothing", *arguments[2:]]) == 1
    assert "valid:" in capsys.readouterr().err


def test_versions_of_items_are_listed_once_for_all_models(tmp_path: Path, plain: PlainReader) -> None:
    for number in range(70):  # every model answers a different set of items
        version = "old" if number % 2 else "new"
        write(tmp_path / f"logs/m{number}.log", f"q1 law 1 {version}", f"r{number:02} art 1", "q2 art 0 x")
    run(tmp_path)
    rows = item_versions(tmp_path / "board").to_pylist()
    assert [(row["item_id"], row["content"]) for row in rows[:3]] == [("q1", "new"), ("q1", "old"), ("q2", "x")]
    assert [row["item_id"] for row in rows[3:]] == [f"r{number:02}" for number in range(70)]
    with pytest.warns(DataWarning, match="exchanged"):  # 70 numbered models, 2 items that they share
        benchmark = read_ingested(tmp_path / "board", max_missing=0.5)
    assert "35 responses" in benchmark.notes[0]
    assert scores(benchmark)["m1"] == {"q1": None, "q2": 0}


def test_answers_are_averaged_if_all_repetitions_have_as_many() -> None:
    def sample(item: str, score: float | None, *answers: float) -> Sample:
        confidence, label = (answers[0], 0) if answers else (None, None)
        return Sample(item_id=item, subtask="s", score=score, confidence=confidence, answers=answers or None, label=label)

    samples = [sample("a", 1, 0.75, 0.25), sample("a", None), sample("a", 0, 0.25, 0.75)]
    samples += [sample("b", 1, 0.75, 0.25), sample("b", 1, 0.5, 0.25, 0.25), sample("c", 1, 0.5, 0.5), sample("c", 1)]
    rows = fold([*samples, sample("d", None)], "log").to_pylist()
    assert [row["score"] for row in rows] == [0.5, 1, 1, None]
    assert [row["answers"] for row in rows] == [[0.5, 0.5], None, None, None]
    assert [row["label"] for row in rows] == [0, None, None, None]
    assert [row["confidence"] for row in rows] == [0.5, 0.625, None, None]


def test_probabilities_are_those_of_samples_with_a_score() -> None:
    def sample(item: str, score: float | None, confidence: float | None) -> Sample:
        return Sample(item_id=item, subtask="s", score=score, confidence=confidence)

    rows = fold([sample("a", None, None), sample("a", 1, 0.25), sample("a", 0, 0.75), sample("b", -0.0, None)], "log").to_pylist()
    assert [row["confidence"] for row in rows] == [0.5, None]
    assert repr([row["score"] for row in rows]) == "[0.5, 0.0]"
    assert fold([sample("a", None, 0.5), sample("b", 1, 0.5)], "log")["confidence"].to_pylist() == [None, 0.5]


def test_one_object_given_twice_is_two_repetitions() -> None:
    right = Sample(item_id="a", subtask="s", score=1.0)
    assert fold([right, right, right._replace(score=0.0)], "log")["score"].to_pylist() == [2 / 3]


def test_metadata_with_two_rows_for_a_model_is_refused(tmp_path: Path, plain: PlainReader) -> None:
    write(tmp_path / "logs/a.log", "q1 law 0")
    write(tmp_path / "logs/b.log", "q1 law 1")
    run(tmp_path)
    (tmp_path / "board/models.csv").write_text("model_id,params\na,7e9\na,8e9\n")
    with refuses(DataError, "model", where="models.csv", got="'a'"):
        read_ingested(tmp_path / "board")


@pytest.mark.parametrize("content", ["[]", "null", "3", "{"])
def test_damaged_settings(tmp_path: Path, plain: PlainReader, content: str) -> None:
    write(tmp_path / "logs/a.log", "q1 law 0")
    run(tmp_path)
    (tmp_path / "board/ingest.json").write_text(content)
    with refuses(DataError, "damaged", where=str(tmp_path / "board/ingest.json"), hint="remove"):
        run(tmp_path)
