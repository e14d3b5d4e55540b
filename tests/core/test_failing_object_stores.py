"""An object store that fails in the middle of a sweep: one message, whichever request it was, and the same command goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.cli.main import main
from microbench_ray.core.storage import lock
from microbench_ray.core.storage.folders import RemoteFolder
from microbench_ray.core.storage.lock import Times
from tests.helpers.counts import Counted
from tests.helpers.refusals import assert_one_message
from tests.helpers.small_sweep import command

OPERATIONS = ("files", "read", "open", "write", "move", "delete")
CUT = "When listing objects: AWS Error NETWORK_CONNECTION: curlCode: 18, Transferred a partial file"


class FailingRequest:
    """Lets the request of some number fail, as it does where an answer is cut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.start(-1)
        for operation in OPERATIONS:
            monkeypatch.setattr(RemoteFolder, operation, self.counted(getattr(RemoteFolder, operation), operation))

    def start(self, number: int) -> None:
        """Count from 0 again, up to the request of that number; -1 for none."""
        self.number, self.count, self.failed = number, 0, ""

    def counted(self, function: Callable[..., Any], operation: str) -> Callable[..., Any]:
        def call(folder: RemoteFolder, name: str = "", *more: Any) -> Any:
            mine = self.count == self.number
            self.count += 1
            if mine:
                self.failed = f"{operation} {name}"
                raise OSError(CUT)
            return function(folder, name, *more)

        return call


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system `memory` of fsspec, emptied afterwards."""
    import fsspec

    files = fsspec.filesystem("memory")
    yield files
    if files.exists("/out"):
        files.rm("/out", recursive=True)


class Resumed:
    """A finished sweep in the file system `memory`, one of whose files is then damaged, and the command to resume it."""

    def __init__(self, memory: Any, board: Path) -> None:
        self.memory = memory
        self.arguments = [*command(board, Path("x"), "grid.n_source=[10]", runs=1), "out=memory://out/x"]
        assert main(self.arguments) == 0
        self.finished = self.files()
        self.damaged = next(name for name in self.finished if "/cells/" in name)

    def files(self) -> dict[str, bytes]:
        """The files, without the manifest, which says what was computed when, and those set aside."""
        names = self.memory.find("/out/x")
        return {name: self.memory.cat_file(name) for name in names if "/set_aside/" not in name and "manifest.json" not in name}

    def damage(self) -> None:
        """Restore all files but one, which is cut short."""
        for name in self.memory.find("/out/x"):
            if name not in self.finished and not name.endswith("manifest.json"):
                self.memory.rm(name)
        for name, content in self.finished.items():
            self.memory.pipe_file(name, content[:-40] if name == self.damaged else content)


@pytest.fixture
def resumed(memory: Any, board: Path, monkeypatch: pytest.MonkeyPatch) -> Resumed:
    monkeypatch.setattr(lock, "TIMES", Times(renew=60, stale=0.05, settle=0, poll=0.01))
    return Resumed(memory, board)


def test_an_answer_that_is_cut_while_set_aside_is_listed_is_one_message(
    resumed: Resumed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    resumed.damage()
    files = RemoteFolder.files

    def cut(folder: RemoteFolder, name: str = "") -> Any:
        if name == "set_aside":
            raise OSError(CUT)
        return files(folder, name)

    monkeypatch.setattr(RemoteFolder, "files", cut)
    capsys.readouterr()
    code = main(resumed.arguments)
    message = "\n".join(line for line in capsys.readouterr().err.splitlines()[-4:])
    assert_one_message(code, message, ("memory://out/x/set_aside", "partial file"))


@pytest.mark.nightly
def test_any_request_that_fails_is_one_message_and_the_sweep_resumes(
    resumed: Resumed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], counted: Counted
) -> None:
    request = FailingRequest(monkeypatch)
    failed: list[str] = []
    while True:
        resumed.damage()
        capsys.readouterr()
        request.start(len(failed))
        code = main(resumed.arguments)
        message = "\n".join(capsys.readouterr().err.splitlines()[-4:])
        if not request.failed:
            break
        failed.append(request.failed)
        if code:
            assert_one_message(code, message, ("memory://out/x", "partial file"))
        request.start(-1)
        assert main(resumed.arguments) == 0
        assert resumed.files() == resumed.finished, request.failed
    assert code == 0
    assert {each.split()[0] for each in failed} == set(OPERATIONS)
    assert "files set_aside" in failed
    counted(failed_requests=len(failed), commands=2 * len(failed) + 1, differences=0)
