"""Logs whose folder has moved are recognised, and do not conflict with their former places."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.folders import open_folder
from microbench_ray.data.responses import list_model_files
from microbench_ray.ingest.run import IngestJob, IngestSummary, run_ingest
from tests.helpers.errors import refuses
from tests.helpers.lm_eval_logs import line, write


def ingest(path: Path, out: Path, **options: Any) -> IngestSummary:
    return run_ingest(IngestJob(source="lm_eval", path=str(path), out=out, **options))


def logs_of(out: Path) -> list[str]:
    return [Path(name).parent.parent.name for file in list_model_files(open_folder(out)) for name in file.record.logs]


@pytest.fixture
def ingested(tmp_path: Path) -> Path:
    for task in ("t", "u"):
        write(tmp_path / "old" / "org__m", task, [line(0, acc=0.0), line(1)])
    ingest(tmp_path / "old", tmp_path / "out")
    return tmp_path


def test_a_moved_folder_is_not_read_again(ingested: Path) -> None:
    (ingested / "old").rename(ingested / "new")
    summary = ingest(ingested / "new", ingested / "out")
    assert (summary.unchanged, summary.updated, summary.logs) == (["org/m"], [], 0)
    assert logs_of(ingested / "out") == ["new"] * 2


@pytest.mark.parametrize("times_are_kept", [True, False])
def test_a_log_that_changes_after_a_move_replaces_its_former_responses(ingested: Path, times_are_kept: bool) -> None:
    shutil.copytree(ingested / "old", ingested / "new", copy_function=shutil.copy2 if times_are_kept else shutil.copyfile)
    shutil.rmtree(ingested / "old")
    ingest(ingested / "new", ingested / "out")
    assert logs_of(ingested / "out") == ["new"] * 2
    write(ingested / "new" / "org__m", "t", [line(0, acc=1.0), line(1), line(2)])
    summary = ingest(ingested / "new", ingested / "out")
    assert (summary.updated, summary.failed, summary.responses) == (["org/m"], {}, 5)


def test_another_log_of_the_same_name_is_not_taken_for_a_moved_one(ingested: Path) -> None:
    shutil.rmtree(ingested / "old")
    write(ingested / "new" / "org__m", "t", [line(2)])
    assert ingest(ingested / "new", ingested / "out").responses == 5
    assert sorted(logs_of(ingested / "out")) == ["new", "old", "old"]
    write(ingested / "other" / "org__m", "t", [line(0, acc=1.0)])
    with refuses(DataError, "differently", where="org/m", got="0 in"):
        ingest(ingested / "other", ingested / "out")
