"""What today's lm-evaluation-harness writes is read as it means it: scores and sums against its own results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from microbench_ray.ingest.base import Options
from microbench_ray.ingest.lm_eval import LmEvalReader
from tests.helpers.lm_eval_logs import digest, read
from tests.helpers.real_lm_eval import TASKS, write_logs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed"),
]
MODELS = ("org/first", "org/second__b", "/home/me/third")
ITEMS = 40


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    return write_logs(tmp_path_factory.mktemp("real"), MODELS, ITEMS)


def results(logs: Path, model: str) -> dict:
    [path] = (logs / model.replace("/", "__")).glob("results_*.json")
    return json.loads(path.read_text(encoding="utf-8"))["results"]


def test_models_tasks_and_items(logs):
    found, tally = read(LmEvalReader(), logs)
    assert {(log.model, log.part) for log, _ in found} == {(model, task) for model in MODELS for task in TASKS}
    for task in TASKS:
        items = [[sample.item_id for sample in samples] for log, samples in found if log.part == task]
        assert items == [items[0]] * len(MODELS)
        assert len(set(items[0])) == len(items[0]) == (ITEMS if task != "tiny_echo" else ITEMS // 4)
        assert sum(item.endswith("#2") for item in items[0]) == (task == "tiny_add")
    assert tally.dropped == {"of another filter": len(MODELS) * ITEMS // 4}


def test_hashes_are_those_of_the_documents(logs):
    for path in logs.rglob("samples_*.jsonl"):
        for text in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(text)
            assert digest(row["doc"]) == row["doc_hash"]


@pytest.mark.parametrize(
    ("task", "metric", "filter"),
    [
        ("tiny_add", "acc", "none"),
        ("tiny_add", "acc_norm", "none"),
        ("tiny_order", "acc_norm", "none"),
        ("tiny_echo", "exact_match", "strict"),
        ("tiny_echo", "exact_match", "loose"),
    ],
)
def test_means_are_those_of_the_results(logs, task, metric, filter):
    found, _ = read(LmEvalReader(), logs, Options(tasks=(task,), metric=metric, filter=filter))
    for log, samples in found:
        mean = sum(sample.score for sample in samples) / len(samples)
        assert mean == pytest.approx(results(logs, log.model)[task][f"{metric},{filter}"])
    assert len(found) == len(MODELS)


def test_confidences_agree_with_the_accuracy(logs):
    found, _ = read(LmEvalReader(), logs, Options(tasks=("tiny_add",), metric="acc"))
    for _, samples in found:
        for sample in samples:
            assert (max(sample.answers) == sample.confidence) == (sample.score == 1.0)
    for _, samples in read(LmEvalReader(), logs, Options(tasks=("tiny_order",)))[0]:
        assert {len(sample.answers) for sample in samples} == {2}
    for _, samples in read(LmEvalReader(), logs, Options(tasks=("tiny_echo",)))[0]:
        assert {sample.confidence for sample in samples} == {None}
