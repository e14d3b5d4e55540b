"""Functions and commands in new processes, forked from a server that has imported the package: starting one takes milliseconds.

A child does not import the test suite's state: it has the environment, the working directory and the arguments given here. Ray is
not preloaded; a child that needs it imports it.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

PRELOADED = (
    "pytest",
    "sklearn.cluster",
    "sklearn.decomposition",
    "microbench_ray.cli.main",
    "microbench_ray.cli.compose",
    "microbench_ray.cli.settings.submit",
    "microbench_ray.cli.settings.sweep",
    "microbench_ray.cli.settings.audit",
    "microbench_ray.cli.settings.export",
    "microbench_ray.cli.settings.ingest",
    "microbench_ray.cli.settings.score",
    "microbench_ray.audit.accepting",
    "microbench_ray.audit.pair_kernel",
    "microbench_ray.audit.run",
    "microbench_ray.ingest.tables",
    "microbench_ray.micro.export_job",
    "microbench_ray.micro.report",
    "microbench_ray.micro.score_job",
    "microbench_ray.methods.registry",
    "microbench_ray.sweeps.driver",
    "microbench_ray.report.page.curves",
    "microbench_ray.report.results",
    "microbench_ray.report.terminal",
)
CHILD_SECONDS = 90.0
"""Time after which a child counts as hanging."""


@dataclass(frozen=True)
class Completed:
    """How a child ended; `returncode` is negative for a signal."""

    returncode: int
    stdout: str
    stderr: str


class Child:
    """A running function in a new process, in a separate process group.

    Parameters
    ----------
    function, arguments
        A function at the top level of a module, and its picklable arguments. Its value is the exit code.
    stdout, stderr
        Files to append to; None for `stderr` appends to `stdout`.
    cwd
        The working directory; None for the current one.
    env
        The whole environment; None for the current one.
    """

    def __init__(
        self,
        function: Callable[..., int | str | None],
        *arguments: Any,
        stdout: Path,
        stderr: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        files = str(stdout.absolute()), str((stderr or stdout).absolute())
        environment = dict(os.environ if env is None else env)
        self.process = _context().Process(target=_run, args=(function, arguments, files, cwd or Path.cwd(), environment))
        self.process.start()
        assert self.process.pid is not None
        self.pid = self.process.pid

    def poll(self) -> int | None:
        """The exit code; None while the child runs."""
        return self.process.exitcode

    def wait(self, seconds: float = CHILD_SECONDS) -> int:
        """Wait for the child to end; kill it and fail after `seconds`."""
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            self.kill()
            raise AssertionError(f"process {self.pid} did not end within {seconds:g} s")
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the child's process group."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill the child's process group and wait for the child, if it still runs."""
        if self.process.exitcode is None:
            self.send_signal(signal.SIGKILL)
        self.process.join()


def run_function(
    function: Callable[..., int | str | None],
    *arguments: Any,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = CHILD_SECONDS,
) -> Completed:
    """Run a function in a new process, see `Child`; its value is the exit code, None for 0."""
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        child = Child(function, *arguments, stdout=stdout, stderr=stderr, cwd=cwd, env=env)
        try:
            code = child.wait(seconds)
        finally:
            child.kill()
        return Completed(returncode=code, stdout=_text(stdout), stderr=_text(stderr))


def run_command(
    arguments: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, seconds: float = CHILD_SECONDS
) -> Completed:
    """Run `microbench ARGUMENTS` in a new process."""
    return run_function(console_script, list(arguments), cwd=cwd, env=env, seconds=seconds)


def run_script(
    path: Path,
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = CHILD_SECONDS,
) -> Completed:
    """Run `python PATH ARGUMENTS` in a new process."""
    return run_function(script, path, list(arguments), cwd=cwd, env=env, seconds=seconds)


def console_script(arguments: list[str]) -> None:
    """The body of the console script `microbench`."""
    from microbench_ray.cli.main import entry_point

    sys.argv = ["microbench", *arguments]
    entry_point()


def script(path: Path, arguments: list[str]) -> None:
    """The body of `python PATH`."""
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _run(
    function: Callable[..., int | str | None],
    arguments: tuple[Any, ...],
    files: tuple[str, str],
    cwd: Path,
    environment: dict[str, str],
) -> None:
    """Set up a child and run its function. Unlike other children of multiprocessing, this one runs exit handlers."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    for descriptor, file in enumerate(files, 1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    try:
        sys.exit(function(*arguments))
    finally:
        atexit._run_exitfuncs()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
