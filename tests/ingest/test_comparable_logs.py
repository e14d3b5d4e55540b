"""Logs of one task are read alike for all models: one scorer, one metric, the same items, one revision of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.data.ingested import read_ingested
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.every_eval_ever import EveryEvalEverReader
from microbench_ray.ingest.inspect_logs import InspectReader
from microbench_ray.ingest.opencompass import OpenCompassReader
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all

TIMES = ("2026-05-01T10-00-00.000000", "2026-05-02T10-00-00.000000")


def ingest(source: str, path: Path, out: Path, **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=out, options=Options(**options)))


def write_json(file: Path, document: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document), encoding="utf-8")
    return file


# --- Inspect


def inspect_log(file: Path, scores: dict[str, Any], model: str = "one", **sample: Any) -> Path:
    spec = {"created": "2026-01-01T00:00:00+00:00", "task": "sums", "model": model, "dataset": {}, "config": {}}
    spec["model_args"] = sample.pop("model_args", {})
    results = {"scores": [{"name": name, "scorer": name, "metrics": {}} for name in scores]}
    document = {"id": 1, "epoch": 1, "input": "?", "target": "A", "scores": {k: {"value": v} for k, v in scores.items()}}
    samples = [document | sample, document | sample | {"id": 2, "scores": {}}]
    return write_json(file, {"version": 2, "status": "success", "eval": spec, "results": results, "samples": samples})


def test_inspect_reads_one_scorer_whatever_its_position(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    inspect_log(tmp_path / "a.json", {"strict": "I", "loose": "C"}, "a")
    inspect_log(tmp_path / "b.json", {"loose": "C", "strict": "I"}, "b")
    inspect_log(tmp_path / "c.json", {"strict": "I", "loose": "C"}, "c")
    samples, tally = read_all(InspectReader(), tmp_path)
    assert {model: [sample.score for sample in found] for model, found in samples.items()} == {model: [0, None] for model in "abc"}
    assert tally.choices == {"sums: scorer strict": 3}


def test_inspect_logs_without_a_scorer_in_common_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    inspect_log(tmp_path / "a.json", {"strict": "I"}, "a")
    inspect_log(tmp_path / "b.json", {"loose": "C"}, "b")
    summary = ingest("inspect", tmp_path, tmp_path / "out")
    assert len(summary.added) == 1
    [error] = summary.failed.values()
    assert "strict" in str(error)
    assert "loose" in str(error)


def test_inspect_items_with_shuffled_choices_are_the_same_items(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    contents = []
    for model, choices, target in (("a", ["x", "y", "z"], "C"), ("b", ["z", "x", "y"], "A"), ("c", ["z", "x", "y"], "B")):
        inspect_log(tmp_path / f"{model}.json", {"choice": "C"}, model, choices=choices, target=target)
        contents.append(read_all(InspectReader(), tmp_path, Options(models=(model,)))[0][model][0].content)
    assert contents[0] == contents[1]
    assert contents[2] != contents[0]


def test_inspect_revisions_are_models_of_their_own(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    for k in range(2):
        inspect_log(tmp_path / f"{k}.json", {"choice": "C"}, "hf/org/a", model_args={"revision": f"step{k}"})
    assert list(read_all(InspectReader(), tmp_path)[0]) == ["hf/org/a@step0", "hf/org/a@step1"]


# --- lighteval


def lighteval_run(folder: Path, time: str, task: str, metrics: dict[str, float], **config: Any) -> None:
    file = folder / "details" / "org" / "m" / time / f"details_{task}_{time}.parquet"
    file.parent.mkdir(parents=True)
    doc = {"query": "?", "choices": ["yes", "no"], "gold_index": [0], "id": "0"}
    pq.write_table(pa.Table.from_pylist([{"doc": doc, "metric": metrics, "model_response": {"logprobs": None}}]), file)
    if config:
        write_json(folder / "results" / "org" / "m" / f"results_{time}.json", {"config_general": config})


@pytest.mark.parametrize(
    ("configs", "models"),
    [
        ([{"model_config": {"revision": f"step{k}"}} for k in range(2)], ["org/m@step0", "org/m@step1"]),
        ([{"model_name": f"org/m,revision=step{k}"} for k in range(2)], ["org/m@step0", "org/m@step1"]),
        ([{"model_config": {"revision": "main"}, "model_sha": "abc"}] * 2, ["org/m"]),
    ],
)
def test_lighteval_revisions(tmp_path: Path, configs: list[dict[str, Any]], models: list[str]) -> None:
    for k in range(2):
        lighteval_run(tmp_path / "logs", TIMES[k], f"t{k}", {"em": float(k)}, **configs[k])
    assert ingest("lighteval", tmp_path / "logs", tmp_path / "out").added == models


def test_several_lighteval_runs_of_unknown_revisions_are_refused(tmp_path: Path) -> None:
    for k in range(2):
        lighteval_run(tmp_path, TIMES[k], f"t{k}", {"em": float(k)})
    with refuses(DataError, "revisions", where="org/m", got=f"results_{TIMES[0]}.json", hint="results file"):
        ingest("lighteval", tmp_path, tmp_path / "out")


def test_a_task_with_two_metrics_is_refused_also_when_the_second_log_comes_later(tmp_path: Path) -> None:
    for model, metric in (("a", "em"), ("b", "f1")):
        folder = tmp_path / "logs" / "details" / model / TIMES[0]
        folder.mkdir(parents=True)
        row = {"doc": {"query": "?", "choices": [], "gold_index": [0], "id": "0"}, "metric": {metric: 1.0}, "model_response": {}}
        row["model_response"] = {"logprobs": None}
        pq.write_table(pa.Table.from_pylist([row]), folder / f"details_t_{TIMES[0]}.parquet")
        summary = ingest("lighteval", tmp_path / "logs", tmp_path / "out")
    [error] = summary.failed.values()
    assert "'f1'" in str(error)
    assert "'em'" in str(error)


# --- OpenCompass


def opencompass(folder: Path, **document: Any) -> list[float | None]:
    write_json(folder / "results" / "a" / "t.json", document)
    samples, _ = read_all(OpenCompassReader(), folder)
    return [sample.score for sample in samples.get("a", [])]


@pytest.mark.parametrize(
    ("accuracy", "predictions", "scores"),
    [
        (50.0, [["A"], ["B"]], [1, 0]),
        (100 / 3, ["A", "B", "C: not attempted"], [1, 0, 0]),
        (75.0, [["A", "A"], ["A", "B"]], [1, 0.5]),
        (100.0, [["A"], ["B"]], []),
    ],
)
def test_verdicts_of_a_judge_are_read_if_they_give_the_logged_accuracy(
    tmp_path: Path, accuracy: float, predictions: list[Any], scores: list[float]
) -> None:
    details = [{"example_abbr": f"q_{k}", "prediction": each, "gold": ["1"]} for k, each in enumerate(predictions)]
    assert opencompass(tmp_path, accuracy=accuracy, details=details) == scores


def test_a_cascade_that_ends_with_the_rules(tmp_path: Path) -> None:
    def detail(rule: bool, **change: Any) -> dict[str, Any]:
        return {"rule_evaluation": [{"correct": rule}], **change}

    assert opencompass(tmp_path / "rules", details=[detail(True), detail(True)]) == [1, 1]
    judged = detail(False, llm_evaluation=[{"llm_correct": True}], cascade_correct=[True])
    assert opencompass(tmp_path / "both", details=[judged, detail(True), detail(False)]) == [1, 1, 0]


# --- Every Eval Ever


def eee(folder: Path, lines: list[dict[str, Any]], model: str = "org/a", revision: str | None = None, name: str = "0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    identity = {"model_id": model, "sample_id": "q"}
    file = folder / f"{name}_samples.jsonl"
    file.write_text("".join(json.dumps(identity | each) + "\n" for each in lines))
    arguments = str({"pretrained": model, "revision": revision})
    info = {"model_info": {"additional_details": {"model_args": arguments}}, "evaluation_results": []}
    write_json(folder / f"{name}.json", info)
    return file


def eee_line(answer_filter: str, prompt: str = "?", score: float = 1.0, document: str | None = "abc") -> dict[str, Any]:
    metadata = {"filter": answer_filter, "doc_hash": document}
    return {
        "evaluation_name": f"t/{answer_filter}",
        "input": {"raw": prompt, "reference": ["1"]},
        "evaluation": {"score": score},
        "metadata": metadata,
    }


def test_converted_logs_have_one_filter_and_compare_documents_not_prompts(tmp_path: Path) -> None:
    contents = set()
    for model in ("org/a", "org/b"):
        lines = [eee_line("strict", f"<{model}>?", 0.0), eee_line("loose", f"<{model}>?")]
        eee(tmp_path / model, lines, model)
        samples, tally = read_all(EveryEvalEverReader(), tmp_path / model)
        assert [sample.score for sample in samples[model]] == [0.0]
        assert tally.dropped == {"samples of another filter": 1}
        contents.add(samples[model][0].content)
    assert len(contents) == 1
    loose, _ = read_all(EveryEvalEverReader(), tmp_path, Options(filter="loose"))
    assert [sample.score for sample in loose["org/a"]] == [1.0]


def test_every_eval_ever_revisions_are_models_of_their_own(tmp_path: Path) -> None:
    for k in range(2):
        eee(tmp_path, [eee_line("none")], revision=f"step{k}", name=str(k))
    assert list(read_all(EveryEvalEverReader(), tmp_path)[0]) == ["org/a@step0", "org/a@step1"]


def test_the_same_items_in_versions_of_their_own_are_named(tmp_path: Path) -> None:
    for k in range(4):
        eee(tmp_path / "logs", [eee_line("none", f"<{k}>?", document=None)], f"org/{k}", name=str(k))
    ingest("every_eval_ever", tmp_path / "logs", tmp_path / "out")
    for min_answered in (0.0, 0.5):
        with refuses(DataError, "versions", got="1 items", hint="join=id") as caught:
            read_ingested(tmp_path / "out", min_answered=min_answered)
        assert all(text in (caught.value.got or "") for text in ("<0>?", "<1>?", "org/0", "org/1"))


# --- logs of the real tools


@pytest.mark.parametrize(
    ("source", "name", "shape", "means"),
    [
        ("inspect", "inspect_two_scorers", (8, 24), {"mockllm/mock-00": 0.125}),
        ("inspect", "inspect_shuffled_choices", (8, 24), {}),
        ("every_eval_ever", "every_eval_ever_chat_templates", (8, 30), {}),
        ("opencompass", "opencompass_cascade", (8, 30), {"model-7-hf": 1.0, "model-3-hf": 16 / 30}),
    ],
)
def test_real_logs(
    test_data: Path, tmp_path: Path, source: str, name: str, shape: tuple[int, int], means: dict[str, float]
) -> None:
    if source == "inspect":
        pytest.importorskip("inspect_ai")
    ingest(source, test_data / "faults" / name, tmp_path)
    benchmark = read_ingested(tmp_path)
    assert benchmark.scores.shape == shape
    found = dict(zip(benchmark.model_ids, np.asarray(benchmark.scores, float).mean(axis=1), strict=True))
    assert {model: found[model] for model in means} == pytest.approx(means)


def test_real_logs_that_do_not_tell_the_revision(test_data: Path, tmp_path: Path) -> None:
    with refuses(DataError, "revisions", where="org/m"):
        ingest("lighteval", test_data / "faults" / "lighteval_revisions", tmp_path)
    assert ingest("lighteval", test_data / "faults" / "lighteval_revisions", tmp_path / "one", identify=("name",)).added == [
        "org/m"
    ]
