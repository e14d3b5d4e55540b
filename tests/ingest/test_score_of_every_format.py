"""Every format that is ingested can be scored: by the same reader, to the same responses; and what its tool needs is exported."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.micro import artifact as exported
from tests.helpers import many_models, real_inspect

SIZE = 3


def export_and_score(source: str, logs: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> exported.MicroBenchmark:
    """Export three random items read by their mean; the logs that they come from, scored again, give the same responses."""
    assert main(["ingest", f"source={source}", f"path={logs}", f"out={folder / 'board'}"]) == 0
    board = ["benchmark=ingested", f"benchmark.path={folder / 'board'}"]
    assert main(["export", *board, "method=random", f"size={SIZE}", f"out={folder / 'micro'}"]) == 0
    capsys.readouterr()
    assert main(["score", f"micro={folder / 'micro'}", f"responses={logs}", "format=json"]) == 0
    made = exported.load(folder / "micro")
    found = {each["model"]: each["estimate"] for each in json.loads(capsys.readouterr().out)["models"]}
    want = dict(zip(made.models, made.responses.mean(axis=1), strict=True))
    assert {model: found[model] for model in want} == pytest.approx(want, abs=1e-5)  # a benchmark's scores lie on a grid
    return made


@pytest.mark.parametrize("source", sorted(many_models.MAKERS))
def test_every_format(source: str, tmp_path: Path, test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many_models.MAKERS[source](tmp_path / "logs", test_data)
    made = export_and_score(source, tmp_path / "logs", tmp_path, capsys)
    assert made.source["source"] == source
    files = {path.name for path in (tmp_path / "micro").iterdir()}
    assert ("samples.json" in files) == (source in ("lm_eval", "open_llm_leaderboard"))
    assert ("inspect_ids.json" in files) == (source == "inspect")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect-ai is not installed")
def test_sample_ids_are_those_of_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = real_inspect.write_logs(tmp_path / "logs", 6)
    made = export_and_score("inspect", logs, tmp_path, capsys)
    written = json.loads((tmp_path / "micro/inspect_ids.json").read_text())
    assert sorted(f"{task}/{name}" for task, names in written.items() for name in names) == sorted(made.item_ids)
