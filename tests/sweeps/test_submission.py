"""The job that `microbench submit` sends to a cluster, its id, and how it is followed; without a cluster."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.methods.presets import CONF
from microbench_ray.sweeps.cluster import submission
from microbench_ray.sweeps.cluster.job_client import Cluster, within
from microbench_ray.sweeps.cluster.submission import SubmitJob, dashboard_url, exit_code, follow, latest_attempt, run_submit
from tests.helpers.errors import refuses
from tests.helpers.processes import run_command, run_script

AWKWARD = [
    "methods=[a,b]",
    "targets.where=instruct and 7e9 <= params",
    "out=/data/$(touch /tmp/never)",
    "out=/data/`id`",
    "figure_note='it''s' \"so\"",
    "figure_note=a\nb\\",
    "methods=[{method: random, label: x}]",
    "~",
    "*",
    "-n",
    "",
    "a;b&c|d>e",
    "!! $HOME ${PATH}",
]
OUT = "out=/data/results"


def echoed(entrypoint: str) -> list[str]:
    """The arguments that a shell passes to a program."""
    done = subprocess.run(["sh", "-c", entrypoint], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


class Echo(SubmitJob):
    """A job whose program prints its arguments."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("printf", "%s\\0", *super().command)


@pytest.mark.parametrize("argument", AWKWARD)
def test_awkward_arguments_pass_through_a_shell_unchanged(argument: str) -> None:
    assert echoed(Echo((argument, "last"), {}).entrypoint) == ["microbench", "sweep", argument, "last"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
def test_any_arguments_pass_through_a_shell_unchanged(arguments: list[str]) -> None:
    assert echoed(Echo(tuple(arguments), {}).entrypoint) == ["microbench", "sweep", *arguments]


def submitted(*overrides: str) -> SubmitJob:
    return Composer("submit", [OUT, *overrides]).submit()


def test_the_job_is_the_sweep_on_the_cluster_engine_without_the_keys_of_submit() -> None:
    job = submitted("submit.address=http://head:8265", "++submit.follow=false", "methods=[random]", "submit={timeout: 3}")
    assert job.command == ("microbench", "sweep", "engine=cluster", OUT, "methods=[random]")
    assert (job.address, job.follow, job.timeout) == ("http://head:8265", False, 3.0)
    assert submitted("engine=serial").command == ("microbench", "sweep", OUT, "engine=serial")


def test_the_submitted_command_composes_to_the_checked_configuration() -> None:
    arguments = ["benchmark=[synthetic]", "targets=group", "targets.label=near", "targets.where=0.4 <= accuracy <= 0.5"]
    composer = Composer("submit", [OUT, *arguments])
    sweep = Composer("sweep", composer.submit().arguments)
    ours, theirs = composer.compose(composer.overrides), sweep.compose(sweep.overrides)
    assert {key: value for key, value in ours.items() if key != "submit"} == dict(theirs.items())


SAME = [["seed=0"], ["submit.follow=false"], ["grid=default"], ["engine=cluster"]]
OTHER = [["seed=1"], ["out=/data/other"], ["engine=serial"], ["methods=[random]"], ["grid.runs=3"], ["thresholds=[.9]"]]


@pytest.mark.parametrize("overrides", SAME, ids=str)
def test_overrides_that_change_nothing_give_the_same_job_id(overrides: list[str]) -> None:
    assert submitted(*overrides).job_id("20260102") == submitted().job_id("20260102")


@pytest.mark.slow
@pytest.mark.parametrize("overrides", OTHER, ids=str)
def test_overrides_that_change_something_give_another_job_id(overrides: list[str]) -> None:
    assert submitted(*overrides).job_id("20260102") != submitted().job_id("20260102")


def test_a_job_id_is_the_day_and_a_hash() -> None:
    job_id = submitted().job_id("20260102")
    assert job_id.startswith("microbench-20260102-")
    assert job_id != submitted().job_id("20260103")
    assert job_id.replace("-", "").isalnum()


def test_the_parameters_of_a_configured_method_are_part_of_the_hash(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    ids = []
    for signal in ("correctness", "confidence"):
        (tmp_path / "method" / "mine.yaml").write_text(f"selector: {{name: random}}\nestimator: {{name: mean, signal: {signal}}}\n")
        composer = Composer("submit", [OUT, "methods=[mine]"], tmp_path)
        job = composer.submit()
        assert job.arguments[-2:] == ("--config-dir", str(tmp_path))
        ids.append(job.job_id("20260102"))
    assert ids[0] != ids[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        (["out=results"], "out"),
        (["out=null"], "out"),
        (["benchmark=scores", "benchmark.path=scores.parquet"], "benchmark.path"),
        (["benchmark=[gpqa,mmlu]"], "benchmark.path"),
        (["benchmark=scores", "benchmark.path=/a/s.csv", "benchmark.metadata=m.csv"], "benchmark.metadata"),
        (["methods=[{method: fixed, label: x, selector: {path: tiny.txt}}]"], "methods, x, selector.path"),
        (["submit.timeout=0"], "submit.timeout"),
        (["submit.address=ray://head:10001"], "submit.address"),
        (["submit.address=http://me:secret@head:8265"], "submit.address"),
        (["submit.working_dir=/nowhere"], "submit.working_dir"),
        (["seed=-1"], "seed"),
        (["targets=group"], "targets"),
        (["submit.folow=true"], "submit.folow"),
    ],
)
def test_invalid_values_are_reported_before_anything_is_submitted(
    overrides: list[str], where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cluster, "connect", lambda *_: pytest.fail("connected to a cluster"))
    assert main(["submit", OUT, *overrides]) == 1
    error = capsys.readouterr().err
    assert f"where: {where}" in error
    assert "secret" not in error


def test_files_on_the_cluster_are_not_read_locally() -> None:
    job = submitted(
        "benchmark=scores",
        "benchmark.path=/data/of/the/cluster.parquet",
        "methods=[{method: fixed, label: x, selector: {path: s3://bucket/tiny.txt}}]",
    )
    assert "benchmark.path=/data/of/the/cluster.parquet" in job.arguments


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ({}, ("a", None)),
        ({"a": "PENDING"}, ("a", "PENDING")),
        ({"a": "SUCCEEDED"}, ("a", "SUCCEEDED")),
        ({"a": "FAILED"}, ("a-2", None)),
        ({"a": "STOPPED", "a-2": "FAILED"}, ("a-3", None)),
        ({"a": "FAILED", "a-2": "RUNNING", "b": "RUNNING"}, ("a-2", "RUNNING")),
    ],
)
def test_the_latest_attempt_is_a_new_one_after_failures(jobs: dict[str, str], expected: tuple[str, str | None]) -> None:
    assert latest_attempt("a", jobs) == expected


@pytest.mark.parametrize(
    ("configured", "environment", "expected"),
    [
        (None, {}, "http://127.0.0.1:8265"),
        ("head:8265", {"RAY_ADDRESS": "http://other:1"}, "http://head:8265"),
        (None, {"RAY_ADDRESS": "http://other:1/"}, "http://other:1"),
        (None, {"RAY_ADDRESS": "auto", "RAY_API_SERVER_ADDRESS": "https://api"}, "https://api"),
    ],
)
def test_the_address_comes_from_the_configuration_or_the_environment(
    configured: str | None, environment: dict[str, str], expected: str
) -> None:
    assert dashboard_url(configured, environment) == expected


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "ray://head:10001"])
def test_the_address_of_a_head_is_not_that_of_a_dashboard(address: str) -> None:
    with refuses(ConfigError, "dashboard", where="RAY_ADDRESS", got=address):
        dashboard_url(None, {"RAY_ADDRESS": address})


def test_only_code_and_configuration_are_uploaded(tmp_path: Path) -> None:
    for name in (
        "jobs/sweep.py",
        "conf/sweep.yaml",
        "microbench_ray/a/b.py",
        "microbench_ray/__pycache__/c.pyc",
        "data/big.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    job = SubmitJob((), {}, working_dir=tmp_path)
    assert job.upload_bytes() == 15
    assert job.command == ("python", "jobs/sweep.py")
    with job.runtime_env() as runtime_env:
        folder = Path(runtime_env["working_dir"])
        uploaded = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        assert list(runtime_env) == ["working_dir"]
    assert uploaded == ["conf/sweep.yaml", "jobs/sweep.py", "microbench_ray/a/b.py"]
    before = job.job_id("20260102")
    (tmp_path / "data" / "more.parquet").write_text("1")
    assert job.job_id("20260102") == before
    (tmp_path / "jobs" / "sweep.py").write_text("54321")
    assert job.job_id("20260102") != before


def test_an_upload_over_rays_limit_is_rejected(tmp_path: Path) -> None:
    for part in ("conf", "microbench_ray", "jobs"):
        (tmp_path / part).mkdir()
    (tmp_path / "jobs" / "sweep.py").touch()
    with (tmp_path / "conf" / "scores.parquet").open("wb") as file:
        file.truncate(100 * 2**20)
    with refuses(ConfigError, "100.0 MB", where=str(tmp_path), got="conf/scores.parquet"):
        SubmitJob((), {}, working_dir=tmp_path).upload_bytes()


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


def test_the_script_and_the_command_are_the_same() -> None:
    done = run_script(Path(CONF).parent / "jobs" / "submit.py", ["--cfg"])
    assert done.returncode == 0
    assert done.stdout == run_command(["submit", "--cfg"]).stdout
    assert "timeout: 10" in done.stdout


def test_a_token_is_neither_a_key_nor_in_a_message() -> None:
    error = type("AuthenticationError", (Exception,), {})("Bearer abc")
    explained = Cluster(None, "http://x", 1)._explained(error, 1)
    assert "abc" not in str(explained)
    assert "RAY_AUTH_TOKEN" in str(explained)
    assert "token" not in Composer("submit", [OUT]).text()
