"""OpenCompass details with verdicts of a judge, alone or after rules: several runs, other metrics, answers without a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.ingest.opencompass import OpenCompassReader
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

READER = OpenCompassReader()


def write(folder: Path, document: Any) -> Path:
    return write_json(folder / "20260819_121541/results/m/simpleqa.json", document)


def verdicts(*answers: Any) -> list[dict[str, Any]]:
    return [{"example_abbr": f"None_{k}", "prediction": answer, "gold": ["x"]} for k, answer in enumerate(answers)]


def test_a_judge_with_a_metric_of_another_name(tmp_path: Path) -> None:
    details = verdicts(["A"], ["B"], ["I cannot say."], ["The answer is A, not B"])
    write(tmp_path, {"score": 50.0, "correct_count": 2.0, "incorrect_count": 1.0, "details": details})
    found = scores(read_all(READER, tmp_path)[0]["m"])
    assert found == {"simpleqa/None_0": [1], "simpleqa/None_1": [0], "simpleqa/None_2": [0], "simpleqa/None_3": [1]}
    assert 100 * np.mean(list(found.values())) == pytest.approx(50.0, abs=1e-9)


def test_several_runs(tmp_path: Path) -> None:
    details = verdicts(["A", "B"], ["A", "A"])
    write(tmp_path, {"accuracy (2 runs average)": 75.0, "correct_count (2 runs average)": 1.5, "details": details})
    assert scores(read_all(READER, tmp_path)[0]["m"]) == {"simpleqa/None_0": [0, 1], "simpleqa/None_1": [1, 1]}


@pytest.mark.parametrize(
    "document",
    [
        {"correct_count": 2.0, "details": verdicts(["A"], ["B"])},  # another tag means correct
        {"correct_count": True, "details": verdicts(["A"])},
        {"correct_count": 1.0, "details": verdicts(["A"], None)},
        {"correct_count": 0.0, "details": verdicts([])},
    ],
)
def test_verdicts_that_do_not_give_the_count_are_left_out(tmp_path: Path, document: Any) -> None:
    write(tmp_path, document)
    samples, tally = read_all(READER, tmp_path)
    assert samples["m"] == []
    assert sum(tally.dropped.values()) == 1


def test_a_cascade_of_two_runs(tmp_path: Path) -> None:
    right, wrong = {"correct": True, "evaluation_method": "rule"}, {"correct": False, "evaluation_method": "rule"}
    details = [
        {"example_abbr": "None_0", "rule_evaluation": [right, right], "cascade_correct": [True, True]},
        {
            "example_abbr": "None_1",
            "rule_evaluation": [wrong, wrong],
            "llm_evaluation": [{"prediction": "A", "llm_correct": True}, {"prediction": "B", "llm_correct": False}],
            "cascade_correct": [True, False],
        },
    ]
    write(tmp_path, {"accuracy (2 runs average)": 75.0, "details": details})
    found = scores(read_all(READER, tmp_path)[0]["m"])
    assert found == {"simpleqa/None_0": [1, 1], "simpleqa/None_1": [0, 1]}
    assert 100 * np.mean(list(found.values())) == pytest.approx(75.0, abs=1e-9)
