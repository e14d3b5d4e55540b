"""Commands killed by SIGKILL at their renames and at random moments, then run again, and compared with undisturbed ones."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.storage import replace
from tests.helpers.processes import Child, console_script

RENAMING = ("rename", "replace", "link")
"""Functions of `os` by which a file or folder gets its name; methods of `Path` call them."""
CALLS_FILE = "calls"
NO_CALL = -1


@dataclass(frozen=True)
class Scenario:
    """A command and the folder that it runs in.

    Attributes
    ----------
    name
        For messages.
    prepare
        Fills an empty folder with what the command needs and changes.
    arguments
        Those of the command, with paths relative to the folder.
    varying
        Names of files that say what was computed when, and so may differ after a kill.
    code
        The exit code of an undisturbed run.
    """

    name: str
    prepare: Callable[[Path], None]
    arguments: tuple[str, ...]
    varying: tuple[str, ...] = ()
    code: int = 0


class Kill(NamedTuple):
    """When a command is killed: before or after a renaming call, or after some seconds."""

    call: int = NO_CALL
    after: bool = False
    seconds: float | None = None


class Campaign:
    """The runs of one scenario. All take place in the same folder, since paths are part of some files.

    Parameters
    ----------
    scenario
        What is run.
    folder
        An empty folder.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.work, self.start, self.log = scenario, folder / "work", folder / "start", folder / "log"
        self.start.mkdir(parents=True)
        self.kills, self.commands, self.differences = 0, 0, 0
        scenario.prepare(self.start)
        self._undisturbed()
        self.calls = int((folder / CALLS_FILE).read_text())
        self.expected = self._tree()

    @cached_property
    def seconds(self) -> float:
        """The duration of another run, without what only the first one computes, such as a font cache or compiled code."""
        started = time.monotonic()
        self._undisturbed()
        return time.monotonic() - started

    def every_call(self) -> Iterator[Kill]:
        """Before and after each renaming call."""
        return (Kill(call=call, after=after) for call in range(self.calls) for after in (False, True))

    def moment(self, rng: random.Random) -> Kill:
        """A random moment of the run."""
        return Kill(seconds=rng.uniform(0, self.seconds))

    def try_kills(self, kills: Sequence[Kill]) -> int:
        """Kill the command once for each kill, each time resuming, then let it finish and compare; return how many kills hit."""
        self._restore()
        n_hit = sum(self._run(kill) == -signal.SIGKILL for kill in kills)
        code, tree = self._run(Kill()), self._tree()
        self.kills += n_hit
        different = sorted(name for name in tree.keys() | self.expected.keys() if tree.get(name) != self.expected.get(name))
        self.differences += len(different)
        assert code == self.scenario.code, f"{self.scenario.name} {kills}: {self.log.read_text()}"
        assert different == [], f"{self.scenario.name} {kills}"
        return n_hit

    def _undisturbed(self) -> None:
        self._restore()
        assert self._run(Kill()) == self.scenario.code, self.log.read_text()

    def _restore(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.start, self.work)

    def _run(self, kill: Kill) -> int:
        self.log.unlink(missing_ok=True)
        self.commands += 1
        child = Child(killed_command, list(self.scenario.arguments), kill, stdout=self.log, cwd=self.work)
        if kill.seconds is not None:
            child.process.join(kill.seconds)
            child.process.kill()
        return child.wait()

    def _tree(self) -> dict[str, bytes | None]:
        """The content of every file, by path, None for folders and files that may differ; hidden ones are leftovers of kills."""
        paths = {str(path.relative_to(self.work)): path for path in self.work.rglob("*")}
        return {
            name: path.read_bytes() if path.is_file() and path.name not in self.scenario.varying else None
            for name, path in paths.items()
        }


def killed_command(arguments: list[str], kill: Kill) -> None:
    """Run in a new process: the command, killed at a renaming call; a command that finishes writes how many such calls it made."""
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            mine, count = count == kill.call, count + 1
            if mine and not kill.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments, **options)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in RENAMING:
        setattr(os, name, counted(getattr(os, name)))
    replace._exchange = counted(replace._exchange)
    try:
        console_script(arguments)
    finally:
        Path("..", CALLS_FILE).write_text(str(count))
