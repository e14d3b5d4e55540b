"""Interrupts the replacement of a folder at each call that changes files."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.core.storage import replace

CALLS = [
    (os, "rename"),
    (os, "replace"),
    (os, "link"),
    (Path, "rename"),
    (Path, "mkdir"),
    (Path, "write_text"),
    (shutil, "rmtree"),
    (os, "unlink"),
    (Path, "unlink"),
    (os, "rmdir"),
    (os, "fsync"),
    (fcntl, "flock"),
    (replace, "_exchange"),
]
INTERRUPTIONS: list[Callable[[], BaseException]] = [
    lambda: OSError(errno.ENOSPC, "No space left on device"),
    KeyboardInterrupt,
    SystemExit,
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, str] | None:
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.exists() else None


class interrupted_at:
    """Raise at the call of that number, of all calls that change files."""

    def __init__(self, number: int, after: bool, interruption: Callable[[], BaseException]) -> None:
        self.number, self.after, self.interruption = number, after, interruption
        self.calls = {"count": 0, "reached": False}

    def __enter__(self) -> dict[str, Any]:
        self.patch = pytest.MonkeyPatch()
        for owner, name in CALLS:
            self.patch.setattr(owner, name, self.counted(getattr(owner, name)))
        return self.calls

    def __exit__(self, *error: object) -> None:
        self.patch.undo()

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            mine = self.calls["count"] == self.number
            self.calls["count"] += 1
            if mine and not self.after:
                self.calls["reached"] = True
                raise self.interruption()
            result = function(*arguments, **options)
            if mine:
                self.calls["reached"] = True
                raise self.interruption()
            return result

        return call


def kill_this_process() -> BaseException:
    """For `interrupted_at`: end the process as SIGKILL does, without any cleaning up."""
    os.kill(os.getpid(), signal.SIGKILL)
    return SystemExit()


def replace_with_interruptions(
    folder: Path,
    save: dict[str, Callable[[Path], object]],
    read: Callable[[Path], object],
    kind: type[MicrobenchError],
    interruption: Callable[[], BaseException],
) -> None:
    """Interrupt each call of a replacement in turn, in a new subfolder each, and check what is left.

    Parameters
    ----------
    folder
        Where the subfolders are made.
    save
        `old` and `new`: write a folder.
    read
        What a folder holds, comparable.
    kind
        The error that reports a failed replacement.
    interruption
        What is raised.
    """
    for name, write in save.items():
        write(folder / name)
    old, new = read(folder / "old"), read(folder / "new")
    for number in range(100):
        target = folder / str(number)
        save["old"](target)
        with interrupted_at(number, number % 2 == 0, interruption) as calls:
            where: str | None = None
            try:
                save["new"](target)
            except kind as error:
                where = error.where
            except (KeyboardInterrupt, SystemExit):
                where = str(target)
        assert where in ([None, str(target)] if calls["reached"] else [None])
        assert read(target) in (old, new)
        save["new"](target)
        assert read(target) == new
        assert [name for name in names(folder) if name.startswith(".")] == []
        if not calls["reached"]:
            break
    assert 8 <= number < 99
