"""Logs that the real lm-evaluation-harness writes: its dummy model (random likelihoods, always the text `lol`) on tiny local tasks.

`python tests/ingest/real_lm_eval.py FOLDER [MODELS]` writes such a folder to try commands on.
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
"""The command itself, once for each model, in one process and without its own thousands of tasks: those take most of its time."""
TASKS = ("tiny_add", "tiny_order", "tiny_echo")


def write_logs(folder: Path, models: Sequence[str], items: int = 40) -> Path:
    """Evaluate every model on three tasks, as `lm_eval run --log_samples` does, without a network.

    `tiny_add` is multiple choice with `acc` and `acc_norm`, and holds one document twice; `tiny_order` is multiple choice whose
    target is a text, with `acc_norm` alone; `tiny_echo` generates, has the filters `strict` and `loose`, and repeats every request.

    Parameters
    ----------
    folder
        Where everything lies, the caches too.
    models
        Names, each of which seeds its own random likelihoods by its place.
    items
        Documents of each multiple-choice task; `tiny_echo` has a quarter as many.

    Returns
    -------
    Path
        The folder of logs, one folder per model.
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


def write_samples(folder: Path, model: str, seed: int, samples: Path) -> Path:
    """Evaluate one more model on some documents alone, as `lm_eval run --samples` does, in a folder of `write_logs`.

    Parameters
    ----------
    folder
        As for `write_logs`.
    model, seed
        Its name, and the seed of its likelihoods.
    samples
        A file with an object from task to numbers of documents.

    Returns
    -------
    Path
        The folder of its logs.
    """
    out = folder / "more"
    tasks = sorted(json.loads(samples.read_text(encoding="utf-8")))
    _evaluate(folder, [[*_arguments(model, seed, folder / "tasks", out, tasks), "--samples", str(samples)]])
    return out


def _evaluate(folder: Path, runs: Sequence[Sequence[str]]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, json.dumps(runs)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])


def _arguments(model: str, seed: int, tasks: Path, out: Path, names: Sequence[str]) -> list[str]:
    return [
        *("run", "--model", "dummy", "--model_args", f"pretrained={model}", "--seed", str(seed), "--log_samples"),
        *("--include_path", str(tasks), "--tasks", *names, "--output_path", str(out)),
    ]


def _tasks(items: int) -> dict[str, tuple[dict[str, object], list[dict[str, object]]]]:
    add = [_sum(k) for k in range(items - 1)]
    order = [{"input": f"Is {k} above {(7 * k) % items}?", "target": "yes" if k > (7 * k) % items else "no"} for k in range(items)]
    echo = [{"question": f"Say it {k} times.", "answer": "lol" if k % 3 else "LOL"} for k in range(items // 4)]
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
    """A sum with four answers, the right one at any place; texts with more than ASCII."""
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
    given = parser.parse_args()
    print(write_logs(given.folder.absolute(), [f"org/dummy-{k}" for k in range(given.models)]))


if __name__ == "__main__":
    main()
