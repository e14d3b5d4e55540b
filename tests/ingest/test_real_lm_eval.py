"""Logs of the installed lm-evaluation-harness: scores and means agree with its own results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microbench_ray.ingest.base import Options
from microbench_ray.ingest.lm_eval import LmEvalReader
from tests.helpers.lm_eval_logs import digest, read
from tests.helpers.real_lm_eval import ITEMS, MODELS, TASKS

pytestmark = pytest.mark.slow


def results(logs: Path, model: str) -> dict[str, dict[str, float]]:
    [path] = (logs / model.replace("/", "__")).glob("results_*.json")
    content: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))["results"]
    return content


def test_models_tasks_and_items(lm_eval_logs: Path) -> None:
    logs, tally = read(LmEvalReader(), lm_eval_logs)
    assert {(log.model, log.part) for log, _ in logs} == {(model, task) for model in MODELS for task in TASKS}
    for task in TASKS:
        items = [[sample.item_id for sample in samples] for log, samples in logs if log.part == task]
        assert items == [items[0]] * len(MODELS)
        assert len(set(items[0])) == len(items[0]) == (ITEMS if task != "tiny_echo" else ITEMS // 4)
        assert sum(item.endswith("#2") for item in items[0]) == (task == "tiny_add")
    assert tally.dropped == {"samples of another filter": len(MODELS) * ITEMS // 4}


def test_logged_hashes_equal_our_hashes_of_the_documents(lm_eval_logs: Path) -> None:
    paths = list(lm_eval_logs.rglob("samples_*.jsonl"))
    assert len(paths) == len(MODELS) * len(TASKS)
    for path in paths:
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
def test_mean_scores_equal_the_logged_results(lm_eval_logs: Path, task: str, metric: str, filter: str) -> None:
    logs, _ = read(LmEvalReader(), lm_eval_logs, Options(tasks=(task,), metric=metric, filter=filter))
    for log, samples in logs:
        scores = [sample.score for sample in samples if sample.score is not None]
        assert len(scores) == len(samples)
        assert sum(scores) / len(scores) == pytest.approx(results(lm_eval_logs, log.model)[task][f"{metric},{filter}"])
    assert len(logs) == len(MODELS)


def test_the_most_probable_answer_is_correct_exactly_if_acc_is_1(lm_eval_logs: Path) -> None:
    logs, _ = read(LmEvalReader(), lm_eval_logs, Options(tasks=("tiny_add",), metric="acc"))
    assert len(logs) == len(MODELS)
    for _, samples in logs:
        for sample in samples:
            assert sample.answers is not None
            assert (max(sample.answers) == sample.confidence) == (sample.score == 1.0)


def test_confidences_of_the_other_tasks(lm_eval_logs: Path) -> None:
    logs, _ = read(LmEvalReader(), lm_eval_logs, Options(tasks=("tiny_order",)))
    assert {len(sample.answers or ()) for _, samples in logs for sample in samples} == {2}
    logs, _ = read(LmEvalReader(), lm_eval_logs, Options(tasks=("tiny_echo",)))
    assert {sample.confidence for _, samples in logs for sample in samples} == {None}
