"""What the nightly CronJob's pod does, against an API server of the tests' own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobs import nightly
from jobs.nightly import Api, night_of, rayjob_of, run_night
from microbench_ray.core.errors import ConfigError, EngineError

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "jobs" / "k8s" / "rayjob.yaml"
NOW = datetime(2026, 11, 24, 23, 59, tzinfo=UTC)
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}


class Server(ThreadingHTTPServer):
    """An API server that knows RayJobs and answers with one status after the other; a number is an error."""

    def __init__(self, statuses: list[Any], refuse: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses, self.refuse, self.rayjobs = statuses, refuse, {}
        self.asked: list[tuple[str, str, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.server.asked.append(("POST", self.path, self.headers["Authorization"]))
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
        self.server.asked.append(("GET", self.path, self.headers["Authorization"]))
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
def serve(request: pytest.FixtureRequest) -> Any:
    def start(statuses: list[Any], refuse: int | None = None) -> Server:
        server = Server(statuses, refuse)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        request.addfinalizer(server.server_close)
        request.addfinalizer(server.shutdown)
        return server

    return start


def night(server: Server, account: Path, owner: tuple[str, str] | None = None) -> tuple[int, list[str]]:
    said: list[str] = []
    api = Api(f"http://127.0.0.1:{server.server_address[1]}", account)
    return run_night(api, rayjob_of(MANIFEST, "20261124", owner), said.append, poll=0.01), said


def test_a_night_is_created_once_and_waited_for(serve: Any, account: Path) -> None:
    server = serve([{}, {"jobDeploymentStatus": "Running"}, 503, {"jobDeploymentStatus": "Running"}, DONE])
    code, said = night(server, account, ("microbench-29400000", "uid-1"))
    assert code == 0
    (rayjob,) = server.rayjobs.values()
    assert rayjob["metadata"]["name"] == "microbench-20261124"
    assert rayjob["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "microbench-29400000", "uid": "uid-1"}
    ]
    head = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    assert head["env"] == [{"name": "RUN", "value": "20261124"}]
    assert {path for _, path, _ in server.asked} == {
        "/apis/ray.io/v1/namespaces/nightly/rayjobs",
        "/apis/ray.io/v1/namespaces/nightly/rayjobs/microbench-20261124",
    }
    assert {token for *_, token in server.asked} == {"Bearer secret-token"}
    assert "secret" not in " ".join(said)


def test_a_night_that_was_begun_is_not_run_twice(serve: Any, account: Path) -> None:
    server = serve([DONE])
    assert night(server, account)[0] == 0
    code, said = night(server, account)
    assert code == 0
    assert len(server.rayjobs) == 1
    assert "not run twice" in said[0]


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
def test_a_night_that_failed_is_exit_code_1_and_says_why(serve: Any, account: Path, status: dict[str, str]) -> None:
    code, said = night(serve([status]), account)
    assert code == 1
    assert (status.get("message") or status.get("reason") or status["jobStatus"]) in said[-1]


def test_a_refusal_is_one_message(serve: Any, account: Path) -> None:
    with pytest.raises(EngineError) as refused:
        night(serve([DONE], refuse=403), account)
    assert refused.value.got == "403 rayjobs.ray.io is forbidden"
    assert "secret" not in str(refused.value)


def test_a_rayjob_that_is_deleted_meanwhile_is_one_message(serve: Any, account: Path) -> None:
    with pytest.raises(EngineError, match="refuses"):
        night(serve([{"jobDeploymentStatus": "Running"}, 404]), account)


def test_an_api_server_that_is_away_for_a_while_is_asked_again(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [{}, ConnectionError("away"), {"status": DONE}]

    def request(self: Api, method: str, name: str, content: Any = None) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Api, "request", request)
    assert run_night(Api("http://x", account), rayjob_of(MANIFEST, "20261124", None), lambda text: None, poll=0.01) == 0


@pytest.mark.parametrize(
    ("job", "expected"),
    [("microbench-29400000", "20251124"), ("microbench-again", "20261124"), ("", "20261124"), ("again-7", "20261124")],
)
def test_the_night_is_the_one_that_the_job_was_due_in(job: str, expected: str) -> None:
    assert night_of(job, NOW) == expected


@pytest.mark.parametrize("text", ["", "[]", "metadata: {name: x}", ": :", MANIFEST.read_text().replace("name: RUN", "name: RUNS")])
def test_a_manifest_without_a_run_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "rayjob.yaml").write_text(text)
    with pytest.raises(ConfigError, match="no RayJob"):
        rayjob_of(tmp_path / "rayjob.yaml", "20261124", None)


def test_the_name_that_a_night_gets_is_one_that_kuberay_takes() -> None:
    assert len(rayjob_of(MANIFEST, "20261124", None)["metadata"]["name"]) <= 47


def test_outside_a_pod_the_script_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "nightly.py"), str(MANIFEST)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "This is no pod" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_api_server_is_that_of_the_pod(account: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert Api.of_the_pod(environment, account).url == "https://[fd00::1]:6443"
    assert nightly.ACCOUNT.name == "serviceaccount"
