"""Every ingested format can be scored, with the same responses as ingested; exports contain the files that its tool needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import DataError
from microbench_ray.ingest.base import Options
from microbench_ray.micro import artifact
from microbench_ray.micro.responses import with_defaults
from tests.helpers import many_models
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import line, write, write_results

SIZE = 3
QUICK = ("lm_eval", "scores")
"""Sources tested in the default tier; the others are slow tests."""


def export_and_score(
    source: str, logs: Path, folder: Path, capsys: pytest.CaptureFixture[str], *keys: str
) -> artifact.MicroBenchmark:
    """Export three random items, and check that scoring the ingested logs gives the mean of the ingested responses."""
    assert main(["ingest", f"source={source}", f"path={logs}", f"out={folder / 'board'}", *keys]) == 0
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


@pytest.mark.parametrize("join", ["id", "hash"])
def test_a_score_joins_items_names_models_and_scales_as_the_ingest_did(
    tmp_path: Path, join: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for k in range(8):
        order = ["x", "y"] if k % 2 or join == "hash" else ["y", "x"]
        docs = [{"question": f"q{item}", "choices": order} for item in range(12)]
        rows = [line(item, doc, acc=None, metrics=["judge"], judge=float(rng.integers(1, 11))) for item, doc in enumerate(docs)]
        write(tmp_path / "logs" / f"{k}", "t", rows)
        content: dict[str, Any] = {"n-shot": {"t": k % 2}}
        write_results(tmp_path / "logs" / f"{k}", f"org/{k // 2}", **content)
    micro = export_and_score(
        "lm_eval", tmp_path / "logs", tmp_path, capsys, f"join={join}", "identify=[name,few_shot]", "scale=10", "offset=1"
    )
    assert sorted(micro.models)[:2] == ["org/0 (0-shot)", "org/0 (1-shot)"]
    assert json.loads((tmp_path / "micro/samples.json").read_text()).keys() == {"t"}


@pytest.mark.parametrize(
    "setting",
    [{"scale": {"best": 1.0, "worst": 1.0}}, {"scale": {"x": 1.0}}, {"join": "name"}, {"table": {"x": 1}}, {"identify": 3}],
)
def test_malformed_settings_of_an_export_are_one_message(setting: dict[str, Any]) -> None:
    with refuses(DataError, "malformed", where="source"):
        with_defaults(Options(), "lm_eval", {"source": "lm_eval", **setting})


@pytest.mark.slow
def test_exported_ids_are_inspects_sample_ids(tmp_path: Path, inspect_logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    micro = export_and_score("inspect", inspect_logs, tmp_path, capsys)
    written = json.loads((tmp_path / "micro/inspect_ids.json").read_text())
    assert sorted(f"{task}/{name}" for task, names in written.items() for name in names) == sorted(micro.item_ids)
