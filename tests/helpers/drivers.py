"""Drivers that tests stop half-way: functions to run in a new process, see `tests.helpers.processes`."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.storage import lock
from microbench_ray.core.storage.lock import Times
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine.base import Result
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.shards import Shard
from tests.helpers.processes import Child, console_script

SHARDS_BEFORE_GATE = 2


class Gate:
    """A gate between a driver and a test: the driver reports that it reached it and waits until the test opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reached = path.with_name(path.name + ".reached")

    def pause(self) -> None:
        """Called by the driver: wait until the gate is open."""
        self._reached.touch()
        while not self.path.exists():
            time.sleep(0.02)

    def open(self) -> None:
        """Let the driver continue."""
        self.path.touch()

    def wait_until_reached(self, child: Child, log: Path, seconds: float = 120) -> None:
        """Wait until the driver has reached the gate."""
        deadline = time.monotonic() + seconds
        while not self._reached.exists():
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)


def serial_driver(gate: Gate, arguments: list[str], times: Times | None = None) -> None:
    """Run the command on a serial engine that pauses at the gate after its second shard; `times` replaces the lock's."""
    from microbench_ray.cli.settings import sweep as settings

    class Paused(SerialEngine):
        def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
            for position, pair in enumerate(super().run(benchmarks, shards), 1):
                yield pair
                if position == SHARDS_BEFORE_GATE:
                    gate.pause()

    if times is not None:
        lock.TIMES = times
    settings.SerialEngine = Paused  # type: ignore[attr-defined, misc]
    console_script(arguments)


def ray_driver(gate: Gate, arguments: list[str]) -> None:
    """Run the command on a local Ray whose driver pauses at the gate after it has received its second shard."""
    from microbench_ray.cli.settings import sweep as settings
    from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine

    class Paused(LocalRayEngine):
        def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
            for position, pair in enumerate(super().run(benchmarks, shards), 1):
                yield pair
                if position == SHARDS_BEFORE_GATE:
                    gate.pause()

    settings.LocalRayEngine = Paused  # type: ignore[attr-defined, misc]
    console_script(arguments)


class PausedDriver:
    """A driver in a new process that has reached its gate.

    Parameters
    ----------
    driver
        `serial_driver` or `ray_driver`.
    arguments
        Those of the command.
    folder
        Where the gate and the log are written.
    options
        Further arguments of the driver.
    """

    def __init__(self, driver: Any, arguments: list[str], folder: Path, *options: Any) -> None:
        self.log = folder / "driver.log"
        self.gate = Gate(folder / "gate")
        self.child = Child(driver, self.gate, arguments, *options, stdout=self.log)
        try:
            self.gate.wait_until_reached(self.child, self.log)
        except BaseException:
            self.child.kill()
            raise

    def finish(self) -> int:
        """Open the gate and return the exit code."""
        self.gate.open()
        return self.child.wait()

    def close(self) -> None:
        """End the driver if it still runs."""
        self.child.kill()
