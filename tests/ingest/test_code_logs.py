"""Results of EvalPlus, LiveCodeBench and promptfoo: values by hand, and the accuracy that the tool reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.evalplus import EvalPlusReader
from microbench_ray.ingest.fold import fold
from microbench_ray.ingest.livecodebench import LiveCodeBenchReader
from microbench_ray.ingest.promptfoo import PromptfooReader
from microbench_ray.ingest.values import ENDED_IN_ERROR
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

EVALPLUS, LCB, PROMPTFOO = EvalPlusReader(), LiveCodeBenchReader(), PromptfooReader()


def completion(base: str, plus: str | None) -> dict[str, Any]:
    return {"task_id": "x", "solution": "…", "base_status": base, "plus_status": plus, "base_fail_tests": []}


PROBLEMS = {
    "HumanEval/0": [completion("pass", "pass"), completion("pass", "fail")],
    "HumanEval/1": [completion("fail", "pass"), completion("timeout", "timeout")],
}


def evalplus(file: Path, problems: Any) -> Path:
    return write_json(file, {"date": "2025-01-01 10:00", "hash": "h", "eval": problems})


def test_results_of_evalplus(tmp_path: Path) -> None:
    evalplus(tmp_path / "humaneval/org--m-1.5_vllm_temp_0.2_eval_results.json", PROBLEMS)
    evalplus(tmp_path / "mbpp/org--m-1.5_vllm_temp_0.2.eval_results.json", {"Mbpp/2": [completion("pass", "pass")]})
    evalplus(tmp_path / "my-model/eval_results.json", {"HumanEval/0": [completion("pass", None)]})
    samples, tally = read_all(EVALPLUS, tmp_path / "humaneval")
    # plus is right only if base is right too
    assert scores(samples["org/m-1.5"]) == {"HumanEval/0": [0, 1], "HumanEval/1": [0, 0]}
    assert tally.metrics == {"HumanEval": "plus"}
    # pass@1 as EvalPlus computes it: correct completions over completions, averaged over problems
    assert np.mean(fold(samples["org/m-1.5"], "m")["score"].to_numpy()) == pytest.approx((1 / 2 + 0 / 2) / 2, abs=1e-9)
    base, _ = read_all(EVALPLUS, tmp_path / "humaneval", Options(metric="base"))
    assert scores(base["org/m-1.5"]) == {"HumanEval/0": [1, 1], "HumanEval/1": [0, 0]}
    both, _ = read_all(EVALPLUS, tmp_path, Options(models=("org/*",)))
    assert {sample.subtask for sample in both["org/m-1.5"]} == {"HumanEval", "Mbpp"}
    alone, tally = read_all(EVALPLUS, tmp_path / "my-model")
    assert scores(alone["my-model"]) == {"HumanEval/0": [1]}
    assert tally.metrics == {"HumanEval": "base"}


@pytest.mark.parametrize(
    ("problems", "metric", "word"),
    [
        (PROBLEMS, "minus", "metric"),
        ({"HumanEval/0": [completion("pass", None)]}, "plus", "extra tests"),
        ({"HumanEval/0": 3}, None, "type"),
        ({"HumanEval/0": [{"plus_status": "pass"}]}, None, "version"),
        ({"HumanEval/0": [{"base_status": 1, "plus_status": "pass"}]}, None, "type"),
    ],
)
def test_results_of_evalplus_that_cannot_be_read(tmp_path: Path, problems: Any, metric: str | None, word: str) -> None:
    file = evalplus(tmp_path / "m_eval_results.json", problems)
    with refuses(DataError, word, where=str(file)):
        read_all(EVALPLUS, tmp_path, Options(metric=metric))


def question(name: str, grades: list[Any], difficulty: str = "easy", **more: Any) -> dict[str, Any]:
    mean = sum(grade is True for grade in grades) / len(grades) if grades else 0
    return {
        "question_id": name,
        "question_content": f"Q {name}",
        "difficulty": difficulty,
        "graded_list": grades,
        "pass@1": mean,
        **more,
    }


def test_results_of_livecodebench(tmp_path: Path) -> None:
    questions = [question("abc301_a", [True, False, True, True]), question("1899_B", [False] * 4, "hard")]
    write_json(tmp_path / "GPT-4O/codegeneration_4_0.2_eval_all.json", questions)
    write_json(tmp_path / "GPT-4O/codegeneration_4_0.2_eval.json", [{"pass@1": 0.375}, {}])
    tests = [question("q", [True], test_id=0), question("q", [False], test_id=1)]
    write_json(tmp_path / "other/Scenario.testoutputprediction_1_0.0_cot_eval_all.json", tests)
    samples, _ = read_all(LCB, tmp_path)
    assert scores(samples["GPT-4O"]) == {"codegeneration/abc301_a": [0, 1, 1, 1], "codegeneration/1899_B": [0, 0, 0, 0]}
    assert scores(samples["other"]) == {"testoutputprediction/q/0": [1], "testoutputprediction/q/1": [0]}
    assert [sample.subtask for sample in samples["GPT-4O"]][::4] == ["codegeneration/easy", "codegeneration/hard"]
    # pass@1 as LiveCodeBench computes it: the mean over questions of the share of right answers
    assert np.mean(fold(samples["GPT-4O"], "m")["score"].to_numpy()) == pytest.approx((3 / 4 + 0) / 2, abs=1e-9)
    hard, _ = read_all(LCB, tmp_path, Options(tasks=("*/hard",)))
    assert list(scores(hard["GPT-4O"])) == ["codegeneration/1899_B"]


@pytest.mark.parametrize(
    ("change", "word"),
    [({"pass@1": 0.5}, "contradicts"), ({"graded_list": 3}, "type"), ({"graded_list": ["x"], "pass@1": 0}, "not a number")],
)
def test_results_of_livecodebench_that_cannot_be_read(tmp_path: Path, change: Any, word: str) -> None:
    file = write_json(tmp_path / "m/codegeneration_1_0.2_eval_all.json", [question("a", [True]) | change])
    with refuses(DataError, word, where=str(file)):
        read_all(LCB, tmp_path)


def row(number: int, provider: Any, success: bool, score: float, prompt: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "promptIdx": prompt,
        "testIdx": number,
        "testCase": {"vars": {"q": number}, "metadata": {"category": "maths"} if number else {}},
        "provider": provider,
        "prompt": {"raw": "…", "label": f"prompt\n{prompt}"},
        "vars": {"q": number},
        "failureReason": 0 if success else 1,
        "success": success,
        "score": score,
        "namedScores": {"tone": 0.5},
        **more,
    }


def promptfoo(file: Path, rows: list[Any]) -> Path:
    return write_json(file, {"evalId": "eval-x", "results": {"version": 3, "results": rows, "stats": {}}, "config": {}})


def by_position(samples: list[Any]) -> dict[str, list[float | None]]:
    return scores([sample._replace(item_id=sample.position) for sample in samples])


def test_results_of_promptfoo(tmp_path: Path) -> None:
    one, two = {"id": "openai:gpt-4.1", "label": ""}, {"id": "file://p.py", "label": "mine"}
    rows = [
        row(0, one, True, 1),
        row(1, one, False, 0.5),
        row(0, two, True, 0.75),
        row(1, two, False, 0, failureReason=2, error="x"),
    ]
    rows += [row(0, one, False, 0)]
    file = promptfoo(tmp_path / "results.json", rows)
    samples, tally = read_all(PROMPTFOO, tmp_path)
    assert {model: by_position(found) for model, found in samples.items()} == {
        "openai:gpt-4.1": {"0": [0, 1], "1": [0]},
        "mine": {"0": [1], "1": [None]},
    }
    assert tally.dropped == {ENDED_IN_ERROR: 1}
    assert [sample.subtask for sample in samples["mine"]] == ["all", "maths"]
    assert samples["mine"][1].content == samples["openai:gpt-4.1"][1].content
    assert samples["mine"][1].item_id == samples["openai:gpt-4.1"][1].item_id
    weighted, _ = read_all(PROMPTFOO, file, Options(metric="score"))
    assert by_position(weighted["openai:gpt-4.1"]) == {"0": [0, 1], "1": [0.5]}
    named, _ = read_all(PROMPTFOO, file, Options(metric="tone"))
    assert by_position(named["mine"]) == {"0": [0.5], "1": [None]}
    with refuses(DataError, "score", where=str(file), got="'tone'", hint="metric=score"):
        read_all(PROMPTFOO, file, Options(metric="style"))


def test_several_prompts_are_several_models(tmp_path: Path) -> None:
    promptfoo(tmp_path / "results.json", [row(0, "m", True, 1), row(0, "m", False, 0, prompt=1)])
    samples, _ = read_all(PROMPTFOO, tmp_path)
    assert {model: by_position(found) for model, found in samples.items()} == {
        "m (prompt 0)": {"0": [1]},
        "m (prompt 1)": {"0": [0]},
    }


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"provider": {}}, "provider"),
        ({"success": "yes"}, "type"),
        ({"vars": 3}, "type"),
        ({"promptIdx": {}}, "type"),
        ({"testIdx": "a"}, "type"),
    ],
)
def test_results_of_promptfoo_that_cannot_be_read(tmp_path: Path, change: Any, word: str) -> None:
    file = promptfoo(tmp_path / "results.json", [row(0, "m", True, 1) | change])
    with refuses(DataError, word, where=str(file)):
        read_all(PROMPTFOO, tmp_path)


def test_other_files_are_left_out(tmp_path: Path) -> None:
    evalplus(tmp_path / "m_eval_results.json", PROBLEMS)
    promptfoo(tmp_path / "results.json", [row(0, "m", True, 1)])
    tally = Tally()
    assert [log.model for log in PROMPTFOO.find(tmp_path, Options(), tally)] == ["m"]
    assert tally.dropped == {"files of another format": 1}
    with refuses(DataError, "EvalPlus", where=str(tmp_path / "results.json"), got="evalId"):
        EVALPLUS.find(tmp_path / "results.json", Options(), Tally())
    rows = write_json(tmp_path / "rows_eval_results.json", [{"instruction": "x"}])
    with refuses(DataError, "EvalPlus", where=str(rows), got="a list, first of fields 'instruction'"):
        EVALPLUS.find(rows, Options(), Tally())
