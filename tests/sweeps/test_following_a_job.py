"""How a submitted job is followed to its exit code, over connections that drop; without a cluster."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from microbench_ray.core.deadline import within
from microbench_ray.core.errors import EngineError
from microbench_ray.sweeps.cluster import submission
from microbench_ray.sweeps.cluster.job_client import Cluster
from microbench_ray.sweeps.cluster.submission import SubmitJob, exit_code, follow, run_submit
from tests.helpers.errors import refuses
from tests.helpers.processes import run_command


class FakeClient:
    """A client of a job whose log arrives in pieces over connections that drop."""

    def __init__(self, connections: list[list[str]], statuses: list[str], log: str, code: int | None = 0) -> None:
        self.connections, self.statuses, self.log, self.code = connections, statuses, log, code

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        for piece in self.connections.pop(0) if self.connections else []:
            if piece == "drop":
                raise RuntimeError("the connection dropped")
            yield piece

    def get_job_info(self, job: str) -> Any:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == "unreachable":
            raise ConnectionError("nobody there")
        over = status in ("SUCCEEDED", "FAILED", "STOPPED")
        name = type("Status", (str,), {"is_terminal": lambda self: over})(status)
        return SimpleNamespace(status=name, driver_exit_code=self.code, message="why\nand more")

    def get_job_logs(self, job: str) -> str:
        return self.log


def test_every_line_of_the_log_is_written_once_despite_dropped_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    connections = [["a\n", "b", "drop"], ["a\nb\nc\n", "drop"], ["drop"], ["a\n", "b\n", "c\nd\n"]]
    client = FakeClient(connections, ["RUNNING", "unreachable", "RUNNING", "RUNNING", "SUCCEEDED"], "a\nb\nc\nd\ne\n")
    written: list[str] = []
    info = follow(Cluster(client, "http://x", 5), "job", written.append, reconnect=60)
    assert "".join(written) == "a\nb\nc\nd\ne\n"
    assert exit_code("job", info) == 0


def test_a_stream_that_fails_is_reported_once_and_the_log_is_read_at_intervals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the failure, also one of our own code, it is not passed over in silence."""

    class Failing(FakeClient):
        def tail_job_logs(self, job: str) -> Any:
            raise TypeError("a failure that nobody expected")

        def get_job_logs(self, job: str) -> str:
            self.log += "more\n"
            return self.log

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    written: list[str] = []
    client = Failing([], ["RUNNING", "RUNNING", "RUNNING", "SUCCEEDED"], "a\n")
    follow(Cluster(client, "http://x", 5), "job", written.append, reconnect=60)
    assert "".join(written) == client.log
    assert len(written) == 4  # three readings while it ran and one at its end
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "a failure that nobody expected" in record.getMessage()


def test_a_silent_connection_is_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(FakeClient):
        async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
            yield "a\n"
            await asyncio.sleep(3600)

    monkeypatch.setattr(submission, "QUIET_SECONDS", 0.05)
    written: list[str] = []
    follow(Cluster(Hanging([], ["RUNNING", "SUCCEEDED"], "a\nb\n"), "http://x", 5), "job", written.append, reconnect=60)
    assert "".join(written) == "a\nb\n"


def test_losing_a_cluster_for_too_long_is_an_error() -> None:
    client = FakeClient([], ["unreachable"], "")
    with refuses(EngineError, "contact", where="job on http://x", got="nobody there", hint="resume"):
        follow(Cluster(client, "http://x", 5), "job", lambda text: None, reconnect=0.3)


@pytest.mark.parametrize(("status", "code"), [("FAILED", None), ("FAILED", -9), ("STOPPED", None), ("STOPPED", -15)])
def test_a_job_that_did_not_exit_is_an_error_with_rays_message(status: str, code: int | None) -> None:
    with refuses(EngineError, "job", where="job", got="why") as caught:
        exit_code("job", SimpleNamespace(status=status, driver_exit_code=code, message="why\nand more"))
    assert "and more" not in str(caught.value)


@pytest.mark.parametrize("code", [1, 2, 127])
def test_the_drivers_exit_code_is_returned(code: int) -> None:
    assert exit_code("job", SimpleNamespace(status="FAILED", driver_exit_code=code, message="x")) == code


class Server(Cluster):
    """A cluster with some jobs that records which ones are started and stopped."""

    known: dict[str, str]
    started: list[str]
    stopped: list[str]

    def jobs(self) -> dict[str, str]:
        return self.known

    def start(self, job: str, entrypoint: str, runtime_env: Any) -> None:
        self.started.append(job)

    def stop(self, job: str) -> None:
        self.stopped.append(job)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server(FakeClient([], ["SUCCEEDED"], "log\n"), "http://x", 5)
    object.__setattr__(server, "known", {})
    object.__setattr__(server, "started", [])
    object.__setattr__(server, "stopped", [])
    monkeypatch.setattr(Cluster, "connect", lambda *_: server)
    return server


JOB_ID = SubmitJob((), {}).job_id("20260102")


def run(**changes: Any) -> tuple[int, str]:
    """Submit an empty job; return the exit code and the job's log as written."""
    written: list[str] = []
    code = run_submit(SubmitJob((), {}, **changes), written.append, today="20260102")
    return code, "".join(written)


def messages(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="microbench_ray")


def test_a_job_that_succeeded_is_not_run_again(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.known[JOB_ID] = "SUCCEEDED"
    assert run() == (0, "")
    assert server.started == []
    assert JOB_ID in messages(caplog)


def test_a_running_job_is_followed(server: Server) -> None:
    server.known[JOB_ID] = "RUNNING"
    assert run() == (0, "log\n")
    assert server.started == []


def test_without_following_the_job_id_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert run(follow=False) == (0, "")
    assert server.started == [JOB_ID]
    assert f"ray job stop --address http://x {JOB_ID}" in messages(caplog)


@pytest.mark.parametrize("stop", [False, True])
def test_an_interrupt_stops_the_job_only_if_configured(
    server: Server, stop: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submission, "follow", interrupted)
    code, _ = run(stop_on_interrupt=stop)
    assert code == 130
    assert server.started == [JOB_ID]
    assert server.stopped == ([JOB_ID] if stop else [])
    assert ("ray job stop" in caplog.records[-1].getMessage()) == (not stop)


def test_a_call_that_takes_too_long_times_out() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.1, lambda: never.wait(30))
    never.set()
    assert within(5, lambda: 3) == 3


@pytest.mark.parametrize(
    ("error", "got"), [(ConnectionError("refused\nand more"), "refused"), (TimeoutError(), "within 5 s"), (OSError(), "OSError")]
)
def test_an_unreachable_cluster_is_one_error(error: Exception, got: str) -> None:
    def fail() -> None:
        raise error

    with refuses(EngineError, "reach", where="http://x", got=got, hint="submit.address="):
        Cluster(None, "http://x", 5).request(fail)


@pytest.mark.slow
def test_an_address_where_nothing_listens_is_one_message(tmp_path: Path) -> None:
    done = run_command(["submit", f"out={tmp_path}", "submit.address=http://127.0.0.1:9", "submit.timeout=10"])
    assert done.returncode == 1
    assert "where: http://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
