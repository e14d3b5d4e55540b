"""Nights that are interrupted: the next run writes the files of an undisturbed one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from microbench_ray.audit.run import run_audit
from microbench_ray.core.storage.store import Store
from microbench_ray.methods import ESTIMATORS, SELECTORS, Method
from tests.helpers import nights
from tests.helpers.rotation import share, share_or_all

SCORES = nights.responses()
RANDOM = Method("random", SELECTORS["random"](), ESTIMATORS["mean"]())


class Killed(BaseException):
    """Stands for a process that is killed just before a write."""


class KilledWrites:
    """Lets some writes of `Store` pass, and raises `Killed` before the next one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        write = Store.write

        def counted_write(store: Store, name: str, content: bytes) -> None:
            if self.left == 0:
                raise Killed
            self.left -= 1
            write(store, name, content)

        monkeypatch.setattr(Store, "write", counted_write)

    def run_until_finished(self, run: Callable[[], object], step: int, first: int = 0) -> int:
        """Run until it is not killed: after `first` writes, and each time after `step` more; the number of killed attempts."""
        for attempt in range(1000):
            self.left = first + attempt * step
            try:
                run()
            except Killed:
                continue
            return attempt
        raise AssertionError("the night never finished")


def test_an_interrupted_night_resumes_and_writes_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = nights.board(SCORES[:80])
    nights.run(tmp_path / "undisturbed", "2026-01-01", board, methods=(RANDOM,))
    writes = KilledWrites(monkeypatch)
    n_killed = writes.run_until_finished(lambda: nights.run(tmp_path / "killed", "2026-01-01", board, methods=(RANDOM,)), step=7)
    assert n_killed >= 2
    assert nights.files(tmp_path / "killed") == nights.files(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(5))
def test_nights_interrupted_at_any_write_resume_and_write_the_same_files(
    one_in: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boards = {"2026-01-01": nights.board(SCORES[:80]), "2026-01-02": nights.board(SCORES[:83])}
    for night, board in boards.items():
        nights.run(tmp_path / "undisturbed", night, board, methods=(RANDOM,))
    writes = KilledWrites(monkeypatch)
    n_killed = 0
    for night, board in boards.items():
        job = nights.audit(tmp_path / "killed", night, board, methods=(RANDOM,))
        n_killed += writes.run_until_finished(partial(run_audit, job), step=one_in, first=share(range(one_in), one_in)[0])
    assert n_killed > 20 // one_in
    assert nights.files(tmp_path / "killed") == nights.files(tmp_path / "undisturbed")


def test_a_night_killed_while_it_removes_an_old_benchmark_leaves_it_whole_or_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the leaderboard of that night, should it come back, could not be opened."""
    boards = {f"2026-01-0{night}": nights.board(SCORES[:n_models]) for night, n_models in ((1, 40), (2, 41), (3, 42))}
    out, first, second, third = tmp_path / "audit", *boards
    for night in (first, second):
        nights.run(out, night, boards[night])

    def killed_half_way(folder: Path) -> None:
        next(path for path in Path(folder).rglob("*") if path.is_file()).unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed_half_way)
        with pytest.raises(Killed):
            nights.run(out, third, boards[third])
    assert nights.run(out, third, boards[third]).already_done
    stored = {path.name for path in (out / "frozen").iterdir()}
    assert stored == {boards[night].digest for night in (first, third)}
    assert {path.name for path in (out / "sweeps").iterdir()} == stored
    nights.run(out, "2026-01-04", boards[second])
    nights.run(out, "2026-01-05", boards[third])


def test_a_benchmark_that_a_killed_night_was_storing_is_removed_by_the_next(tmp_path: Path) -> None:
    nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:40]))
    left = tmp_path / "frozen" / f".{'0' * 32}.0123abcd.tmp"
    left.mkdir()
    (left / "models.arrow").touch()
    nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:41]))
    assert not left.exists()


def test_an_unfinished_first_night_is_not_a_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("microbench_ray.audit.run.analyse_night", interrupt)
        with pytest.raises(KeyboardInterrupt):
            nights.run(tmp_path, "2026-01-01", nights.board(SCORES[:40]))
    outcome = nights.run(tmp_path, "2026-01-02", nights.board(SCORES[:60]))
    assert outcome.verdict["baseline"]["night"] == "2026-01-02"
    assert outcome.verdict["baseline"]["digest"] == nights.board(SCORES[:60]).digest
