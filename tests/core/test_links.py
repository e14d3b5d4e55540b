"""No writer follows a link in an output folder: what it points to stays as it was, and one message names the link."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.lock import LOCK_FILE
from microbench_ray.core.storage.store import Store
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import command, write_board

NAMES = ("cells", "estimates", "figures", "set_aside")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / ".x.123.tmp").write_text("mine")
    (tmp_path / "precious" / "file").write_text("mine")
    return tmp_path / "precious"


def test_a_linked_lock_file_is_refused_and_its_target_kept(out: Path, precious: Path) -> None:
    lock = out / LOCK_FILE
    for make, kind in (
        (lambda: lock.symlink_to(precious / "file"), str(precious / "file")),
        (lambda: lock.symlink_to(precious / "new"), "link"),
        (lambda: lock.hardlink_to(precious / "file"), "link"),
        (lambda: os.mkfifo(lock), "not a file"),
    ):
        make()
        with refuses(StoreError, "not its own", where=str(lock), got=kind, hint="remove"), Store(out).locked(0):
            pass
        lock.unlink()
    assert (precious / "file").read_text() == "mine"
    assert not (precious / "new").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_linked_subfolder_is_refused_before_any_work(name: str, out: Path, precious: Path) -> None:
    (out / name).symlink_to(precious)
    with refuses(StoreError, "not its own", where=str(out / name), got=str(precious)), Store(out, folders=NAMES[:2]).locked(0):
        pass
    assert sorted(path.name for path in precious.iterdir()) == [".x.123.tmp", "file"]
    assert [path.name for path in out.iterdir()] == [name]


def test_no_operation_on_a_file_follows_a_linked_subfolder(out: Path, precious: Path) -> None:
    folder = LocalFolder(out)
    folder.write("own", b"1")
    (out / "deep").mkdir()
    (out / "deep" / "link").symlink_to(precious)
    for change in (
        lambda: folder.write("deep/link/file", b"2"),
        lambda: folder.delete("deep/link/file"),
        lambda: folder.move("own", "deep/link/file"),
        lambda: folder.move("deep/link/file", "own"),
    ):
        with refuses(StoreError, "not its own", where=str(out / "deep" / "link"), got=str(precious)):
            change()
    assert (precious / "file").read_text() == "mine"
    assert folder.read("own") == b"1"


def test_a_link_in_place_of_a_file_is_replaced(out: Path, precious: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "table").symlink_to(precious / "file")
    LocalFolder(out).write("table", b"2")
    assert not (out / "table").is_symlink()
    assert (precious / "file").read_text() == "mine"
    # Also where a temporary file is expected.
    monkeypatch.setattr(secrets, "token_hex", lambda n: "00")
    (out / ".table.00.tmp").symlink_to(precious / "file")
    with pytest.raises(FileExistsError):
        LocalFolder(out).write("table", b"3")
    assert (precious / "file").read_text() == "mine"


def test_a_linked_output_folder_is_the_users_choice(tmp_path: Path, out: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    with Store(tmp_path / "link", folders=("cells",)).locked(0):
        pass
    assert (out / "cells").is_dir()


def test_a_sweep_into_a_folder_with_a_linked_subfolder_ends_in_one_message(
    tmp_path: Path, out: Path, precious: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (out / "cells").symlink_to(precious)
    assert main(["-q", *command(write_board(tmp_path / "board.parquet"), out, runs=2)]) == 1
    message = capsys.readouterr().err
    assert message.count("where:") == 1
    assert f"where: {out / 'cells'}" in message
    assert sorted(path.name for path in precious.iterdir()) == [".x.123.tmp", "file"]
