"""A benchmark saved over an older one is the old or the new one, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from microbench_ray.core.errors import DataError
from microbench_ray.core.storage import replace
from microbench_ray.data import Benchmark, synthetic
from tests.helpers.errors import refuses
from tests.helpers.interruptions import INTERRUPTIONS, replace_with_interruptions

OLD, NEW = synthetic("old", 4, 6, 1), synthetic("new", 5, 7, 2)


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two renames"])
@pytest.mark.parametrize("interruption", INTERRUPTIONS, ids=["disk full", "Ctrl-C", "SIGTERM"])
def test_an_interrupted_save_leaves_the_old_or_the_new_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, interruption: Callable[[], BaseException]
) -> None:
    if not exchange:
        monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    replace_with_interruptions(
        tmp_path, {"old": OLD.save, "new": NEW.save}, lambda path: Benchmark.open(path).digest, DataError, interruption
    )


def test_a_folder_with_other_files_that_a_killed_process_moved_away_is_not_replaced(tmp_path: Path) -> None:
    moved = tmp_path / ".board.0123abcd.old"
    moved.mkdir()
    (moved / "notes.txt").write_text("mine")
    with refuses(DataError, "new folder", where=str(tmp_path / "board")):
        NEW.save(tmp_path / "board")
    assert (tmp_path / "board" / "notes.txt").read_text() == "mine"
