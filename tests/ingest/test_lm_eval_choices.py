"""lm-evaluation-harness: one metric and one filter for all logs of a task, and revisions of a model as models of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data.ingested import read_ingested
from microbench_ray.ingest.base import Options, Scale, Tally
from microbench_ray.ingest.lm_eval import LmEvalReader
from microbench_ray.ingest.open_llm import OpenLlmReader
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import TIME, line, read, read_one, write, write_results

READER = LmEvalReader()
LATER = "2026-02-01T00-00-00.5"


def ingest(path: Path, out: Path, source: str = "lm_eval", **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=out, options=Options(**options)))


def scored(k: int, **metrics: Any) -> dict[str, Any]:
    return line(k, **{"acc": None, "metrics": list(metrics), **metrics})


def two_revisions(folder: Path, second_task: str) -> None:
    for k, (task, time) in enumerate((("t", TIME), (second_task, LATER))):
        write(folder, task, [line(0, acc=float(k))], time)
        write_results(folder, "org/a", time, config={"model_args": {"pretrained": "org/a", "revision": f"step{k}"}})


@pytest.mark.parametrize("second_task", ["t", "u"])
def test_revisions_are_models_of_their_own(tmp_path: Path, second_task: str) -> None:
    two_revisions(tmp_path / "logs", second_task)
    assert ingest(tmp_path / "logs", tmp_path / "out").added == ["org/a@step0", "org/a@step1"]
    assert ingest(tmp_path / "logs", tmp_path / "one", models=("org/a@step1",)).added == ["org/a@step1"]
    assert len(ingest(tmp_path / "logs", tmp_path / "both", models=("org/a",)).added) == 2


@pytest.mark.parametrize(
    ("arguments", "model"),
    [
        ("pretrained=org/a,revision=step1", "org/a@step1"),
        ({"pretrained": "org/a", "revision": 143000}, "org/a@143000"),
        ("pretrained=org/a,revision=main", "org/a"),
        ({"pretrained": "org/a", "revision": None}, "org/a"),
        ({"pretrained": "org/a", "subfolder": "step1"}, "org/a@main/step1"),
    ],
)
def test_the_revision_is_read_from_the_arguments(tmp_path: Path, arguments: Any, model: str) -> None:
    write(tmp_path, "t", [line(0)])
    write_results(tmp_path, "org/a", config={"model_args": arguments})
    [(log, _)], _ = read(READER, tmp_path)
    assert log.model == model


def test_two_commits_of_one_model_are_refused_also_when_the_second_is_added_later(tmp_path: Path) -> None:
    logs, out = tmp_path / "logs", tmp_path / "out"
    for task, time, commit in (("t", TIME, "aaa1"), ("u", LATER, "bbb2")):
        write(logs, task, [line(0)], time)
        write_results(logs, "org/a", time, config={"model_sha": commit})
        if task == "t":
            ingest(logs, out)
    with refuses(DataError, "revisions", where="org/a", got="'org/a@bbb2'"):
        ingest(logs, out)
    with refuses(DataError, "revisions", where="org/a", got="'org/a@aaa1'", hint="out="):
        ingest(logs, tmp_path / "new")


def test_samples_between_the_results_of_two_revisions_are_refused(tmp_path: Path) -> None:
    two_revisions(tmp_path, "t")
    path = write(tmp_path, "t", [line(0)], "2026-03-01T00-00-00.5")
    tally = Tally()
    READER.find(tmp_path, Options(), tally)
    assert list(tally.failed) == [str(path)]
    assert "revision" in str(tally.failed[str(path)])


def test_the_leaderboard_reads_the_latest_revision(tmp_path: Path) -> None:
    for task, time, commit in (("gpqa_main", TIME, "aaa1"), ("gpqa_main", LATER, "bbb2"), ("musr_x", TIME, "aaa1")):
        write(tmp_path, f"leaderboard_{task}", [line(0, acc=None, metrics=["acc_norm"], acc_norm=1.0)], time)
        write_results(tmp_path, "org/m", time, config={"model_sha": commit})
    logs, tally = read(OpenLlmReader(), tmp_path)
    assert [(log.model, log.part, log.revision) for log, _ in logs] == [("org/m", "leaderboard_gpqa_main", "bbb2")]
    assert tally.dropped == {"logs of earlier runs": 1, "logs of earlier revisions of a model": 1}


def test_an_unscored_first_line_is_one_missing_response(tmp_path: Path) -> None:
    write(tmp_path, "t", [line(0, metrics=[]) | {"acc": None}, line(1)])
    write(tmp_path, "old", [line(0, metrics=None, acc=None), line(1, metrics=None)])
    logs, _ = read(READER, tmp_path)
    assert [[sample.score for sample in samples] for _, samples in logs] == [[None, 1.0], [None, 1.0]]


def test_a_task_has_one_metric_whatever_the_first_line_of_a_log(tmp_path: Path) -> None:
    write(tmp_path / "a", "t", [scored(0, x_max=0.0, x_acc=0), scored(1, x_max=31.5, x_acc=1)])
    write(tmp_path / "b", "t", [scored(0, x_max=22.5, x_acc=1), scored(1, x_max=0.5, x_acc=1)])
    logs, tally = read(READER, tmp_path)
    assert tally.choices == {"t: metric x_acc": 2}
    assert [[sample.score for sample in samples] for _, samples in logs] == [[0.0, 1.0], [1.0, 1.0]]


def test_the_metric_of_a_task_is_one_that_most_logs_have(tmp_path: Path) -> None:
    write(tmp_path / "a", "t", [scored(0, acc=1.0, acc_norm=0.0)])
    write(tmp_path / "b", "t", [scored(0, acc=1.0)])
    _, tally = read(READER, tmp_path)
    assert tally.choices == {"t: metric acc": 2}


def test_a_task_has_one_filter_whatever_the_first_line_of_a_log(tmp_path: Path) -> None:
    for model, filters in (("a", ["strict", "loose"]), ("b", ["loose", "strict"]), ("c", ["strict", "loose"])):
        write(tmp_path / model, "t", [line(0, filter=each, acc=float(each == "strict")) for each in filters])
    logs, _ = read(READER, tmp_path)
    assert [sample.score for _, samples in logs for sample in samples] == [1.0] * 3


@pytest.mark.parametrize("declared", ["higher_is_better", "metric_list", "nowhere"])
def test_metrics_of_which_lower_values_are_better_are_no_scores(tmp_path: Path, declared: str) -> None:
    contents: dict[str, dict[str, Any]] = {
        "higher_is_better": {"higher_is_better": {"t": {"pct_stereotype": False, "other": True}}},
        "metric_list": {"configs": {"t": {"metric_list": [{"metric": "pct_stereotype", "higher_is_better": False}]}}},
        "nowhere": {},
    }
    content = contents[declared]
    write(tmp_path / "t", "t", [scored(0, pct_stereotype=1.0)])
    write_results(tmp_path / "t", "org/a", **content)
    with refuses(DataError, "lower", where="'t'", got="pct_stereotype", hint="tasks="):
        read_one(READER, tmp_path)
    if declared != "nowhere":
        with refuses(DataError, "lower", got="pct_stereotype", hint="metric="):
            read_one(READER, tmp_path, Options(metric="pct_stereotype"))
    write(tmp_path / "t", "t", [scored(0, pct_stereotype=1.0, other=0.5)])
    assert read_one(READER, tmp_path)[0].score == 0.5


def test_a_task_without_a_score_leaves_the_other_tasks_of_its_models(tmp_path: Path) -> None:
    write(tmp_path / "logs", "t", [scored(0, perplexity=0.5)])
    write(tmp_path / "logs", "u", [line(0)])
    summary = ingest(tmp_path / "logs", tmp_path / "out")
    assert (summary.added, len(summary.items), list(summary.failed)) == (["logs"], 1, ["task t"])


def test_a_model_without_responses_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "results" / "a" / "t.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"accuracy": 50.0}))
    with refuses(DataError, "no responses", where="'a'", got="without per-sample details"):
        ingest(tmp_path, tmp_path / "out", "opencompass")
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_real_logs_of_revisions_and_unscored_lines(test_data: Path, tmp_path: Path) -> None:
    faults = test_data / "faults"
    for name, models in (("lm_eval_revisions/same_task", 8), ("lm_eval_revisions/two_tasks", 2), ("lm_eval_two_revisions_tiny", 2)):
        assert len(ingest(faults / name, tmp_path / name).added) == models
    summary = ingest(faults / "lm_eval_first_line_unscored", tmp_path / "unscored")
    assert (summary.responses, summary.missing) == (1, 1)
    summary = ingest(faults / "lm_eval_lower_is_better" / "truthfulqa_gen", tmp_path / "several")
    assert (len(summary.added), summary.failed, list(summary.choices)) == (8, {}, ["truthfulqa_gen: metric bleu_acc"])
    assert set(np.unique(read_ingested(tmp_path / "several").scores)) <= {0, 1}
    with refuses(DataError, "lower", got="pct_stereotype"):
        ingest(faults / "lm_eval_lower_is_better" / "crows_pairs_english", tmp_path / "lower")


@pytest.mark.parametrize(
    ("name", "metric", "options"),
    [
        ("lm_eval_lower_is_better/truthfulqa_gen", "bleu_acc", {}),
        ("lm_eval_lower_is_better/crows_pairs_english", "pct_stereotype", {"metric": "pct_stereotype", "scale": Scale(0, 1)}),
        ("lm_eval_revisions/same_task", "acc", {}),
    ],
)
def test_means_of_real_logs_are_those_that_the_tool_reports(
    test_data: Path, tmp_path: Path, name: str, metric: str, options: dict[str, Any]
) -> None:
    reported = []
    for file in (test_data / "faults" / name).rglob("results_*.json"):
        content = json.loads(file.read_text())
        [means] = content["results"].values()
        revision = content["config"]["model_args"].get("revision")
        value = means[f"{metric},none"]
        reported.append((content["model_name"] + (f"@{revision}" if revision else ""), 1 - value if options else value))
    ingest(test_data / "faults" / name, tmp_path, **options)
    benchmark = read_ingested(tmp_path)
    means = (benchmark.scores / benchmark.units).mean(axis=1)
    assert dict(zip(benchmark.model_ids, means, strict=True)) == pytest.approx(dict(reported), abs=1e-9)
