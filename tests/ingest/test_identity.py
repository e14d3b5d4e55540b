"""One identity of a model: its name, its revision, and what the run sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import ConfigError, DataError
from microbench_ray.data.ingested import read_ingested
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.every_eval_ever import EveryEvalEverReader
from microbench_ray.ingest.helm import HelmReader
from microbench_ray.ingest.identity import check_identify, find_logs
from microbench_ray.ingest.inspect_logs import InspectReader
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import TIME, line, write, write_results

LATER = "2026-02-01T00-00-00.5"
AGAIN = "2026-03-01T00-00-00.5"


def ingest(path: Path, out: Path, source: str = "lm_eval", **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source=source, path=str(path), out=out, options=Options(**options)))


def run(folder: Path, task: str, time: str, shots: int = 0, score: float = 1.0, arguments: Any = None, **content: Any) -> None:
    """One run of a task with its results file; `org/a` is the model."""
    write(folder, task, [line(0, acc=score), line(1, acc=0.0)], time)
    config = {"model_args": {"pretrained": "org/a", **(arguments or {})}}
    write_results(folder, "org/a", time, config=config, **{"n-shot": {task: shots}, **content})


VARIANTS: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({"shots": 0}, {"shots": 5}, ["org/a (0-shot)", "org/a (5-shot)"]),
    ({"chat_template": None}, {"chat_template": "<|user|>"}, ["org/a (chat template)", "org/a (no chat template)"]),
    ({}, {"arguments": {"peft": "org/lora"}}, ["org/a", "org/a (adapter org/lora)"]),
    ({}, {"arguments": {"load_in_4bit": True}}, ["org/a", "org/a (4bit)"]),
    ({}, {"arguments": {"enable_thinking": True}}, ["org/a", "org/a (effort thinking)"]),
    (
        {"arguments": {"reasoning_effort": "low"}},
        {"arguments": {"reasoning_effort": "high"}},
        ["org/a (effort high)", "org/a (effort low)"],
    ),
    ({"config": {"model_sha": "aaa1"}}, {"config": {"model_sha": "bbb2"}}, ["org/a@aaa1", "org/a@bbb2"]),
]


def two(folder: Path, first: dict[str, Any], second: dict[str, Any], second_task: str = "t") -> None:
    for k, (task, time, change) in enumerate((("t", TIME, first), (second_task, LATER, second))):
        config = change.get("config")
        content = {name: value for name, value in change.items() if name != "config"}
        run(folder, task, time, score=float(k), **content)
        if config:
            write_results(folder, "org/a", time, config=config)


@pytest.mark.parametrize(("first", "second", "models"), VARIANTS)
def test_logs_of_one_task_that_differ_in_a_setting_are_of_two_models(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], models: list[str]
) -> None:
    two(tmp_path / "logs", first, second)
    summary = ingest(tmp_path / "logs", tmp_path / "out")
    assert (summary.added, summary.failed) == (models, {})
    [told] = [choice for choice in summary.choices if "told apart" in choice]
    assert told.startswith("org/a: ")
    benchmark = read_ingested(tmp_path / "out")
    assert sorted(np.asarray(benchmark.scores, float).mean(axis=1)) == [0.0, 0.5]


@pytest.mark.parametrize(("first", "second", "models"), VARIANTS)
def test_logs_of_different_tasks_that_differ_in_a_setting_are_refused_with_both_names(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], models: list[str]
) -> None:
    two(tmp_path / "logs", first, second, "u")
    if "shots" in first:  # tasks have their own numbers of examples
        assert ingest(tmp_path / "logs", tmp_path / "out").added == ["org/a"]
        return
    with refuses(DataError, "one model", where="org/a", got=repr(models[0]), hint="identify=[name,") as caught:
        ingest(tmp_path / "logs", tmp_path / "out")
    assert repr(models[1]) in (caught.value.got or "")
    assert ingest(tmp_path / "logs", tmp_path / "one", identify=("name",)).added == ["org/a"]
    setting = next(
        each
        for each in ("chat_template", "adapter", "quantisation", "reasoning_effort", "revision")
        if each in (caught.value.hint or "")
    )
    assert ingest(tmp_path / "logs", tmp_path / "two", identify=("name", setting)).added == models


def test_a_model_that_was_ingested_keeps_its_name(tmp_path: Path) -> None:
    logs, out = tmp_path / "logs", tmp_path / "out"
    run(logs, "t", TIME)
    assert ingest(logs, out).added == ["org/a"]
    run(logs, "t", LATER, shots=5)
    summary = ingest(logs, out)
    assert (summary.added, summary.unchanged) == (["org/a (5-shot)"], ["org/a"])
    run(logs, "u", AGAIN)
    summary = ingest(logs, out)
    assert (summary.added, summary.updated, summary.unchanged) == ([], ["org/a"], ["org/a (5-shot)"])
    logs.rename(tmp_path / "moved")
    summary = ingest(tmp_path / "moved", out)
    assert (summary.added, sorted(summary.unchanged)) == ([], ["org/a", "org/a (5-shot)"])


def test_a_log_found_alone_is_compared_with_those_ingested_before(tmp_path: Path) -> None:
    run(tmp_path / "one", "t", TIME)
    run(tmp_path / "two", "t", LATER, shots=5)
    run(tmp_path / "three", "u", AGAIN, chat_template="<|user|>")
    ingest(tmp_path / "one", tmp_path / "out")
    assert ingest(tmp_path / "two", tmp_path / "out").added == ["org/a (5-shot)"]
    run(tmp_path / "four", "v", AGAIN, chat_template=None)
    ingest(tmp_path / "four", tmp_path / "out")
    with refuses(DataError, "chat templates", where="org/a"):
        ingest(tmp_path / "three", tmp_path / "out")


def test_the_order_of_logs_does_not_matter(tmp_path: Path) -> None:
    for k, shots in enumerate((5, 0, 5, 0)):
        run(tmp_path / f"{4 - k}", "t" if k < 2 else "u", TIME, shots=shots)
    assert ingest(tmp_path, tmp_path / "out").added == ["org/a (0-shot)", "org/a (5-shot)"]


def test_models_are_selected_by_either_name(tmp_path: Path) -> None:
    two(tmp_path / "logs", {"shots": 0}, {"shots": 5})
    for k, (pattern, models) in enumerate({"org/a": 2, "org/a (5*": 1, "org/*": 2, "*": 2}.items()):
        assert len(ingest(tmp_path / "logs", tmp_path / str(k), models=(pattern,)).added) == models
    with refuses(DataError, "models="):
        ingest(tmp_path / "logs", tmp_path / "none", models=("org/a (7*",))


def test_the_settings_of_a_folder_hold_the_identity(tmp_path: Path) -> None:
    run(tmp_path / "logs", "t", TIME, shots=5)
    assert ingest(tmp_path / "logs", tmp_path / "out", identify=("name", "few_shot")).added == ["org/a (5-shot)"]
    with refuses(ConfigError, "settings", got="identify"):
        ingest(tmp_path / "logs", tmp_path / "out")


@pytest.mark.parametrize("keys", [["revision"], ["name", "name"], ["name", "colour"]])
def test_a_wrong_identity(keys: list[str]) -> None:
    with refuses(ConfigError, "identity" if "colour" in keys else "identify", where="identify"):
        check_identify(keys)


def test_settings_in_other_formats(tmp_path: Path) -> None:
    for k, shots in enumerate((0, 5)):
        folder = tmp_path / "helm" / str(k)
        folder.mkdir(parents=True)
        (folder / "run_spec.json").write_text(
            json.dumps({"name": "s:model=a", "adapter_spec": {"model": "a", "max_train_instances": shots}})
        )
        (folder / "per_instance_stats.json").write_text("[]")
        eee = tmp_path / "eee" / f"{k}_samples.jsonl"
        eee.parent.mkdir(exist_ok=True)
        eee.write_text(json.dumps({"model_id": "a", "evaluation_name": "t", "evaluation": {}, "sample_id": "0"}) + "\n")
        result = {"evaluation_name": "t", "generation_config": {"additional_details": {"num_fewshot": str(shots)}}}
        (eee.parent / f"{k}.json").write_text(json.dumps({"evaluation_results": [result], "model_info": {}}))
    for reader, name in ((HelmReader(), "helm"), (EveryEvalEverReader(), "eee")):
        assert [log.model for log in find_logs(reader, tmp_path / name, Options(), Tally())] == ["a (0-shot)", "a (5-shot)"]


@pytest.mark.parametrize(
    ("changes", "models"),
    [
        ([{}, {"model_generate_config": {"reasoning_effort": "high"}}], ["m", "m (effort high)"]),
        ([{"solver": "react"}, {"solver": "mini"}], ["m (scaffold react)", "m (scaffold mini)"]),
        ([{"task_args": {"fewshot": 4}}, {"task_args": {"fewshot": 0}}], ["m (4-shot)", "m (0-shot)"]),
        ([{"model_args": {"load_in_8bit": True}}, {"model_args": {"device": "cpu"}}], ["m (8bit)", "m"]),
        ([{}, {}], ["m", "m"]),
    ],
)
def test_settings_in_inspect_logs(tmp_path: Path, changes: list[dict[str, Any]], models: list[str]) -> None:
    pytest.importorskip("inspect_ai")
    for k, change in enumerate(changes):
        spec = {"created": "2026-01-01T00:00:00+00:00", "task": "t", "model": "m", "dataset": {}, "config": {}, **change}
        (tmp_path / f"{k}.json").write_text(json.dumps({"version": 2, "status": "success", "eval": spec, "samples": []}))
    assert [log.model for log in find_logs(InspectReader(), tmp_path, Options(), Tally())] == models
