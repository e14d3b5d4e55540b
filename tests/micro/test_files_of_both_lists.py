"""The files that run the items and the reserve together."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from microbench_ray.core.errors import StoreError
from microbench_ray.micro.files import BOTH_INSPECT, BOTH_SAMPLES, README, SAMPLES, folder_files, replace_folder
from tests.helpers.errors import refuses

LISTS = ({"arc": ["3", "10"], "gsm": ["7"]}, {"arc": ["10", "2"], "mmlu": ["0"]})


def micro(source: str, tasks: dict[str, list[str]], reserve_tasks: dict[str, list[str]]) -> Any:
    def items(listed: dict[str, list[str]]) -> list[SimpleNamespace]:
        return [SimpleNamespace(id=f"{task}/{place}", weight=1.0) for task, places in listed.items() for place in places]

    return SimpleNamespace(
        benchmark={"name": "board", "n_items": 100, "n_models": 20},
        method={"label": "greedy"},
        source={"source": source},
        items=items(tasks),
        tasks=tasks,
        reserve=items(reserve_tasks),
        reserve_tasks=reserve_tasks,
    )


def test_one_file_for_the_harness_holds_both_lists_each_document_once() -> None:
    files = folder_files(micro("lm_eval", *LISTS), "microbench.json", "{}")
    assert json.loads(files[BOTH_SAMPLES]) == {"arc": [2, 3, 10], "gsm": [7], "mmlu": [0]}
    assert json.loads(files[SAMPLES]) == {"arc": [3, 10], "gsm": [7]}
    assert BOTH_SAMPLES in files[README]
    assert BOTH_INSPECT not in files


def test_one_file_for_inspect_holds_both_lists() -> None:
    files = folder_files(micro("inspect", *LISTS), "microbench.json", "{}")
    assert json.loads(files[BOTH_INSPECT]) == {"arc": ["3", "10", "2"], "gsm": ["7"], "mmlu": ["0"]}
    assert BOTH_INSPECT in files[README]


@pytest.mark.parametrize(("source", "lists"), [("lm_eval", (LISTS[0], {})), ("lm_eval", ({}, LISTS[1])), ("helm", LISTS)])
def test_no_file_without_both_lists_in_a_known_tool(source: str, lists: Any) -> None:
    files = folder_files(micro(source, *lists), "microbench.json", "{}")
    assert not {BOTH_SAMPLES, BOTH_INSPECT} & set(files)


def test_a_folder_with_the_file_can_be_replaced(tmp_path: Path) -> None:
    files = folder_files(micro("lm_eval", *LISTS), "microbench.json", "{}")
    replace_folder(tmp_path / "micro", files, "microbench.json", overwrite=False)
    others = {name: text for name, text in files.items() if name != BOTH_SAMPLES}
    with refuses(StoreError, "another micro-benchmark", hint="overwrite=true"):
        replace_folder(tmp_path / "micro", others, "microbench.json", overwrite=False)
    replace_folder(tmp_path / "micro", others, "microbench.json", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "micro").iterdir()) == sorted(others)
