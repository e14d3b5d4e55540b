"""Every ingested format can be scored, with the same responses as ingested; exports contain the files that its tool needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.micro import artifact
from tests.helpers import many_models

SIZE = 3
QUICK = ("lm_eval", "scores")
"""Sources tested in the default tier; the others are slow tests."""


def export_and_score(source: str, logs: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> artifact.MicroBenchmark:
    """Export three random items, and check that scoring the ingested logs gives the mean of the ingested responses."""
    assert main(["ingest", f"source={source}", f"path={logs}", f"out={folder / 'board'}"]) == 0
    board = ["benchmark=ingested", f"benchmark.path={folder / 'board'}"]
    assert main(["export", *board, "method=random", f"size={SIZE}", f"out={folder / 'micro'}"]) == 0
    capsys.readouterr()
    assert main(["score", f"micro={folder / 'micro'}", f"responses={logs}", "format=json"]) == 0
    micro = artifact.load(folder / "micro")
    estimates = {each["model"]: each["estimate"] for each in json.loads(capsys.readouterr().out)["models"]}
    means = dict(zip(micro.models, micro.responses.mean(axis=1), strict=True))
    assert {model: estimates[model] for model in means} == pytest.approx(means, abs=1e-5)  # a benchmark's scores lie on a grid
    return micro


@pytest.mark.parametrize(
    "source", [pytest.param(source, marks=[] if source in QUICK else pytest.mark.slow) for source in sorted(many_models.WRITERS)]
)
def test_every_format(source: str, tmp_path: Path, test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many_models.WRITERS[source](tmp_path / "logs", test_data)
    micro = export_and_score(source, tmp_path / "logs", tmp_path, capsys)
    assert micro.source["source"] == source
    files = {path.name for path in (tmp_path / "micro").iterdir()}
    assert ("samples.json" in files) == (source in ("lm_eval", "open_llm_leaderboard"))
    assert ("inspect_ids.json" in files) == (source == "inspect")


@pytest.mark.slow
def test_exported_ids_are_inspects_sample_ids(tmp_path: Path, inspect_logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    micro = export_and_score("inspect", inspect_logs, tmp_path, capsys)
    written = json.loads((tmp_path / "micro/inspect_ids.json").read_text())
    assert sorted(f"{task}/{name}" for task, names in written.items() for name in names) == sorted(micro.item_ids)
