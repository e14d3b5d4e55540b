"""Logs of the Open LLM Leaderboard: metrics, latest runs, and the subjects of MMLU-Pro."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.open_llm import BY_CATEGORY, OpenLlmReader, metric_of
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import choice, line, read, write, write_results

READER = OpenLlmReader()
FIRST, LAST = "2024-07-16T16-44-01.100001", "2024-11-30T01-02-03"


def normed(texts: Sequence[str], target: str, score: float) -> dict[str, Any]:
    return choice(0, [-1, -2], texts, target, metrics=["acc_norm"], acc=None, acc_norm=score)


def leaderboard(folder: Path, model: str = "org/m") -> Path:
    """Write a model's folder in the Hub's layout, with every kind of task."""
    place = folder / f"{model.replace('/', '__')}-details" / model.replace("/", "__")
    write(place, "leaderboard_bbh_boolean_expressions", [normed(["False", "True"], "True", 0.0)], LAST)
    write(place, "leaderboard_gpqa_main", [normed(["(A)", "(B)"], "(B)", 1.0)], LAST)
    write(place, "leaderboard_musr_murder_mysteries", [normed(["X", "Y"], "1", 1.0)], LAST)
    subjects = ("computer science", "law")
    write(
        place, "leaderboard_mmlu_pro", [choice(k, [-1, -2], ["A", "B"], "0", doc={"category": subjects[k]}) for k in range(2)], LAST
    )
    write(place, "leaderboard_math_algebra_hard", [line(0, acc=None, metrics=["exact_match"], exact_match=1)], LAST)
    ifeval = {"prompt_level_strict_acc": False, "inst_level_strict_acc": [True, False], "prompt_level_loose_acc": True}
    write(place, "leaderboard_ifeval", [line(0, acc=None, metrics=list(ifeval), **ifeval)], LAST)
    write_results(place, model, LAST, config={"model_num_parameters": 7e9})
    return place


def test_metrics_and_subtasks_of_all_tasks(tmp_path: Path) -> None:
    leaderboard(tmp_path)
    logs, tally = read(READER, tmp_path)
    assert {log.model for log, _ in logs} == {"org/m"}
    assert {(sample.subtask, sample.score) for _, samples in logs for sample in samples} == {
        ("leaderboard_bbh_boolean_expressions", 0.0),
        ("leaderboard_gpqa_main", 1.0),
        ("leaderboard_musr_murder_mysteries", 1.0),
        ("leaderboard_mmlu_pro_computer_science", 1.0),
        ("leaderboard_mmlu_pro_law", 1.0),
        ("leaderboard_math_algebra_hard", 1.0),
        ("leaderboard_ifeval", 0.0),
    }
    assert all((sample.confidence is None) == (log.part.split("_")[1] in ("math", "ifeval")) for log, [sample, *_] in logs)
    assert tally.dropped == {}
    assert tally.choices["leaderboard_ifeval: metric prompt_level_strict_acc"] == 1


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("leaderboard_bbh_web_of_lies", "acc_norm"),
        ("leaderboard_gpqa_diamond", "acc_norm"),
        ("leaderboard_musr_team_allocation", "acc_norm"),
        ("leaderboard_mmlu_pro", "acc"),
        ("leaderboard_math_num_theory_hard", "exact_match"),
        ("leaderboard_ifeval", "prompt_level_strict_acc"),
        ("leaderboard_mathematics", None),
    ],
)
def test_metrics(task: str, metric: str | None) -> None:
    assert metric_of(task) == metric


def test_the_metric_option(tmp_path: Path) -> None:
    leaderboard(tmp_path)
    [(_, [sample])], _ = read(READER, tmp_path, Options(tasks=("*ifeval",), metric="prompt_level_loose_acc"))
    assert sample.score == 1.0


def test_the_latest_of_several_runs_is_read(tmp_path: Path) -> None:
    place = leaderboard(tmp_path)
    write(place, "leaderboard_ifeval", [{"of no": "interest"}], FIRST)
    write(place, "hellaswag", [line(0)], LAST)
    logs, tally = read(READER, tmp_path)
    assert [log.files[0].name for log, _ in logs if log.part == "leaderboard_ifeval"] == [
        f"samples_leaderboard_ifeval_{LAST}.jsonl"
    ]
    assert tally.dropped == {"logs of earlier runs": 1, "logs of tasks outside the leaderboard": 1}


def test_a_folder_without_the_leaderboards_tasks_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "hellaswag", [line(0)])
    with refuses(DataError, "no lm-evaluation-harness samples", where=str(tmp_path)):
        READER.find(tmp_path, Options(), Tally())


@pytest.mark.parametrize("category", [None, "", " ", 5, "\ud800"])
def test_an_mmlu_pro_document_without_a_subject_is_an_error(tmp_path: Path, category: Any) -> None:
    path = write(tmp_path, "leaderboard_mmlu_pro", [])
    path.write_text('{"doc_id": 0, "doc_hash": "aa", "acc": 1.0, "doc": {"category": ' + json.dumps(category) + "}}\n")
    with refuses(DataError, "subtask name" if category == "\ud800" else "category", where=f"{path}: line 1"):
        read(READER, tmp_path)


def test_metrics_exist_in_the_definitions_of_the_harness() -> None:
    """Every leaderboard task that the installed harness defines has the metric that is read."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        pytest.skip("lm-eval is not installed")
    tasks = set()
    for folder in Path(spec.origin).parent.joinpath("tasks", "leaderboard").iterdir():
        if folder.is_dir():
            texts = [
                path.read_text(encoding="utf-8")
                for path in folder.rglob("*")
                if path.suffix not in (".py", ".pyc") and path.is_file()
            ]
            metrics = {metric for text in texts for metric in re.findall(r"^ *- metric: (\w+)", text, re.MULTILINE)}
            groups = {metric for text in texts if text.startswith("group:") for metric in re.findall(r"- metric: (\w+)", text)}
            names = {name for text in texts for name in re.findall(r"^task: (leaderboard_\w+)", text, re.MULTILINE)}
            assert {metric_of(name) for name in names} <= (groups or metrics)
            tasks |= names
    assert len(tasks) >= 38
    assert BY_CATEGORY in tasks
