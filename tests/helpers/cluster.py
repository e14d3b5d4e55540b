"""A Ray cluster of several nodes on this machine's loopback, and what may befall it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from microbench_ray.sweeps.engine.ray_engine import OWN_ENVIRONMENT, import_ray
from tests.helpers.small_sweep import command

DRIVER = Path(__file__).with_name("cluster_driver.py")
STORE = 80 * 2**20


class LoopbackCluster:
    """A head that computes nothing, and nodes of one CPU each, as processes of this machine.

    Parameters
    ----------
    nodes
        How many there are at first, beside the head.
    environment
        For their processes.
    """

    def __init__(self, nodes: int = 2, **environment: str) -> None:
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        import_ray(OWN_ENVIRONMENT)
        from ray.cluster_utils import Cluster

        self.environment = environment
        self.folder = Path(tempfile.mkdtemp(prefix="mb-"))  # short: sockets lie in it
        # A lost node is noticed within seconds instead of fifteen.
        quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
        self.cluster = Cluster()
        with self._environment():
            self.cluster.add_node(
                num_cpus=0, object_store_memory=STORE, temp_dir=str(self.folder), _system_config=quick, include_dashboard=False
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
        """One more node of one CPU."""
        with self._environment():
            self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=STORE))

    def kill_node(self, place: int = 0) -> None:
        """End a node's processes by -9."""
        self.cluster.remove_node(self.nodes.pop(place), allow_graceful=False)

    def workers(self, place: int | None = None) -> list[psutil.Process]:
        """The processes that compute a shard now, on one node or on all."""
        found = []
        for node in self.nodes if place is None else [self.nodes[place]]:
            for started in node.all_processes["raylet"]:
                try:
                    children = psutil.Process(started.process.pid).children(recursive=True)
                    found += [child for child in children if (child.cmdline() or [""])[0].startswith("ray::work")]
                except psutil.NoSuchProcess:
                    continue
        return found

    def close(self) -> None:
        """End all of it."""
        self.cluster.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)


class Driver:
    """A sweep on the cluster, in a process of its own."""

    def __init__(self, arguments: list[str], out: Path, cluster: LoopbackCluster | None = None) -> None:
        self.out, self.arguments = out, arguments
        self.log = out.with_name(out.name + ".log")
        address = {} if cluster is None else {"RAY_ADDRESS": cluster.address}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(DRIVER), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | address,
            )

    def done(self) -> int:
        """Shards that are stored."""
        return len(list((self.out / "cells").glob("*.parquet")))

    def wait_for(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something holds, while the sweep runs."""
        until = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it by -9."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)

    def end(self, seconds: float = 120) -> int:
        """Its exit code."""
        try:
            return self.process.wait(timeout=seconds)
        finally:
            if self.process.poll() is None:
                self.kill()


def told_command(board: Path, out: Path, told: Path, *more: str, engine: str = "cluster", runs: int = 40) -> list[str]:
    """A sweep whose method `told` does what the file says; its shards are one per size and ten runs."""
    method = f"methods=[random,{{label: told, selector: {{name: told, path: '{told}'}}}}]"
    kept = [each for each in command(board, out, engine=engine, runs=runs) if not each.startswith(("methods", "grid.n_source"))]
    return [*kept, method, "grid.n_source=[10]", "sizes_apart=true", *more]


def tell(told: Path, **what: Any) -> None:
    """Say what the method does: `sleep` seconds in each run; at one `size` for so many `times` do `how`."""
    temporary = told.with_suffix(".new")
    temporary.write_text(json.dumps(what))
    temporary.replace(told)
    told.with_suffix(".attempts").unlink(missing_ok=True)
