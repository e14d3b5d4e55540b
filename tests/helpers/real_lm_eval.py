"""Logs written by the real lm-evaluation-harness: its dummy model (random likelihoods, always the text `lol`) on tiny local tasks.

`python -m tests.helpers.real_lm_eval FOLDER [MODELS]` writes such logs for trying out commands.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

EVALUATE = """
import functools, json, sys
import lm_eval.tasks
from lm_eval.__main__ import cli_evaluate
lm_eval.tasks.TaskManager = functools.partial(lm_eval.tasks.TaskManager, include_defaults=False)
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["lm_eval", *arguments]
    cli_evaluate()
"""
"""Runs the command once per model in one process, without the harness's own tasks, whose discovery takes most of the time."""
TASKS = ("tiny_add", "tiny_order", "tiny_echo")
MODELS = ("org/first", "org/second__b", "/home/me/third", *(f"org/m{k}" for k in range(3, 12)))
"""The models whose logs the tests share: names of all kinds that the harness turns into folders."""
ITEMS = 40


def write_logs(folder: Path, models: Sequence[str], items: int = ITEMS) -> Path:
    """Evaluate every model on three tasks with `lm_eval run --log_samples`, offline.

    `tiny_add` is multiple choice with `acc` and `acc_norm`, and holds one document twice. `tiny_order` is multiple choice with a
    text as target, and has `acc_norm` alone. `tiny_echo` is generative, has the filters `strict` and `loose`, and repeats every
    request.

    Parameters
    ----------
    folder
        An empty folder for the tasks, the logs and the caches.
    models
        Model names. A model's index is the seed of its random likelihoods.
    items
        Number of documents per multiple-choice task; `tiny_echo` has a quarter as many.

    Returns
    -------
    Path
        The folder of logs, `folder/logs`, with one folder per model.
    """
    tasks, out = folder / "tasks", folder / "logs"
    tasks.mkdir(parents=True)
    for name, (task, documents) in _tasks(items).items():
        data = tasks / f"{name}.jsonl"
        data.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
        source = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}, "test_split": "test"}
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(source | task), encoding="utf-8")
    _evaluate(folder, [_arguments(model, seed, tasks, out, TASKS) for seed, model in enumerate(models)])
    return out


def write_samples(tasks_folder: Path, folder: Path, model: str, seed: int, samples: Path) -> Path:
    """Evaluate a model on selected documents only, with `lm_eval run --samples`.

    Parameters
    ----------
    tasks_folder
        The tasks that `write_logs` wrote; only read.
    folder
        A folder for the logs and the caches.
    model, seed
        The model's name, and the seed of its likelihoods.
    samples
        A JSON file that maps tasks to document numbers.

    Returns
    -------
    Path
        The folder of logs.
    """
    out = folder / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    tasks = sorted(json.loads(samples.read_text(encoding="utf-8")))
    _evaluate(folder, [[*_arguments(model, seed, tasks_folder, out, tasks), "--samples", str(samples)]])
    return out


def _evaluate(folder: Path, runs: Sequence[Sequence[str]]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    finished = subprocess.run(
        [sys.executable, "-c", EVALUATE, json.dumps(runs)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr[-3000:])


def _arguments(model: str, seed: int, tasks: Path, out: Path, names: Sequence[str]) -> list[str]:
    return [
        *("run", "--model", "dummy", "--model_args", f"pretrained={model}", "--seed", str(seed), "--log_samples"),
        *("--include_path", str(tasks), "--tasks", *names, "--output_path", str(out)),
    ]


def _tasks(items: int) -> dict[str, tuple[dict[str, object], list[dict[str, object]]]]:
    add = [_sum(k) for k in range(items - 1)]
    order: list[dict[str, object]] = [
        {"input": f"Is {k} above {(7 * k) % items}?", "target": "yes" if k > (7 * k) % items else "no"} for k in range(items)
    ]
    echo: list[dict[str, object]] = [
        {"question": f"Say it {k} times.", "answer": "lol" if k % 3 else "LOL"} for k in range(items // 4)
    ]
    choice = {"output_type": "multiple_choice", "doc_to_text": "{{question}}"}
    return {
        "tiny_add": (
            choice | {"doc_to_choice": "{{choices}}", "doc_to_target": "label", "metric_list": _metrics("acc", "acc_norm")},
            [*add, add[0]],
        ),
        "tiny_order": (
            choice
            | {"doc_to_text": "{{input}}", "doc_to_choice": ["yes", "no"], "doc_to_target": "{{target}}"}
            | {"metric_list": _metrics("acc_norm")},
            order,
        ),
        "tiny_echo": (
            {
                "output_type": "generate_until",
                "doc_to_text": "{{question}}",
                "doc_to_target": "{{answer}}",
                "repeats": 2,
                "generation_kwargs": {"until": ["\n"], "do_sample": True},
                "metric_list": _metrics("exact_match"),
                "filter_list": [
                    {"name": "strict", "filter": [{"function": "take_first"}]},
                    {"name": "loose", "filter": [{"function": "uppercase"}, {"function": "take_first"}]},
                ],
            },
            echo,
        ),
    }


def _sum(k: int) -> dict[str, object]:
    """A sum with four answers, the correct one at a varying index; the texts are not pure ASCII."""
    answers = [f"c’est {k + 3 + step}" for step in (0, 1, -1, 10)]
    label = (k * 5) % 4
    answers[0], answers[label] = answers[label], answers[0]
    return {"question": f"Σ: {k} + 3 = ?", "choices": answers, "label": label, "weight": k / 7}


def _metrics(*names: str) -> list[dict[str, object]]:
    return [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", type=int, nargs="?", default=12)
    arguments = parser.parse_args()
    print(write_logs(arguments.folder.absolute(), [f"org/dummy-{k}" for k in range(arguments.models)]))


if __name__ == "__main__":
    main()
