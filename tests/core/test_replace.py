"""A replaced folder is the old or the new one, whatever interrupts the replacement, and the next call cleans up."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from microbench_ray.core.storage import replace
from tests.helpers.interruptions import INTERRUPTIONS, content, interrupted_at, kill_this_process, names

OLD, NEW = {"a": "old a", "b": "old b"}, {"a": "new a", "c": "new c"}


def write(folder: Path, files: dict[str, str]) -> None:
    with replace.replacing(folder) as new:
        for name, text in files.items():
            (new / name).write_text(text)


@pytest.fixture(params=["in one step", "in two renames"])
def exchanging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param == "in two renames":
        monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    return request.param == "in one step"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_folder_is_written_and_replaced(folder: Path, exchanging: bool) -> None:
    write(folder, OLD)
    assert content(folder) == OLD
    write(folder, NEW)
    assert content(folder) == NEW
    assert names(folder.parent) == ["out"]


def test_linux_exchanges_folders_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not replace._exchange(tmp_path / "one", tmp_path / "other"):
        pytest.skip("this file system cannot exchange folders")
    assert names(tmp_path / "one") == ["other"]


@pytest.mark.parametrize("interruption", INTERRUPTIONS, ids=["disk full", "Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("before", [None, OLD], ids=["new folder", "replaced folder"])
def test_an_interruption_at_any_call_leaves_the_old_or_the_new_folder(
    tmp_path: Path, exchanging: bool, before: dict[str, str] | None, interruption: Callable[[], BaseException]
) -> None:
    """Each call of a replacement is interrupted in turn, before and after it has done its work."""
    n_interrupted = 0
    for after in (False, True):
        number = 0
        while True:
            folder = tmp_path / f"{after}-{number}"
            if before is not None:
                write(folder, before)
            with interrupted_at(number, after, interruption) as calls:
                caught: BaseException | None = None
                try:
                    write(folder, NEW)
                except BaseException as error:
                    caught = error
            assert caught is None or type(caught) is type(interruption())
            assert content(folder) in ([before, NEW] if caught else [NEW])
            write(folder, NEW)
            assert content(folder) == NEW
            assert [name for name in names(tmp_path) if name.startswith(f".{folder.name}.")] == []
            n_interrupted += calls["reached"]
            if not calls["reached"]:
                break
            number += 1
    assert n_interrupted >= 8


def killed_at(folder: Path, number: int, exchange: bool) -> None:
    """Run in a child process: replace a folder, and be killed at one of its calls."""

    if not exchange:
        replace._exchange = lambda one, other: False  # type: ignore[assignment]
    with interrupted_at(number, False, kill_this_process):
        write(folder, NEW)


@pytest.mark.parametrize(
    "exchange", [pytest.param(True, id="in one step"), pytest.param(False, id="in two renames", marks=pytest.mark.slow)]
)
def test_a_kill_at_any_call_is_mended_by_the_next(tmp_path: Path, exchange: bool) -> None:
    context, number, n_killed = multiprocessing.get_context("forkserver"), 0, 0
    while True:
        folder = tmp_path / f"out{number}"
        write(folder, OLD)
        child = context.Process(target=killed_at, args=(folder, number, exchange))
        child.start()
        child.join(60)
        assert child.exitcode in (0, -signal.SIGKILL)
        replace.recover(folder)
        assert content(folder) in (OLD, NEW)
        assert [name for name in names(tmp_path) if name.startswith(f".out{number}.")] == []
        write(folder, NEW)
        assert content(folder) == NEW
        if child.exitcode == 0:
            break
        n_killed += 1
        number += 1
    assert n_killed >= 5


def test_where_both_folders_are_is_said_if_neither_is_in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, OLD)
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if target == folder:
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="old folder is now") as caught:
        write(folder, NEW)
    kept = {path.name: content(path) for path in folder.parent.iterdir()}
    assert OLD in kept.values()
    assert NEW in kept.values()
    assert len(kept) == 2
    for name in kept:
        assert name in str(caught.value)


def test_leftovers_of_a_process_with_the_same_id_are_swept(folder: Path) -> None:
    """In a container every process has the same id: neither a name nor an id tells that its process is gone."""
    write(folder, OLD)
    folder.rename(folder.with_name(".out.0123abcd.old"))
    folder.with_name(".out.0123abcd.tmp").mkdir()
    folder.with_name(".out.89abcdef.tmp").mkdir()
    replace.recover(folder)
    assert content(folder) == OLD
    assert names(folder.parent) == ["out"]


def test_a_folder_that_is_being_filled_is_not_swept(folder: Path) -> None:
    write(folder, OLD)
    with replace.replacing(folder) as new:
        (new / "a").write_text("first")
        replace.recover(folder)
        write(folder, NEW)
        assert content(new) == {"a": "first"}
    assert content(folder) == {"a": "first"}
    assert names(folder.parent) == ["out"]


def test_the_old_folder_of_a_running_process_is_left_to_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, OLD)
    rename = Path.rename

    def rename_while_another_looks(path: Path, target: Path) -> Path:
        replace.recover(folder)
        return rename(path, target)

    monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", rename_while_another_looks)
    write(folder, NEW)
    assert content(folder) == NEW
    assert names(folder.parent) == ["out"]


def test_other_names_beside_the_folder_are_left_alone(folder: Path) -> None:
    others = [".out.notes.tmp", ".other.0123abcd.tmp", "out.0123abcd.old", ".out.0123abcd.tmp.d"]
    for name in others:
        folder.with_name(name).mkdir()
    elsewhere = folder.with_name("elsewhere")
    write(elsewhere, OLD)
    folder.with_name(".out.0123abcd.tmp").symlink_to(elsewhere)
    write(folder, NEW)
    assert names(folder.parent) == sorted([*others, "elsewhere", "out", ".out.0123abcd.tmp"])
    assert content(elsewhere) == OLD


def test_what_a_link_points_to_is_replaced_and_the_link_kept(folder: Path, exchanging: bool) -> None:
    write(folder, OLD)
    link = folder.parent / "links" / "link"
    link.parent.mkdir()
    link.symlink_to(folder)
    write(link, NEW)
    assert link.is_symlink()
    assert content(folder) == NEW
    assert names(link.parent) == ["link"]
    assert names(folder.parent) == ["links", "out"]


def test_a_file_system_without_locks_or_flushed_folders_is_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    monkeypatch.setattr(os, "fsync", unsupported)
    write(folder, OLD)
    write(folder, NEW)
    assert content(folder) == NEW
    assert names(folder.parent) == ["out"]
