"""Logs that the real Inspect writes: `inspect eval` and `inspect_ai.eval` with its mock model, on a task of this file, in a process
of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import pytest

TASK = "capitals"
EPOCHS = 2
COUNTRIES = ["Austria", "Belgium", "Chad", "Denmark", "Egypt", "France", "Ghana", "Hungary"]
COUNTRIES += ["India", "Japan", "Kenya", "Laos", "Mali", "Nepal", "Oman", "Peru"]


TASK_FILE = f"""
from inspect_ai import task
from tests.helpers.real_inspect import build_task


@task
def {TASK}(model: int, n_models: int):
    return build_task(model, n_models)
"""


def model_names(n_models: int) -> list[str]:
    return [f"mockllm/mock-{model:02d}" for model in range(n_models)]


def says_right(model: int, item: int, epoch: int, n_models: int) -> bool:
    drawn = int.from_bytes(blake2b(f"{model}/{item}/{epoch}".encode(), digest_size=4).digest(), "big") / 2**32
    return drawn < 0.2 + 0.7 * model / max(n_models - 1, 1)


def expected(n_models: int, n_items: int = len(COUNTRIES)) -> dict[str, dict[str, list[float]]]:
    """Of every model and sample, in any order the scores of its epochs; the command line's model among them."""
    return {
        name: {
            str(item + 1): sorted(float(says_right(model, item, epoch, n_models)) for epoch in range(EPOCHS))
            for item in range(n_items)
        }
        for model, name in enumerate(model_names(n_models))
    }


def write_logs(folder: Path, n_models: int = 8) -> Path:
    """Run Inspect on `n_models` models: the last by its command line, of the others every second one into `.json`.

    Skips the test where Inspect is not installed. Returns the folder.
    """
    if find_spec("inspect_ai") is None:
        pytest.skip("inspect-ai is not installed (extra `inspect`)")
    folder.mkdir(parents=True, exist_ok=True)
    home = folder.parent / f"{folder.name}-home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INSPECT_", "PYTHONWARNINGS"))}
    environment = {**kept, "HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CACHE_HOME": str(home), "INSPECT_DISPLAY": "plain"}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    script = str(Path(__file__).resolve())
    (home / "tasks.py").write_text(TASK_FILE)
    cli = ["-m", "inspect_ai", "eval", f"tasks.py@{TASK}", "--epochs", str(EPOCHS), "--log-dir", str(folder)]
    cli += ["-T", f"model={n_models - 1}", "-T", f"n_models={n_models}"]
    for arguments in ([script, str(folder), str(n_models)], cli):
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=home, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return folder


def build_task(model: int, n_models: int):
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import choice
    from inspect_ai.solver import multiple_choice

    samples = [
        Sample(f"Which word is country {item + 1}?", choices=[country, "nowhere", "the sea"], target="A", id=item + 1)
        for item, country in enumerate(COUNTRIES)
    ]
    dataset = MemoryDataset(samples)
    return Task(dataset=dataset, solver=multiple_choice(), scorer=choice(), name=TASK, model=_mock(model, n_models))


def _mock(model: int, n_models: int):
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    seen: dict[int, int] = {}

    def answer(messages, tools, tool_choice, config):
        item = next(place for place, country in enumerate(COUNTRIES) if country in messages[-1].text)
        epoch = seen.get(item, 0)
        seen[item] = epoch + 1
        output = ModelOutput.from_content(
            model="mockllm", content=f"ANSWER: {'A' if says_right(model, item, epoch, n_models) else 'B'}"
        )
        output.usage = ModelUsage()  # else it counts tokens, with a file from the network
        return output

    return get_model(model_names(n_models)[model], custom_outputs=answer)


def main(folder: str, n_models: int) -> None:
    from inspect_ai import eval as run

    for model in range(n_models - 1):
        kind = "json" if model % 2 else "eval"
        (log,) = run(build_task(model, n_models), epochs=EPOCHS, log_dir=folder, log_format=kind, display="none")
        assert log.status == "success", log.error


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
