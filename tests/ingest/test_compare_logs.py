"""`compare` on logs of the real tools: repeats are kept, and means are those of the logs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.ingest.base import Options
from microbench_ray.micro.compare.runs import RunsInput, read_runs
from tests.helpers import real_inspect


@pytest.mark.slow
def test_epochs_of_inspect(inspect_logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = real_inspect.model_names(real_inspect.N_MODELS)
    given = RunsInput((names[0], names[-1]), str(inspect_logs), "inspect", Options())
    expected = real_inspect.expected(real_inspect.N_MODELS)
    for run in read_runs(given).runs:
        own = {item.rpartition("/")[2]: sorted(scores) for item, scores in run.scores.items()}
        assert own == expected[run.name]
    assert main(["compare", names[0], names[-1], f"board={inspect_logs}", "source=inspect", "format=json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    means = [np.mean([np.mean(scores) for scores in expected[name].values()]) for name in (names[0], names[-1])]
    assert [found["mean_a"], found["mean_b"]] == pytest.approx(means, abs=1e-9)
    assert found["repeats_share"] is not None


@pytest.mark.slow
def test_two_folders_of_lm_eval(lm_eval_logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = sorted(folder for folder in lm_eval_logs.iterdir() if folder.is_dir())[:2]
    arguments = [str(folder) for folder in folders]
    assert main(["compare", *arguments, "source=lm_eval", "tasks=[tiny_order]", "format=json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    for folder, run in zip(folders, printed["runs"], strict=True):
        (results,) = folder.glob("results_*.json")
        assert run["mean"] == pytest.approx(json.loads(results.read_text())["results"]["tiny_order"]["acc_norm,none"], abs=1e-9)
