"""An unusable output folder is reported in one message and stays unchanged."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from microbench_ray.cli.main import main
from tests.helpers.refusals import Refused, assert_one_message, everything, swept
from tests.helpers.small_sweep import N_ITEMS, write_board


def test_an_output_folder_that_cannot_be_written_is_named(
    board: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("a file")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nope")):
        before = everything(tmp_path)
        assert main(["-q", *swept(board, out)]) == 1  # without the log line of the plan
        assert_one_message(1, capsys.readouterr().err, ("cannot be written", str(out), "out=DIR"))
        assert everything(tmp_path) == before
    if os.geteuid():
        tmp_path.chmod(0o500)
        assert main(swept(board, tmp_path / "out")) == 1
        tmp_path.chmod(0o700)
        assert "Permission denied" in capsys.readouterr().err


@pytest.fixture
def finished(reference: Path, tmp_path: Path) -> Path:
    """The output folder of a finished sweep."""
    return Path(shutil.copytree(reference, tmp_path / "out"))


def refused_after_plan(arguments: list[str], out: Path, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    files_before, ray_imported_before = everything(out), "ray" in sys.modules
    code = main(["-q", *arguments])  # without the log line of the plan
    assert_one_message(code, capsys.readouterr().err, words)
    assert everything(out) == files_before
    assert ("ray" in sys.modules) == ray_imported_before


def test_a_folder_with_another_sweep_is_rejected(
    board: Path, tmp_path: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = (str(finished), "out=DIR")
    refused_after_plan(swept(board, finished, "seed=7"), finished, capsys, "root seed", "0 in the folder, 7 requested", *where)
    other = write_board(tmp_path / "board.parquet", m03=np.ones(N_ITEMS))
    refused_after_plan(swept(other, finished), finished, capsys, "content of benchmark 'board'", *where)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("[1, 2]", ["manifest", "list"]),
        ("null", ["manifest", "NoneType"]),
        ("{}", ["schema version", "None in the folder"]),
        ('{"schema_version": 0}', ["schema version", "0 in the folder"]),
        ('{"schema_version": 2}', ["manifest", "no key seed"]),
    ],
)
def test_the_manifest_of_another_program_or_version_is_rejected(
    manifest: str, words: list[str], board: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (finished / "manifest.json").write_text(manifest)
    refused_after_plan(swept(board, finished), finished, capsys, *words, str(finished))
    refused_after_plan(["reduce", f"out={finished}"], finished, capsys, *words, str(finished))


def test_reduce_requires_a_finished_sweep(finished: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "empty").mkdir()
    refused(["reduce", f"out={tmp_path / 'empty'}"], "No sweep", "no manifest.json", "microbench sweep")
    refused(["reduce", f"out={tmp_path / 'nope'}"], "No sweep", "no manifest.json")
    refused(["reduce"], "where: out")
    refused(["reduce", f"out={finished}", "thresholds=[0]"], "thresholds", "(0, 1]")
    refused(["reduce", f"out={finished}", "tie_polcy=half"], "did you mean tie_policy?")
    refused(["reduce", f"out={finished}", "grid.runs=3"], "where: grid", "valid: baseline, ci, confidence_level")
    manifest = json.loads((finished / "manifest.json").read_text())
    del manifest["finished"]
    (finished / "manifest.json").write_text(json.dumps(manifest))
    refused(["reduce", f"out={finished}"], "not finished", "rerun the same microbench sweep")
