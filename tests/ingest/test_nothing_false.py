"""What is read and what is not is said: sources without responses, models left out, pointers of Git LFS, logs without a score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.data import Benchmark
from microbench_ray.data.missing import MAX_NAMED
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers import tool_logs
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import line, write

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
FILES = {
    "lm_eval": "samples_t_2026-01-21T03-44-18.458309.jsonl",
    "inspect": "a.eval",
    "helm": "s/run_spec.json",
    "every_eval_ever": "a_samples.jsonl",
    "lighteval": "details/org/m/2026-05-01T10-00-00.000000/details_t|0_2026-05-01T10-00-00.000000.parquet",
    "opencompass": "results/a/t.json",
    "table": "t.parquet",
}


def ingest(source: str, path: Path, out: Path, **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=out, options=Options(**options)))


def scored(k: int, **metrics: Any) -> dict[str, Any]:
    return line(k, **{"acc": None, "metrics": list(metrics), **metrics})


@pytest.mark.parametrize("source", FILES)
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, source: str) -> None:
    file = tmp_path / "logs" / FILES[source]
    file.parent.mkdir(parents=True)
    file.write_text(POINTER)
    paths = [tmp_path / "logs"] if source == "helm" else [tmp_path / "logs", file]
    for path in paths:
        with refuses(DataError, "Git LFS", where=file.name, hint="git lfs pull"):
            ingest(source, path, tmp_path / "out")


@pytest.mark.parametrize("layout", sorted(tool_logs.WRITERS))
def test_a_pointer_among_the_logs_of_a_tool_is_called_one(tmp_path: Path, layout: str) -> None:
    source, write_logs = tool_logs.WRITERS[layout]
    write_logs(tmp_path / "logs", 2, 3)
    largest = max((file for file in (tmp_path / "logs").rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    largest.write_text(POINTER)
    try:
        errors = list(ingest(source, tmp_path / "logs", tmp_path / "out").failed.values())
    except DataError as error:  # the only file, of all models
        errors = [error]
    assert [error.got for error in errors] == ["a pointer"]
    assert largest.name in (errors[0].where or "")


def test_pointers_among_logs_are_named_and_the_others_are_read(tmp_path: Path) -> None:
    write(tmp_path / "logs" / "a", "t", [line(0)])
    other = write(tmp_path / "logs" / "b", "t", [])
    other.write_text(POINTER)
    summary = ingest("lm_eval", tmp_path / "logs", tmp_path / "out")
    assert (summary.added, list(summary.failed)) == (["a"], [str(other)])


def test_a_results_file_that_is_a_pointer(tmp_path: Path) -> None:
    write(tmp_path / "a", "t", [line(0)])
    (tmp_path / "a" / "results_2026-01-21T03-44-18.458309.json").write_text(POINTER)
    with refuses(DataError, "Git LFS", where="results_"):
        ingest("lm_eval", tmp_path, tmp_path / "out")


def details(folder: Path, model: str, task: str, scores: list[Any]) -> None:
    file = folder / "results" / model / f"{task}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"accuracy": 50.0, "details": [{"correct": score} for score in scores]}))


@pytest.mark.parametrize("scores", [[], [None, None]])
def test_a_source_from_which_no_response_came_is_an_error(tmp_path: Path, scores: list[Any], capsys: Any) -> None:
    details(tmp_path / "logs", "a", "t", scores)
    with refuses(DataError, "no responses", where="'a'", got="without"):
        ingest("opencompass", tmp_path / "logs", tmp_path / "out")
    assert main(["ingest", "source=opencompass", f"path={tmp_path / 'logs'}", f"out={tmp_path / 'other'}"]) == 1
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_a_log_without_a_response_beside_others_is_named(tmp_path: Path) -> None:
    details(tmp_path / "logs", "a", "t", [True])
    details(tmp_path / "logs", "a", "u", [None])
    [said] = [text for text in ingest("opencompass", tmp_path / "logs", tmp_path / "out").lines() if "without a response" in text]
    assert "a: u" in said


def test_a_model_whose_logs_are_all_left_out_is_named(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    for model, status in (("good", "success"), ("bad", "error"), ("good", "cancelled")):
        spec = {"created": "2026-01-01T00:00:00+00:00", "task": "t", "model": model, "dataset": {}, "config": {}}
        sample = {"id": 1, "epoch": 1, "input": "?", "target": "A", "scores": {"s": {"value": "C"}}}
        document = {"version": 2, "status": status, "eval": spec, "samples": [sample]}
        (tmp_path / f"{model}-{status}.json").write_text(json.dumps(document))
    lines = ingest("inspect", tmp_path, tmp_path / "out").lines()
    [said] = [text for text in lines if "without a log" in text]
    assert "'bad'" in said
    assert "status error" in said


def test_every_dropped_model_is_named_with_what_is_missing() -> None:
    n_models, subtasks = 16, ["s", "s", "t", "u"]
    scores = np.ones((n_models, 4))
    scores[::2, 2:] = np.nan
    scores[0, 0] = np.nan
    benchmark = Benchmark.from_arrays("b", scores, list("abcd"), [f"m{k}" for k in range(n_models)], subtasks=subtasks)
    [note] = [each for each in benchmark.notes if "dropped" in each]
    assert all(f"'m{k}' (" in note for k in range(0, n_models, 2))
    assert "'m0' (75.0% missing, all of 't', 'u')" in note
    assert MAX_NAMED >= 20


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([0.5, 1.0], "list"),
        ({"a": 0.5}, "several values"),
        (31.5, "31.5, out of range"),
        ("good", "a text"),
        (None, "no value"),
    ],
)
def test_a_log_without_a_score_says_why_no_metric_fits(tmp_path: Path, value: Any, reason: str) -> None:
    write(tmp_path, "t", [scored(0, made_up=value, perplexity=[-3.5, 2])])
    with refuses(DataError, "metric", got="'made_up'", hint="tasks=") as caught:
        ingest("lm_eval", tmp_path, tmp_path / "out")
    assert reason in (caught.value.got or "")
    assert "'perplexity': a list" in (caught.value.got or "")


def test_a_score_among_metrics_that_are_none_is_read(tmp_path: Path) -> None:
    write(
        tmp_path / "logs", "t", [scored(0, bleu=[["x"], "y"], judge=7, right=0.5), scored(1, bleu=[["x"], "y"], judge=0.5, right=1)]
    )
    summary = ingest("lm_eval", tmp_path / "logs", tmp_path / "out")
    assert list(summary.choices) == ["t: metric right"]
