"""Small logs of many models with known scores, in the layouts of further evaluation tools.

The layouts follow the public sources of the tools. No data from these projects is included. In some formats a model takes its name
from a file or folder, where `/` is written as `__` or not at all.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers.many_models import N_ITEMS, N_MODELS, Truth, truth


def write_json(file: Path, document: Any) -> Path:
    """Write a document; a `.jsonl` file gets one line per element."""
    return write_lines(file, document if file.suffix == ".jsonl" else [document])


def write_lines(file: Path, lines: Sequence[Any]) -> Path:
    """Write JSON Lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return file


def flat(scores: Truth) -> Truth:
    """The scores under names without a slash."""
    return {model.replace("/", "__"): values for model, values in scores.items()}


def swe_bench(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for model, values in scores.items():
        ids = [f"octo__repo-{'abc'[item % 3]}-{item}" for item in range(n_items)]
        resolved = [name for name, value in zip(ids, values, strict=True) if value]
        document = {
            "total_instances": n_items,
            "submitted_instances": n_items,
            "resolved_instances": len(resolved),
            "completed_ids": ids,
            "incomplete_ids": [],
            "empty_patch_ids": [],
            "submitted_ids": ids,
            "resolved_ids": resolved,
            "unresolved_ids": [name for name in ids if name not in resolved],
            "error_ids": [],
            "schema_version": 2,
        }
        write_json(folder / f"{model.replace('/', '__')}.nightly.json", document)
    return scores


def tau_bench(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Two trials of every task, both with the same reward."""
    scores = flat(truth(n_models, n_items))
    for model, values in scores.items():
        trials = [
            {
                "task_id": item,
                "reward": value,
                "info": {"task": {"user_id": "u", "instruction": f"task {item}"}, "source": "user"},
                "traj": [{"role": "system", "content": "# Retail agent policy\n\nBe kind."}],
                "trial": trial,
            }
            for trial in range(2)
            for item, value in enumerate(values)
        ]
        write_json(folder / f"tool-calling-{model}-0.0_range_0--1_user-gpt-4o-llm_0412093000.json", trials)
    return scores


def tau2_bench(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for number, (model, values) in enumerate(scores.items()):
        document = {
            "info": {
                "num_trials": 1,
                "agent_info": {"implementation": "llm_agent", "llm": model},
                "user_info": {"implementation": "user_simulator", "llm": "gpt-4.1"},
                "environment_info": {"domain_name": "airline"},
            },
            "tasks": [{"id": str(item), "user_scenario": {"instructions": f"task {item}"}} for item in range(n_items)],
            "simulations": [
                {
                    "id": f"s{item}",
                    "task_id": str(item),
                    "trial": 0,
                    "termination_reason": "user_stop",
                    "reward_info": {"reward": value},
                }
                for item, value in enumerate(values)
            ],
        }
        write_json(folder / f"2025-06-1{number}_airline.json", document)
    return scores


def terminal_bench(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for number, (model, values) in enumerate(scores.items()):
        trials = [
            {
                "id": f"{number}-{item}",
                "trial_name": f"task-{item}.1-of-1.run",
                "task_id": f"task-{item}",
                "instruction": f"do {item}",
                "is_resolved": bool(value),
                "failure_mode": "unset",
                "parser_results": {"test_it": "passed" if value else "failed"},
            }
            for item, value in enumerate(values)
        ]
        run = folder / f"2025-08-10__05-27-{number:02d}"
        write_json(run / "results.json", {"id": str(number), "results": trials, "accuracy": float(np.mean(values))})
        write_json(run / "run_metadata.json", {"run_id": run.name, "agent_name": "terminus", "model_name": model})
        write_json(run / "task-0/task-0.1-of-1.run/results.json", trials[0])
    return {f"terminus: {model}": values for model, values in scores.items()}


def harbor(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for number, (model, values) in enumerate(scores.items()):
        provider, name = model.split("/")
        job = folder / f"2025-11-02__10-00-{number:02d}"
        for item, value in enumerate(values):
            trial = {
                "id": f"{number}-{item}",
                "task_name": f"org/task-{item}",
                "trial_name": f"task-{item}__abc",
                "trial_uri": f"file:///jobs/{number}/task-{item}__abc",
                "task_id": {"path": f"tasks/task-{item}"},
                "source": "terminal-bench",
                "task_checksum": f"checksum {item}",
                "config": {"agent": {"name": "terminus-2", "model_name": model}},
                "agent_info": {"name": "terminus-2", "version": "2.0.0", "model_info": {"name": name, "provider": provider}},
                "verifier_result": {"rewards": {"reward": value}},
                "exception_info": None,
            }
            write_json(job / f"task-{item}__abc" / "result.json", trial)
        write_json(job / "result.json", {"id": str(number), "n_total_trials": n_items, "stats": {"n_trials": n_items}})
    return {f"terminus-2: {model}": values for model, values in scores.items()}


def evalscope(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = flat(truth(n_models, n_items))
    for model, values in scores.items():
        lines = [
            {
                "index": item,
                "target": str(2 * item),
                "messages": [
                    {"id": f"{model}{item}", "role": "user", "content": f"{item} + {item}?"},
                    {"id": "x", "role": "assistant", "content": "…"},
                ],
                "sample_score": {
                    "score": {"value": {"acc": value}, "metadata": {}, "main_score_name": None},
                    "sample_id": item,
                    "group_id": item,
                    "sample_metadata": {},
                },
            }
            for item, value in enumerate(values)
        ]
        write_json(folder / "20250612_101010/reviews" / model / "sums_main.jsonl", lines)
    return scores


def lmms_eval(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for model, values in scores.items():
        lines = [
            {
                "doc_id": item,
                "target": str(2 * item),
                "filtered_resps": ["…"],
                "doc_hash": f"{model} {item}",
                "submission": {"id": item},
                "exact_match": value,
                "input": f"{item} + {item}?",
            }
            for item, value in enumerate(values)
        ]
        run = folder / model.replace("/", "__")
        write_json(run / "20250612_101010_samples_sums.jsonl", lines)
        results = {"sums": {"alias": "sums", "exact_match,none": float(np.mean(values))}}
        document = {"results": results, "higher_is_better": {"sums": {"exact_match": True}}, "model_name": model}
        write_json(run / "20250612_101010_results.json", document)
    return scores


def evalplus(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for model, values in scores.items():
        problems: dict[str, Any] = {
            f"HumanEval/{item}": [
                {
                    "task_id": f"HumanEval/{item}",
                    "solution": "…",
                    "base_status": "pass",
                    "plus_status": "pass" if value else "fail",
                    "base_fail_tests": [],
                    "plus_fail_tests": [],
                }
            ]
            for item, value in enumerate(values)
        }
        name = f"{model.replace('/', '--')}_vllm_temp_0.0_eval_results.json"
        write_json(folder / "humaneval" / name, {"date": "2025-06-12 10:10", "hash": "abc", "eval": problems})
    return scores


def livecodebench(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Two answers to every question, both with the same grade."""
    scores = flat(truth(n_models, n_items))
    for model, values in scores.items():
        questions = [
            {
                "question_title": "Sums",
                "question_content": f"{item} + {item}?",
                "platform": "atcoder",
                "question_id": f"abc{item}",
                "contest_id": "abc",
                "contest_date": "2024-08-31T00:00:00",
                "starter_code": "",
                "difficulty": ("easy", "medium", "hard")[item % 3],
                "output_list": ["…", "…"],
                "code_list": ["…", "…"],
                "graded_list": [bool(value)] * 2,
                "pass@1": value,
                "metadata": ["{}", "{}"],
            }
            for item, value in enumerate(values)
        ]
        write_json(folder / "output" / model / "Scenario.codegeneration_2_0.2_eval_all.json", questions)
    return scores


def promptfoo(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """All models in one file."""
    scores = truth(n_models, n_items)
    rows = [
        {
            "promptIdx": 0,
            "testIdx": item,
            "testCase": {"vars": {"n": item}, "assert": [{"type": "equals", "value": str(2 * item)}]},
            "promptId": "p",
            "provider": {"id": model, "label": ""},
            "prompt": {"raw": f"{item} + {item}?", "label": "{{n}} + {{n}}?"},
            "vars": {"n": item},
            "response": {"output": "…"},
            "failureReason": 0 if value else 1,
            "success": bool(value),
            "score": value,
            "namedScores": {},
        }
        for item in range(n_items)
        for model, value in ((model, values[item]) for model, values in scores.items())
    ]
    write_json(folder / "results.json", {"evalId": "eval-1", "results": {"version": 3, "results": rows}, "config": {}})
    return scores


def bfcl(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Score files, which hold only the failures, and the results of all tests."""
    scores = flat(truth(n_models, n_items))
    for model, values in scores.items():
        ids = [f"simple_python_{item}" for item in range(n_items)]
        correct = int(sum(values))
        header = {"accuracy": correct / n_items, "correct_count": correct, "total_count": n_items}
        failures = [
            {"id": name, "model_name": model, "test_category": "simple_python", "valid": False, "error": ["…"]}
            for name, value in zip(ids, values, strict=True)
            if not value
        ]
        write_lines(folder / "score" / model / "non_live/BFCL_v4_simple_python_score.json", [header, *failures])
        results = [{"id": name, "result": "…"} for name in ids]
        write_lines(folder / "result" / model / "non_live/BFCL_v4_simple_python_result.json", results)
    return scores


def livebench(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """All models in one file."""
    scores = truth(n_models, n_items)
    lines = [
        {"question_id": f"q{item}", "task": "sums", "model": model, "score": value, "tstamp": 1.5, "category": "math"}
        for model, values in scores.items()
        for item, value in enumerate(values)
    ]
    write_json(folder / "live_bench/math/sums/model_judgment/ground_truth_judgment.jsonl", lines)
    return scores


def alpaca_eval(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = truth(n_models, n_items)
    for model, values in scores.items():
        annotations = [
            {
                "dataset": "koala",
                "instruction": f"{item} + {item}?",
                "output_1": "…",
                "generator_1": "baseline",
                "output_2": "…",
                "generator_2": model,
                "annotator": "judge",
                "preference": 1 + value,
            }
            for item, value in enumerate(values)
        ]
        write_json(folder / model.replace("/", "__") / "judge/annotations.json", annotations)
    return scores


def arena_hard(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Both games have the same winner."""
    scores = truth(n_models, n_items)
    for model, values in scores.items():
        lines = [
            {
                "uid": f"q{item}",
                "category": "hard_prompt",
                "judge": "judge",
                "model": model,
                "baseline": "baseline",
                "games": [
                    {"score": "B>A" if value else "A>>B", "judgment": {"answer": "…"}, "prompt": []},
                    {"score": "A>>B" if value else "B>A", "judgment": {"answer": "…"}, "prompt": []},
                ],
            }
            for item, value in enumerate(values)
        ]
        write_json(folder / "model_judgment/judge" / f"{model.replace('/', '__')}.jsonl", lines)
    return scores


def vlmevalkit(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    scores = flat(truth(n_models, n_items))
    for model, values in scores.items():
        run = folder / model / "T20250612_G1a2b3c4d"
        run.mkdir(parents=True)
        with (run / f"{model}_MMStar_exact_matching_result.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL)
            writer.writerow(["index", "question", "answer", "A", "B", "category", "prediction", "hit", "log"])
            writer.writerows(
                [item, f"{item}?", "A", "yes", "no", "logic", "A", int(value), "…"] for item, value in enumerate(values)
            )
    return scores


WRITERS: dict[str, tuple[str, Callable[..., Truth]]] = {
    "swe_bench": ("swe_bench", swe_bench),
    "tau_bench": ("tau_bench", tau_bench),
    "tau2_bench": ("tau_bench", tau2_bench),
    "terminal_bench": ("terminal_bench", terminal_bench),
    "harbor": ("harbor", harbor),
    "evalscope": ("evalscope", evalscope),
    "lmms_eval": ("lmms_eval", lmms_eval),
    "evalplus": ("evalplus", evalplus),
    "livecodebench": ("livecodebench", livecodebench),
    "promptfoo": ("promptfoo", promptfoo),
    "bfcl": ("bfcl", bfcl),
    "livebench": ("livebench", livebench),
    "alpaca_eval": ("alpaca_eval", alpaca_eval),
    "arena_hard": ("arena_hard", arena_hard),
    "vlmevalkit": ("vlmevalkit", vlmevalkit),
}
"""By layout: its `source`, and the function that writes logs into a folder."""
