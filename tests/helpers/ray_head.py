"""A Ray head with a job server and token authentication, for the tests of submitted jobs."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent
START_SECONDS = 120
ATTEMPTS = 3


@dataclass(frozen=True)
class Head:
    """A running head: the URL of its dashboard, its token, the port of its agent, and the folder of its logs."""

    address: str
    token: str
    agent: int
    logs: Path


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with the interpreter's folder on the path and only these variables of Ray."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    ours = {"PATH": f"{BIN}{os.pathsep}{kept['PATH']}", "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    return kept | ours | {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"} | changes


def free_ports(count: int) -> list[int]:
    """Free ports below those of Ray's workers, from a random one on; other tests may use Ray's default ports."""
    ports: list[int] = []
    for port in range(6400 + secrets.randbelow(3000), 10000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports")


@contextlib.contextmanager
def head(num_cpus: int = 2, **variables: str) -> Iterator[Head]:
    """Start a head with these variables in its environment; end it and all its processes afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mb", dir="/tmp"))  # a short path, because it holds sockets
    token = secrets.token_hex(32)
    started: subprocess.Popen[bytes] | None = None
    try:
        for _ in range(ATTEMPTS):  # a port may be taken between its choice and its use
            ports = free_ports(4)
            started = _start(folder, ports, num_cpus, environment(RAY_AUTH_TOKEN=token, **variables))
            urls = (f"http://127.0.0.1:{ports[1]}/api/jobs/", f"http://127.0.0.1:{ports[2]}/api/healthz")
            if all(_answers(url, token, started, folder / "head.log") for url in urls):
                yield Head(f"http://127.0.0.1:{ports[1]}", token, ports[2], folder)
                return
            _end(started)
        raise AssertionError((folder / "head.log").read_text())
    finally:
        if started is not None:
            _end(started)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, ports: list[int], num_cpus: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    port, dashboard, agent, client = ports
    command = [str(BIN / "ray"), "start", "--head", "--block", f"--port={port}", f"--num-cpus={num_cpus}"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"]
    command += [f"--dashboard-agent-listen-port={agent}", f"--ray-client-server-port={client}"]
    command += [f"--temp-dir={folder}", f"--object-store-memory={2**28}"]
    with (folder / "head.log").open("a") as log:
        return subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=folder, start_new_session=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(15)
    for each in [*children, process]:
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            each.kill()
    process.wait(15)


def _answers(url: str, token: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Whether the URL answers before the head ends."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5):
            return True
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    return False
