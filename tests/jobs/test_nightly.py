"""jobs/nightly.py, which the nightly CronJob's pod runs, against a fake API server."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobs import nightly
from jobs.nightly import Api, night_of, rayjob_of, run_night
from microbench_ray.core.errors import ConfigError, EngineError
from tests.helpers.errors import refuses

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "jobs" / "k8s" / "rayjob.yaml"
NOW = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
LOGGER = "jobs.nightly"
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}


class Server(ThreadingHTTPServer):
    """Fake API server for RayJobs: returns the given statuses in order and repeats the last one; a number is an HTTP error code.

    With `refuse`, every request to create a RayJob fails with that code.
    """

    def __init__(self, statuses: list[Any], refuse: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses, self.refuse = statuses, refuse
        self.rayjobs: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.requests.append(("POST", self.path, self.headers["Authorization"]))
        rayjob = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = rayjob["metadata"]["name"]
        if self.server.refuse:
            self.answer(self.server.refuse, {"message": "rayjobs.ray.io is forbidden"})
        elif name in self.server.rayjobs:
            self.answer(409, {"message": "already exists"})
        else:
            self.server.rayjobs[name] = rayjob
            self.answer(201, rayjob)

    def do_GET(self) -> None:
        self.server.requests.append(("GET", self.path, self.headers["Authorization"]))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        if isinstance(status, int):
            self.answer(status, {"message": "not now"})
        else:
            self.answer(200, {"status": status})

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret-token\n")
    (tmp_path / "namespace").write_text("nightly")
    return tmp_path


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Callable[..., Server]:
    """Start a fake API server, which is stopped at the end of the test."""

    def start(statuses: list[Any], refuse: int | None = None) -> Server:
        server = Server(statuses, refuse)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
        return server

    return start


@pytest.fixture(autouse=True)
def log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=LOGGER)


def night(server: Server, account: Path, owner: tuple[str, str] | None = None) -> int:
    """Run the night of 24 November 2026; its exit code."""
    api = Api(f"http://127.0.0.1:{server.server_address[1]}", account)
    return run_night(api, rayjob_of(MANIFEST, "20261124", owner), poll=0.01)


def test_a_night_is_created_once_and_waited_for(
    serve: Callable[..., Server], account: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve([{}, {"jobDeploymentStatus": "Running"}, 503, {"jobDeploymentStatus": "Running"}, DONE])
    assert night(server, account, ("microbench-29400000", "uid-1")) == 0
    (rayjob,) = server.rayjobs.values()
    assert rayjob["metadata"]["name"] == "microbench-20261124"
    assert rayjob["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "microbench-29400000", "uid": "uid-1"}
    ]
    head = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["env"] == [{"name": "RUN", "value": "20261124"}]
    assert {path for _, path, _ in server.requests} == {
        "/apis/ray.io/v1/namespaces/nightly/rayjobs",
        "/apis/ray.io/v1/namespaces/nightly/rayjobs/microbench-20261124",
    }
    assert {token for *_, token in server.requests} == {"Bearer secret-token"}
    assert [phase for phase in ("Running", "503", "SUCCEEDED") if phase in caplog.text] == ["Running", "503", "SUCCEEDED"]
    assert {record.name for record in caplog.records} == {LOGGER}
    assert "secret" not in caplog.text


def test_a_night_that_was_started_before_is_not_run_twice(
    serve: Callable[..., Server], account: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve([DONE])
    assert night(server, account) == 0
    caplog.clear()
    assert night(server, account) == 0
    assert len(server.rayjobs) == 1
    first = caplog.messages[0]
    assert "microbench-20261124" in first
    assert "exists" in first


@pytest.mark.parametrize(
    "status",
    [
        {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "message": "exit code 2"},
        {"jobDeploymentStatus": "Failed", "reason": "DeadlineExceeded"},
        {"jobDeploymentStatus": "ValidationFailed", "message": "wrong"},
        {"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"},
    ],
    ids=lambda status: "-".join(status.values()),
)
def test_a_failed_night_has_exit_code_1_and_logs_the_reason(
    serve: Callable[..., Server], account: Path, status: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert night(serve([status]), account) == 1
    assert (status.get("message") or status.get("reason") or status["jobStatus"]) in caplog.messages[-1]


def test_a_refused_request_is_reported_without_the_token(serve: Callable[..., Server], account: Path) -> None:
    with refuses(EngineError, "refused", where="RayJob microbench-20261124", got="403 rayjobs.ray.io is forbidden") as caught:
        night(serve([DONE], refuse=403), account)
    assert "secret" not in str(caught.value)


def test_a_rayjob_deleted_while_it_runs_is_reported(serve: Callable[..., Server], account: Path) -> None:
    with refuses(EngineError, "refused", where="RayJob microbench-20261124", got="404"):
        night(serve([{"jobDeploymentStatus": "Running"}, 404]), account)


def test_a_lost_connection_to_the_api_server_is_retried(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    responses: list[Any] = [{}, ConnectionError("away"), {"status": DONE}]

    def request(self: Api, method: str, name: str, content: Mapping[str, Any] | None = None) -> Any:
        response = responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    monkeypatch.setattr(Api, "request", request)
    assert run_night(Api("http://x", account), rayjob_of(MANIFEST, "20261124", None), poll=0.01) == 0
    assert responses == []


@pytest.mark.parametrize(
    ("job", "expected"),
    [("microbench-29400000", "20251124"), ("microbench-again", "20261124"), ("", "20261124"), ("again-7", "20261124")],
)
def test_the_night_is_the_scheduled_day_of_the_job(job: str, expected: str) -> None:
    assert night_of(job, NOW) == expected


@pytest.mark.parametrize("text", ["", "[]", "metadata: {name: x}", ": :", MANIFEST.read_text().replace("name: RUN", "name: RUNS")])
def test_a_manifest_without_a_run_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rayjob.yaml").write_text(text)
    with refuses(ConfigError, "RUN", where="rayjob.yaml"):
        rayjob_of(tmp_path / "rayjob.yaml", "20261124", None)


def test_the_name_of_a_night_is_short_enough_for_kuberay() -> None:
    assert len(rayjob_of(MANIFEST, "20261124", None)["metadata"]["name"]) <= 47


def test_outside_a_pod_the_script_reports_an_error() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "nightly.py"), str(MANIFEST)], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode == 1
    assert "KUBERNETES_SERVICE_HOST" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_address_of_the_api_server_comes_from_the_environment(account: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert Api.of_the_pod(environment, account).url == "https://[fd00::1]:6443"
    assert nightly.ACCOUNT.name == "serviceaccount"
