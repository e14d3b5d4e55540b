"""Logs written by the real Inspect, in subprocesses: `inspect eval` and `inspect_ai.eval` with its mock model on the task below."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.model import Model, ModelOutput

TASK = "capitals"
EPOCHS = 2
N_MODELS = 8
"""The models whose logs the tests share."""
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


def answers_correctly(model: int, item: int, epoch: int, n_models: int) -> bool:
    """A pseudo-random outcome, the same on every machine; later models are better."""
    uniform = int.from_bytes(blake2b(f"{model}/{item}/{epoch}".encode(), digest_size=4).digest(), "big") / 2**32
    return uniform < 0.2 + 0.7 * model / max(n_models - 1, 1)


def expected(n_models: int, n_items: int = len(COUNTRIES)) -> dict[str, dict[str, list[float]]]:
    """The sorted scores of the epochs, by model and sample id."""
    return {
        name: {
            str(item + 1): sorted(float(answers_correctly(model, item, epoch, n_models)) for epoch in range(EPOCHS))
            for item in range(n_items)
        }
        for model, name in enumerate(model_names(n_models))
    }


def write_logs(folder: Path, n_models: int = N_MODELS) -> Path:
    """Run Inspect on `n_models` models and return the folder of logs.

    The last model runs on the command line, the others in Python; every second of these writes `.json` instead of `.eval`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home = folder.parent / f"{folder.name}-home"
    home.mkdir(exist_ok=True)
    environment = environment_of(home)
    script = str(Path(__file__).resolve())
    (home / "tasks.py").write_text(TASK_FILE)
    cli = ["-m", "inspect_ai", "eval", f"tasks.py@{TASK}", "--epochs", str(EPOCHS), "--log-dir", str(folder)]
    cli += ["-T", f"model={n_models - 1}", "-T", f"n_models={n_models}"]
    for arguments in ([script, str(folder), str(n_models)], cli):
        finished = subprocess.run(
            [sys.executable, *arguments], env=environment, cwd=home, capture_output=True, text=True, timeout=300, check=False
        )
        assert finished.returncode == 0, f"{arguments}\n{finished.stdout[-2000:]}\n{finished.stderr[-4000:]}"
    return folder


def environment_of(home: Path) -> dict[str, str]:
    """The variables of a process that runs Inspect: its files below `home`, and this checkout on the path."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("INSPECT_", "PYTHONWARNINGS"))}
    return {
        **inherited,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "INSPECT_DISPLAY": "plain",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }


def build_task(model: int, n_models: int) -> Task:
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


def _mock(model: int, n_models: int) -> Model:
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    epochs: dict[int, int] = {}

    def answer(messages: list[Any], tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
        item = next(index for index, country in enumerate(COUNTRIES) if country in messages[-1].text)
        epoch = epochs.get(item, 0)
        epochs[item] = epoch + 1
        output = ModelOutput.from_content(
            model="mockllm", content=f"ANSWER: {'A' if answers_correctly(model, item, epoch, n_models) else 'B'}"
        )
        output.usage = ModelUsage()  # otherwise it counts tokens with a file from the network
        return output

    return get_model(model_names(n_models)[model], custom_outputs=answer)


def main(folder: str, n_models: int) -> None:
    from inspect_ai import eval as run

    for model in range(n_models - 1):
        log_format: Literal["json", "eval"] = "json" if model % 2 else "eval"
        (log,) = run(build_task(model, n_models), epochs=EPOCHS, log_dir=folder, log_format=log_format, display="none")
        assert log.status == "success", log.error


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
