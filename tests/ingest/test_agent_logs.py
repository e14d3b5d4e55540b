"""Reports of SWE-bench, trials of tau-bench, Terminal-Bench and Harbor: values by hand, and the accuracy that the tool reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.responses import list_model_files, read_responses
from microbench_ray.ingest.base import Options, Tally
from microbench_ray.ingest.fold import fold
from microbench_ray.ingest.run import IngestJob, run_ingest
from microbench_ray.ingest.swe_bench import SweBenchReader
from microbench_ray.ingest.tau_bench import ERRORS, NOT_RUN, TauBenchReader
from microbench_ray.ingest.terminal_bench import NO_REWARD, UNRESOLVED, HarborReader, TerminalBenchReader
from tests.helpers.errors import refuses
from tests.helpers.reading import read_all, scores
from tests.helpers.tool_logs import write_json

SWE, TAU, TERMINAL, HARBOR = SweBenchReader(), TauBenchReader(), TerminalBenchReader(), HarborReader()
REPORT: dict[str, Any] = {
    "total_instances": 5,
    "submitted_instances": 4,
    "completed_instances": 2,
    "resolved_instances": 1,
    "completed_ids": ["astropy__astropy-7166", "django__django-11099"],
    "incomplete_ids": ["django__django-9"],
    "empty_patch_ids": ["django__django-10"],
    "submitted_ids": ["astropy__astropy-7166", "django__django-10", "django__django-11099", "django__django-12"],
    "resolved_ids": ["django__django-11099"],
    "unresolved_ids": ["astropy__astropy-7166"],
    "error_ids": ["django__django-12"],
    "schema_version": 2,
}
"""One instance resolved, one not, one without a patch, one in error, one without a prediction."""


def test_a_report_of_swe_bench(tmp_path: Path) -> None:
    write_json(tmp_path / "org__model-1.5.my-run.json", REPORT)
    write_json(tmp_path / "other.json", {"anything": 1})
    samples, tally = read_all(SWE, tmp_path)
    assert list(samples) == ["org/model-1.5"]
    assert scores(samples["org/model-1.5"]) == {
        "django__django-11099": [1],
        "astropy__astropy-7166": [0],
        "django__django-12": [0],
        "django__django-10": [0],
        "django__django-9": [None],
    }
    assert {sample.subtask for sample in samples["org/model-1.5"]} == {"django__django", "astropy__astropy"}
    assert tally.dropped["files of another format"] == 1
    assert sum(tally.dropped.values()) == 2  # and the instance without a prediction
    assert any("without a patch" in choice for choice in tally.choices)  # errors and empty patches are not resolved
    some, _ = read_all(SWE, tmp_path, Options(tasks=("astropy*",)))
    assert scores(some["org/model-1.5"]) == {"astropy__astropy-7166": [0]}


@pytest.mark.parametrize(
    ("name", "model"),
    [("report.json", "agent-x"), ("final_report.json", "agent-x"), ("m.json", "m"), ("a__b.2024.json", "a/b")],
)
def test_the_models_name(tmp_path: Path, name: str, model: str) -> None:
    write_json(tmp_path / "agent-x" / name, REPORT)
    assert [log.model for log in SWE.find(tmp_path, Options(), Tally())] == [model]


def test_older_reports_and_other_ids(tmp_path: Path) -> None:
    ids = ["org/repo:pr-12", "org/repo:pr-3", "plain"]
    file = write_json(tmp_path / "m.r.json", {"resolved_ids": ids[:1], "submitted_ids": ids})
    samples, _ = read_all(SWE, file)
    assert scores(samples["m"]) == {"org/repo:pr-12": [1], "org/repo:pr-3": [0], "plain": [0]}
    assert [sample.subtask for sample in samples["m"]] == ["org/repo", "org/repo", "all"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"resolved_instances": 2}, "contradicts"),
        ({"error_ids": ["django__django-11099"]}, "contradicts"),
        ({"resolved_ids": [3]}, "type"),
        ({"unresolved_ids": "x"}, "type"),
    ],
)
def test_reports_that_cannot_be_right(tmp_path: Path, change: Any, word: str) -> None:
    file = write_json(tmp_path / "m.r.json", REPORT | change)
    with refuses(DataError, word, where=str(file)):
        read_all(SWE, tmp_path)


def test_a_list_of_resolved_instances_alone_is_refused(tmp_path: Path) -> None:
    file = write_json(tmp_path / "m.r.json", {"resolved_ids": ["a__b-1"]})
    with refuses(DataError, "not resolved", where=str(file), hint="unresolved_ids"):
        read_all(SWE, tmp_path)


def trial(task: int, number: int, reward: float, **info: Any) -> dict[str, Any]:
    policy = {"role": "system", "content": "# Airline Agent Policy\n\n…"}
    about = info or {"task": {"user_id": "u", "instruction": f"fly {task}"}, "source": "user", "user_cost": 0.1}
    return {"task_id": task, "reward": reward, "info": about, "traj": [policy], "trial": number}


def test_trials_of_tau_bench(tmp_path: Path) -> None:
    trials = [trial(0, 0, 1.0), trial(1, 0, 0.0), trial(0, 1, 0.0), trial(1, 1, 0.0, error="timeout", traceback="…")]
    write_json(tmp_path / "react-gpt-4o-0.0_range_0--1_user-gpt-4o-llm_0612203040.json", trials)
    write_json(tmp_path / "sonnet-airline.json", trials[:2])
    samples, tally = read_all(TAU, tmp_path)
    assert scores(samples["gpt-4o (react)"]) == {"airline/0": [0, 1], "airline/1": [0, None]}
    assert scores(samples["sonnet"]) == {"airline/0": [1], "airline/1": [0]}
    assert {sample.subtask for sample in samples["sonnet"]} == {"airline"}
    assert samples["sonnet"][0].content == samples["gpt-4o (react)"][0].content
    assert tally.dropped == {ERRORS: 1}


def test_average_reward_of_tau_bench(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    trials = [trial(task, number, float(rng.integers(2))) for number in range(4) for task in range(9)]
    samples, _ = read_all(TAU, write_json(tmp_path / "m-airline.json", trials))
    table = fold(samples["m"], "m")
    # as tau-bench prints it: the mean over all trials
    assert np.mean(table["score"].to_numpy()) == pytest.approx(np.mean([each["reward"] for each in trials]), abs=1e-9)


def test_the_domain_is_required(tmp_path: Path) -> None:
    trials = [trial(0, 0, 1.0) | {"traj": []}]
    assert next(iter(read_all(TAU, write_json(tmp_path / "retail/m.json", trials))[0]["m"])).item_id == "retail/0"
    file = write_json(tmp_path / "x/m.json", trials)
    with refuses(DataError, "domain", where=str(file), hint="airline"):
        read_all(TAU, file)


def tau2(folder: Path, simulations: list[dict[str, Any]], agent: str = "llm_agent") -> Path:
    info = {"agent_info": {"implementation": agent, "llm": "gpt-4.1"}, "environment_info": {"domain_name": "telecom"}}
    tasks = [{"id": name, "user_scenario": {"instructions": name}} for name in ("[a]x", "[b]y")]
    return write_json(folder / "results.json", {"info": info, "tasks": tasks, "simulations": simulations})


def simulation(task: str, trial: int, reward: float | None, reason: str = "user_stop") -> dict[str, Any]:
    return {
        "id": f"{task}-{trial}",
        "task_id": task,
        "trial": trial,
        "termination_reason": reason,
        "reward_info": None if reward is None else {"reward": reward},
    }


def test_simulations_of_tau2_bench(tmp_path: Path) -> None:
    runs = [
        simulation("[a]x", 0, 1.0),
        simulation("[b]y", 0, 0.0, "max_steps"),
        simulation("[a]x", 1, 0.0),
        simulation("[b]y", 1, None, "infrastructure_error"),
    ]
    one, several = tau2(tmp_path / "one", runs), tau2(tmp_path / "several", [], "llm_agent_solo")
    for run in runs:
        write_json(several.parent / "simulations" / f"{run['trial']}-{run['task_id'][1]}.json", run)
    expected = {"telecom/[a]x": [0, 1], "telecom/[b]y": [0, None]}
    samples, tally = read_all(TAU, one)
    assert scores(samples["gpt-4.1"]) == expected
    assert tally.dropped == {NOT_RUN: 1}
    assert scores(read_all(TAU, several)[0]["gpt-4.1 (llm_agent_solo)"]) == expected
    both, _ = read_all(TAU, tmp_path)
    assert {model: scores(found) for model, found in both.items()} == dict.fromkeys(
        ("gpt-4.1", "gpt-4.1 (llm_agent_solo)"), expected
    )


def terminal_trial(task: str, resolved: bool | None) -> dict[str, Any]:
    return {"trial_name": f"{task}.1-of-1.x", "task_id": task, "instruction": f"do {task}", "is_resolved": resolved}


def test_runs_of_terminal_bench(tmp_path: Path) -> None:
    for number, resolved in enumerate(((True, None), (True, True), (False, False)), 1):
        trials = [terminal_trial("fix-git", resolved[0]), terminal_trial("oom", resolved[1])]
        write_json(tmp_path / "20250811_agent_model" / f"run{number}_2025" / "results.json", {"results": trials})
    run = tmp_path / "my-run"
    write_json(run / "results.json", {"results": [terminal_trial("oom", True)]})
    write_json(run / "run_metadata.json", {"agent_name": "terminus", "model_name": "org/m", "dataset_name": "core"})
    write_json(run / "oom/oom.1-of-1.x/results.json", terminal_trial("oom", True))
    samples, tally = read_all(TERMINAL, tmp_path)
    assert {model: scores(found) for model, found in samples.items()} == {
        "20250811_agent_model": {"fix-git": [0, 1, 1], "oom": [0, 0, 1]},
        "terminus: org/m": {"oom": [1]},
    }
    assert samples["terminus: org/m"][0].subtask == "core"
    assert samples["terminus: org/m"][0].content == samples["20250811_agent_model"][1].content
    assert tally.choices[UNRESOLVED] == 1
    assert not tally.dropped
    # the accuracy of a run is the share of its trials that are resolved: 1/2, 2/2 and 0/2
    mean = np.mean(fold(samples["20250811_agent_model"], "x")["score"].to_numpy())
    assert mean == pytest.approx((1 / 2 + 2 / 2 + 0 / 2) / 3, abs=1e-9)


def harbor_trial(folder: Path, task: str, rewards: dict[str, Any] | None, **more: Any) -> None:
    about = {"name": "claude-code", "version": "2", "model_info": {"name": "opus", "provider": "anthropic"}}
    result = {"task_name": task, "source": "tb", "task_checksum": f"c-{task}", "agent_info": about, **more}
    write_json(folder / "result.json", result | {"verifier_result": None if rewards is None else {"rewards": rewards}})


def test_trials_of_harbor(tmp_path: Path) -> None:
    job = tmp_path / "2025-11-02__10-00-00"
    write_json(job / "result.json", {"stats": {}, "n_total_trials": 4})
    harbor_trial(job / "a__1", "org/a", {"reward": 1.0})
    harbor_trial(job / "a__2", "org/a", {"passed": 0.25})
    harbor_trial(job / "b__1", "org/b", None, exception_info={"exception_type": "AgentTimeoutError"})
    harbor_trial(job / "c__1", "org/c", {"reward": 0.5, "speed": 0.1})
    samples, tally = read_all(HARBOR, tmp_path)
    assert list(samples) == ["claude-code: anthropic/opus"]
    found = samples["claude-code: anthropic/opus"]
    assert scores(found) == {"org/a": [0.25, 1], "org/b": [0], "org/c": [0.5]}
    assert {(sample.subtask, sample.content) for sample in found} == {("tb", "c-org/a"), ("tb", "c-org/b"), ("tb", "c-org/c")}
    assert tally.choices == {NO_REWARD: 1, "tb: metric passed": 1, "tb: metric reward": 2}
    # the mean of the job, as Harbor computes it: a missing reward is 0
    assert np.mean([sample.score for sample in found]) == pytest.approx((1 + 0.25 + 0 + 0.5) / 4, abs=1e-9)


def test_rewards_without_a_main_one(tmp_path: Path) -> None:
    harbor_trial(tmp_path / "a__1", "a", {"tests": 1, "style": 0.5})
    with refuses(DataError, "reward", where=str(tmp_path / "a__1/result.json"), got="'tests', 'style'", hint="metric=NAME"):
        read_all(HARBOR, tmp_path)
    assert scores(read_all(HARBOR, tmp_path, Options(metric="style"))[0]["claude-code: anthropic/opus"]) == {"a": [0.5]}


def test_a_later_job_adds_its_trials(tmp_path: Path) -> None:
    job = IngestJob(source="harbor", path=str(tmp_path / "jobs"), out=tmp_path / "board")
    for number, reward in enumerate((1.0, 0.0, 0.0), 1):
        harbor_trial(tmp_path / f"jobs/2025-11-0{number}/a__1", "org/a", {"reward": reward})
        summary = run_ingest(job)
        assert not summary.failed
        (file,) = list_model_files(open_folder(tmp_path / "board"))
        table = read_responses(open_folder(tmp_path / "board"), file.name)
        assert table["score"].to_pylist() == [pytest.approx(1 / number)]
