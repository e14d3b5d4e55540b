"""A resumed sweep: its manifest and page say what was computed when, and every other file is that of an undisturbed sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.cli.main import main
from microbench_ray.sweeps import driver, manifest
from microbench_ray.sweeps.results import SweepStore
from tests.helpers.small_sweep import command

RUNS = 20
CELLS_PER_SHARD, N_SHARDS = 30, 8
"""Ten runs of three sizes, for two numbers of source models and two methods in two halves of the runs."""


class Killed(BaseException):
    """Stands for a kill before a shard is stored."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The times of the manifest: one more minute at every call. The list holds those told so far."""
    told: list[str] = []

    def now() -> str:
        told.append(f"2026-01-01T00:{len(told):02}:00Z")
        return told[-1]

    monkeypatch.setattr(manifest, "now", now)
    monkeypatch.setattr(driver, "now", now)
    return told


def killed_after(n_shards: int, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a command until it has stored that many shards."""
    left, write_shard = n_shards, SweepStore.write_shard

    def write_or_die(store: SweepStore, *arguments: Any) -> None:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        write_shard(store, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(SweepStore, "write_shard", write_or_die)
        with pytest.raises(Killed):
            main(arguments)


def runs_of(out: Path) -> list[tuple[str | None, int]]:
    content = json.loads((out / "manifest.json").read_text())
    files = [file for run in content["runs"] for file in run["files"]]
    assert sorted(files) == sorted(path.stem for path in (out / "cells").glob("*.parquet"))
    return [(run["started"], run["cells"]) for run in content["runs"]]


@pytest.mark.slow
def test_the_manifest_and_the_page_say_what_was_computed_when(
    board: Path, tmp_path: Path, clock: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    arguments = [*command(board, out, runs=RUNS), "report=true"]
    starts = []
    for n_shards in (1, 2):
        starts.append(len(clock))
        killed_after(n_shards, arguments, monkeypatch)
    starts.append(len(clock))
    assert main(arguments) == 0
    cells = [CELLS_PER_SHARD, 2 * CELLS_PER_SHARD, (N_SHARDS - 3) * CELLS_PER_SHARD]
    expected = [(clock[start], count) for start, count in zip(starts, cells, strict=True)]
    assert runs_of(out) == expected
    page = (out / "report.html").read_text()
    for started, count in expected:
        assert f"{count} by the run of {started}" in page
    assert main(arguments) == 0  # computes nothing
    assert runs_of(out) == expected

    assert main([*command(board, undisturbed, runs=RUNS), "report=true"]) == 0
    assert [count for _, count in runs_of(undisturbed)] == [N_SHARDS * CELLS_PER_SHARD]
    assert "by the run of" not in (undisturbed / "report.html").read_text()
    ours, theirs = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (out, undisturbed)
    )
    assert ours.keys() == theirs.keys()
    assert {name for name in ours if ours[name] != theirs[name]} == {"manifest.json", "report.html"}


@pytest.mark.parametrize(
    "runs",
    [
        None,
        [{"files": 2, "started": "x"}],
        *(pytest.param(each, marks=pytest.mark.slow) for each in ([], 3, [{"started": 1}])),
    ],
)
def test_cells_whose_time_the_manifest_does_not_tell_are_kept(runs: Any, board: Path, tmp_path: Path) -> None:
    arguments = command(board, tmp_path, "grid.n_source=[10]", runs=1)
    assert main(arguments) == 0
    path = tmp_path / "manifest.json"
    content = json.loads(path.read_text())
    if runs is None:
        del content["runs"]
    else:
        content["runs"] = runs
    path.write_text(json.dumps(content))
    assert main(arguments) == 0
    ((started, cells),) = runs_of(tmp_path)
    assert started is None
    assert cells == 6
