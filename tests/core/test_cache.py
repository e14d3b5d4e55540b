"""What is kept for this user is read again as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from microbench_ray.core.cache import cache_folder, read_cached, write_cached


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_content_is_read_as_it_was_kept() -> None:
    assert read_cached("a.js") is None
    write_cached("a.js", b"one\ntwo")
    assert read_cached("a.js") == b"one\ntwo"
    assert [file.name for file in cache_folder().iterdir()] == ["a.js"]
    assert (cache_folder().stat().st_mode & 0o777, (cache_folder() / "a.js").stat().st_mode & 0o777) == (0o700, 0o600)


def test_only_the_last_name_of_a_suffix_is_kept() -> None:
    for name in ("a.js", "other.txt", "b.js"):
        write_cached(name, name.encode())
    assert (read_cached("a.js"), read_cached("b.js"), read_cached("other.txt")) == (None, b"b.js", b"other.txt")


@pytest.mark.parametrize("damage", [b"", b"no digest", b"0" * 32 + b"\nother"])
def test_damaged_content_is_not_read(damage: bytes) -> None:
    write_cached("a.js", b"content")
    (cache_folder() / "a.js").write_bytes(damage)
    assert read_cached("a.js") is None


@pytest.mark.parametrize("open_to_others", ["", "a.js"])
def test_what_another_user_can_write_is_not_read(open_to_others: str) -> None:
    write_cached("a.js", b"content")
    (cache_folder() / open_to_others).chmod(0o777)
    assert read_cached("a.js") is None


def test_a_folder_that_cannot_be_written_keeps_nothing(home: Path) -> None:
    (home / "cache").write_text("a file")
    write_cached("a.js", b"content")
    assert read_cached("a.js") is None


def test_nothing_is_read_written_or_removed_behind_a_link(home: Path) -> None:
    """In a cache that users share, another one could make the folder a link to any folder of this user."""
    project = home / "project"
    project.mkdir(mode=0o700)
    (project / "mine.js").write_text("code")
    cache_folder().parent.mkdir()
    cache_folder().symlink_to(project)
    write_cached("a.js", b"content")
    assert read_cached("a.js") is None
    assert [file.name for file in project.iterdir()] == ["mine.js"]
    cache_folder().unlink()
    write_cached("b.js", b"content")
    (cache_folder() / "a.js").symlink_to(cache_folder() / "b.js")
    assert (read_cached("a.js"), read_cached("b.js")) == (None, b"content")


def test_what_a_killed_process_left_is_removed() -> None:
    write_cached("a.js", b"one")
    (cache_folder() / "tmp123.js").write_bytes(b"half")
    write_cached("a.js", b"two")
    assert [file.name for file in cache_folder().iterdir()] == ["a.js"]
