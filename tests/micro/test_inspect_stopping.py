"""`mb.InspectStopping` in the real Inspect, with its mock model."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import microbench_ray as mb
from microbench_ray.cli.main import DONE, main
from microbench_ray.core.errors import ConfigError, DataError
from tests.helpers.errors import refuses
from tests.helpers.real_inspect import environment_of

EVAL = """
import json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
import microbench_ray as mb

def answer(messages, tools, tool_choice, config):
    number = int(messages[-1].text.split()[-1])
    output = ModelOutput.from_content(model="mockllm", content="right" if number % 10 else "wrong")
    output.usage = ModelUsage()
    return output

known = {f"numbers/{k}": float(k % 2) for k in range(200)}
stopping = mb.InspectStopping("superior", {"base": known}, state="state.json")
dataset = MemoryDataset([Sample(f"Number {k}", target="right", id=k) for k in range(200)])
task = Task(dataset=dataset, scorer=match(), name="numbers", early_stopping=stopping)
model = get_model("mockllm/model", custom_outputs=answer)
(log,) = eval(task, model=model, log_dir="logs", sample_shuffle=7, max_samples=4, display="none")
assert log.status == "success", log.error
stopped = log.results.early_stopping
fresh = MemoryDataset([Sample(f"Number {k}", target="right", id=k) for k in range(200)])
task = Task(dataset=fresh, scorer=match(), name="numbers", early_stopping=mb.InspectStopping("superior", {"base": known}))
(in_file_order,) = eval(task, model=model, log_dir="other", display="none")
assert "random order" in in_file_order.error.message, in_file_order.status
print(json.dumps({"manager": stopped.manager, "stops": [each.model_dump() for each in stopped.early_stops],
                  "metadata": stopped.metadata, "ran": [[each.id, each.epoch] for each in log.samples]}))
"""


@pytest.mark.slow
def test_the_real_inspect_stops_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", EVAL],
        env=environment_of(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    asked = {sample for sample, _ in found["ran"]}
    assert found["metadata"]["decision"] == "yes"
    assert 10 < len(asked) < 120
    assert len(found["ran"]) + len(found["stops"]) == 200
    assert "new is better than base" in found["stops"][0]["reason"]
    test = mb.Sequential.load("state.json")
    assert test.verdict().decision == "yes"
    assert list(test.items) != sorted(test.items, key=lambda item: int(item.split("/")[1]))  # Inspect shuffled
    assert found["metadata"]["n_items"] <= len(asked)
    # The log of the stopped task can be read again, and gives the same verdict.
    assert main(["next", "logs", "source=inspect", "state=state.json", "format=json"]) == DONE
    again = json.loads(capsys.readouterr().out)
    (mine,), (theirs,) = again["comparisons"], found["metadata"]["comparisons"]
    assert set(mine) == set(theirs)
    assert mine["n_items"] >= theirs["n_items"]


def started(**arguments: Any) -> mb.InspectStopping:
    stopping = mb.InspectStopping(**arguments)
    samples = [SimpleNamespace(id=k) for k in range(60)]
    assert asyncio.run(stopping.start_task(SimpleNamespace(task="t"), samples, 1))
    return stopping


def scored(value: Any, name: str = "match") -> dict[str, Any]:
    return {name: SimpleNamespace(score=SimpleNamespace(value=value))}


@pytest.mark.slow
def test_samples_are_stopped_once_the_question_is_answered() -> None:
    stopping = started(question="superior", known={"base": {f"t/{k}": k % 2 for k in range(60)}})
    for k in range(60):
        stop = asyncio.run(stopping.schedule_sample(k, 1))
        if stop is not None:
            break
        asyncio.run(stopping.complete_sample(k, 1, scored("C")))
    assert 5 < k < 30
    assert stop is not None
    assert (stop.id, stop.epoch) == (k, 1)
    assert asyncio.run(stopping.complete_task())["decision"] == "yes"


def test_epochs_are_averaged_once_all_are_done() -> None:
    stopping = mb.InspectStopping("accuracy", margin=0.1)
    asyncio.run(stopping.start_task(SimpleNamespace(task="t"), [SimpleNamespace(id=k) for k in range(9)], 2))
    asyncio.run(stopping.complete_sample(3, 1, scored("C")))
    assert stopping.state.scores["new"] == {}
    asyncio.run(stopping.complete_sample(3, 2, scored("I")))
    assert stopping.state.scores["new"] == {"t/3": 0.5}


@pytest.mark.parametrize(
    ("scores", "scorer", "value"),
    [
        (scored("P"), None, 0.5),
        (scored(True), None, 1.0),
        (scored({"a": 0.25}), "match/a", 0.25),
        (scored(1) | scored(0, "b"), "b", 0.0),
    ],
)
def test_scores(scores: dict[str, Any], scorer: str | None, value: float) -> None:
    stopping = started(question="accuracy", margin=0.1, scorer=scorer)
    asyncio.run(stopping.complete_sample(0, 1, scores))
    assert stopping.state.scores["new"] == {"t/0": value}


def test_samples_in_the_order_of_their_file_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    def begin(shuffle: Any, shuffled: Any, epochs: int = 1) -> None:
        task = SimpleNamespace(task="t", config=SimpleNamespace(sample_shuffle=shuffle), dataset=SimpleNamespace(shuffled=shuffled))
        stopping = mb.InspectStopping("accuracy", margin=0.1)
        asyncio.run(stopping.start_task(task, [SimpleNamespace(id=k) for k in range(9)], epochs))

    for shuffle, shuffled in ((None, False), (False, None)):
        with refuses(ConfigError, "random order", where="t", hint="sample_shuffle"):
            begin(shuffle, shuffled)
    for in_order in ((0, False), (True, False), (None, True)):
        begin(*in_order)
    assert not caplog.records
    begin(7, False, epochs=3)
    assert "3 epochs" in caplog.text


def test_misuse() -> None:
    with refuses(ConfigError, "two models"):
        mb.InspectStopping("superior")
    with refuses(ConfigError, "begun"):
        _ = mb.InspectStopping("accuracy", margin=0.1).state
    with refuses(DataError, "no score of this task", where="base"):
        started(known={"base": {"other/1": 1.0}})
    stopping = started(question="accuracy", margin=0.1)
    for scores in (scored(1) | scored(0, "b"), scored("word"), scored({"a": 1}), scored([1, 0])):
        with pytest.raises(DataError):
            asyncio.run(stopping.complete_sample(1, 1, scores))
