"""A Ray cluster of several nodes on loopback, and sweeps on it with injected faults."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.helpers.cluster_driver import run_with_faults
from tests.helpers.processes import Child
from tests.helpers.small_sweep import command

Value = TypeVar("Value")

OBJECT_STORE_BYTES = 80 * 2**20


class LoopbackCluster:
    """A head without CPUs, and nodes of one CPU each, as processes on this machine. Needs the fixture `ray`.

    Parameters
    ----------
    nodes
        Initial number of nodes besides the head.
    environment
        Environment variables for their processes.
    """

    def __init__(self, nodes: int = 2, **environment: str) -> None:
        from ray.cluster_utils import Cluster

        self.environment = environment
        self.folder = Path(tempfile.mkdtemp(prefix="mb-"))  # a short path, because it holds sockets
        Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)  # Ray writes the cluster's address there
        # Notice a lost node within two seconds instead of fifteen.
        quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
        self.cluster = Cluster()
        with self._environment():
            self.cluster.add_node(
                num_cpus=0,
                object_store_memory=OBJECT_STORE_BYTES,
                temp_dir=str(self.folder),
                _system_config=quick,
                include_dashboard=False,
            )
        self.nodes: list[Any] = []
        for _ in range(nodes):
            self.add_node()

    @contextmanager
    def _environment(self) -> Iterator[None]:
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def address(self) -> str:
        """`HOST:PORT` of the head."""
        return str(self.cluster.address)

    def add_node(self) -> None:
        """Add a node of one CPU."""
        with self._environment():
            self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=OBJECT_STORE_BYTES))

    def kill_node(self, index: int = 0) -> None:
        """Kill a node's processes."""
        node = self.nodes.pop(index)
        processes = processes_of(node)
        self.cluster.remove_node(node, allow_graceful=False)
        wait_for(processes)

    def workers(self, index: int | None = None) -> list[psutil.Process]:
        """The processes that are computing a shard, on one node or on all."""
        workers: list[psutil.Process] = []
        for node in self.nodes if index is None else [self.nodes[index]]:
            for started in node.all_processes["raylet"]:
                try:
                    children = psutil.Process(started.process.pid).children(recursive=True)
                    workers += [child for child in children if (child.cmdline() or [""])[0].startswith("ray::work")]
                except psutil.NoSuchProcess:
                    continue
        return workers

    def close(self) -> None:
        """Stop all nodes."""
        processes = [process for node in self.cluster.list_all_nodes() for process in processes_of(node)]
        self.cluster.shutdown()
        wait_for(processes)
        shutil.rmtree(self.folder, ignore_errors=True)


def processes_of(node: Any) -> list[subprocess.Popen[bytes]]:
    """The processes that Ray started for a node of this process."""
    return [started.process for kind in node.all_processes.values() for started in kind]


def wait_for(processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait for processes that Ray has ended; Ray itself does not, which Python reports as a leak."""
    for process in processes:
        process.wait(30)


class Driver:
    """A sweep with injected faults in a new process, on a cluster if one is given."""

    def __init__(self, arguments: list[str], out: Path, cluster: LoopbackCluster | None = None) -> None:
        self.out, self.arguments = out, arguments
        self.log = out.with_name(out.name + ".log")
        address = {} if cluster is None else {"RAY_ADDRESS": cluster.address}
        self.child = Child(run_with_faults, arguments, stdout=self.log, env=os.environ | address)

    def done(self) -> int:
        """Number of stored shards."""
        return len(list((self.out / "cells").glob("*.parquet")))

    def wait_for(self, condition: Callable[[], Value], seconds: float = 60) -> Value:
        """Wait until a condition holds while the sweep runs; return its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert self.child.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return value

    def kill(self) -> None:
        """Kill the driver."""
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(10)

    def exit_code(self, seconds: float = 120) -> int:
        """Wait for the driver to end and return its exit code."""
        return self.child.wait(seconds)


def faulty_command(board: Path, out: Path, fault: Path, *more: str, engine: str = "cluster", runs: int = 40) -> list[str]:
    """A sweep whose method `faulty` follows the instructions in a file; its shards hold one size and ten runs each."""
    method = f"methods=[random,{{label: faulty, selector: {{name: faulty, path: '{fault}'}}}}]"
    kept = [each for each in command(board, out, engine=engine, runs=runs) if not each.startswith(("methods", "grid.n_source"))]
    return [*kept, method, "grid.n_source=[10]", "sizes_apart=true", *more]


def inject(fault: Path, **instructions: Any) -> None:
    """Instruct the method `faulty`: `sleep` seconds in each run; fail like `how` at one `size` for the first `times` attempts."""
    temporary = fault.with_suffix(".new")
    temporary.write_text(json.dumps(instructions))
    temporary.replace(fault)
    fault.with_suffix(".attempts").unlink(missing_ok=True)
