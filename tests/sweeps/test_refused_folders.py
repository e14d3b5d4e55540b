"""An output folder that cannot serve is one message, and stays as it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from tests.helpers.refusals import Refused, assert_one_message, everything, swept
from tests.helpers.small_sweep import N_ITEMS, command, write_board


def test_an_output_folder_that_cannot_be_written_is_named(
    board: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope")):
        before = everything(tmp_path)
        assert main(swept(board, out)) == 1
        error = capsys.readouterr().err  # the plan is said before
        assert_one_message(1, error, ("The output folder cannot be written", str(out), "out=DIR"))
        assert everything(tmp_path) == before
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert main(swept(board, tmp_path / "out")) == 1
        tmp_path.chmod(0o700)
        assert "Permission denied" in capsys.readouterr().err


@pytest.fixture
def finished(board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a finished sweep."""
    out = tmp_path / "out"
    assert main(command(board, out, runs=2)) == 0
    capsys.readouterr()
    return out


def refused_after_plan(arguments: list[str], out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    before, ray_before = everything(out), "ray" in sys.modules
    code = main(arguments)
    assert_one_message(code, capsys.readouterr().err, words)
    assert everything(out) == before
    assert ("ray" in sys.modules) == ray_before


def test_a_folder_with_another_sweep_is_refused(
    board: Path, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = (str(finished), "out=DIR")
    refused_after_plan(swept(board, finished, "seed=7"), finished, capsys, "another root seed", "0 there, 7 asked for", *where)
    other = write_board(tmp_path / "board.parquet", m03=np.ones(N_ITEMS))
    refused_after_plan(swept(other, finished), finished, capsys, "another content of benchmark 'board'", *where)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("[1, 2]", ["The manifest cannot be read", "list"]),
        ("null", ["The manifest cannot be read"]),
        ("{}", ["another schema version", "None there"]),
        ('{"schema_version": 0}', ["another schema version", "0 there"]),
        ('{"schema_version": 2}', ["not that of a sweep", "no seed"]),
    ],
)
def test_a_manifest_that_is_none_of_ours_is_refused(
    manifest: str, words: list[str], board: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "manifest.json").write_text(manifest)
    refused_after_plan(swept(board, finished), finished, capsys, *words, str(finished))
    refused_after_plan(["reduce", f"out={finished}"], finished, capsys, *words, str(finished))


def test_reduce_wants_a_finished_sweep(finished: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "empty").mkdir()
    refused(["reduce", f"out={tmp_path / 'empty'}"], "There is no sweep to reduce", "microbench sweep")
    refused(["reduce", f"out={tmp_path / 'nope'}"], "There is no sweep to reduce")
    refused(["reduce"], "A value is needed", "out=")
    refused(["reduce", f"out={finished}", "thresholds=[0]"], "thresholds must be in (0, 1]")
    refused(["reduce", f"out={finished}", "tie_polcy=half"], "did you mean tie_policy?")
    refused(["reduce", f"out={finished}", "grid.runs=3"], "where: grid", "valid: baseline, ci, confidence_level")
    manifest = json.loads((finished / "manifest.json").read_text())
    del manifest["finished"]
    (finished / "manifest.json").write_text(json.dumps(manifest))
    refused(["reduce", f"out={finished}"], "not finished", "run the same microbench sweep again")
