"""What `microbench submit` hands to a cluster, under which name, and how it follows a job: without a cluster."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microbench_ray.cli.compose import CONF, Composer
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError, EngineError
from microbench_ray.sweeps.cluster import submission
from microbench_ray.sweeps.cluster.job_client import Cluster, within
from microbench_ray.sweeps.cluster.submission import SubmitJob, chosen, dashboard, exit_code, follow, submit
from tests.helpers.small_sweep import run_cli

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
    """The arguments that a shell gives to a program."""
    done = subprocess.run(["sh", "-c", entrypoint], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


class Echo(SubmitJob):
    """A submission whose program says what it is given."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("printf", "%s\\0", *super().command)


@pytest.mark.parametrize("argument", AWKWARD)
def test_awkward_arguments_pass_a_shell_whole(argument: str) -> None:
    assert echoed(Echo((argument, "last"), {}).entrypoint) == ["microbench", "sweep", argument, "last"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_arguments_pass_a_shell_whole(arguments: list[str]) -> None:
    assert echoed(Echo(tuple(arguments), {}).entrypoint) == ["microbench", "sweep", *arguments]


def submitted(*overrides: str) -> SubmitJob:
    return Composer("submit", [OUT, *overrides]).submission()


def test_the_job_is_the_sweep_on_the_cluster_engine_without_the_keys_of_submit() -> None:
    made = submitted("submit.address=http://head:8265", "++submit.follow=false", "methods=[random]", "submit={timeout: 3}")
    assert made.command == ("microbench", "sweep", "engine=cluster", OUT, "methods=[random]")
    assert (made.address, made.follow, made.timeout) == ("http://head:8265", False, 3.0)
    assert submitted("engine=serial").command == ("microbench", "sweep", OUT, "engine=serial")


def test_what_is_submitted_composes_to_what_was_checked() -> None:
    arguments = ["benchmark=[synthetic]", "targets=group", "targets.label=near", "targets.where=0.4 <= accuracy <= 0.5"]
    composer = Composer("submit", [OUT, *arguments])
    job = Composer("sweep", composer.submission().arguments)
    ours, theirs = composer.compose(composer.overrides), job.compose(job.overrides)
    assert {key: value for key, value in ours.items() if key != "submit"} == dict(theirs.items())


SAME = [["seed=0"], ["submit.follow=false"], ["grid=default"], ["engine=cluster"]]
OTHER = [["seed=1"], ["out=/data/other"], ["engine=serial"], ["methods=[random]"], ["grid.runs=3"], ["thresholds=[.9]"]]


@pytest.mark.parametrize("overrides", SAME, ids=str)
def test_overrides_that_change_nothing_name_the_same_job(overrides: list[str]) -> None:
    assert submitted(*overrides).job_id("20260102") == submitted().job_id("20260102")


@pytest.mark.parametrize("overrides", OTHER, ids=str)
def test_overrides_that_change_something_name_another_job(overrides: list[str]) -> None:
    assert submitted(*overrides).job_id("20260102") != submitted().job_id("20260102")


def test_a_name_is_the_day_and_a_hash() -> None:
    name = submitted().job_id("20260102")
    assert name.startswith("microbench-20260102-")
    assert name != submitted().job_id("20260103")
    assert name.replace("-", "").isalnum()


def test_parameters_behind_a_methods_name_are_part_of_the_hash(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    names = []
    for signal in ("correctness", "confidence"):
        (tmp_path / "method" / "mine.yaml").write_text(f"selector: {{name: random}}\nestimator: {{name: mean, signal: {signal}}}\n")
        composer = Composer("submit", [OUT, "methods=[mine]"], tmp_path)
        made = composer.submission()
        assert made.arguments[-2:] == ("--config-dir", str(tmp_path))
        names.append(made.job_id("20260102"))
    assert names[0] != names[1]


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
def test_what_cannot_be_is_told_before_anything_is_submitted(
    overrides: list[str], where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Cluster, "connect", lambda *_: pytest.fail("a cluster was asked"))
    assert main(["submit", OUT, *overrides]) == 1
    text = capsys.readouterr().err
    assert f"where: {where}" in text
    assert "secret" not in text


def test_files_of_the_cluster_are_not_read_here() -> None:
    made = submitted(
        "benchmark=scores",
        "benchmark.path=/data/of/the/cluster.parquet",
        "methods=[{method: fixed, label: x, selector: {path: s3://bucket/tiny.txt}}]",
    )
    assert "benchmark.path=/data/of/the/cluster.parquet" in made.arguments


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
def test_an_attempt_is_chosen_by_what_there_is(jobs: dict[str, str], expected: tuple[str, str | None]) -> None:
    assert chosen("a", jobs) == expected


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
    assert dashboard(configured, environment) == expected


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379", "ray://head:10001"])
def test_the_address_of_a_driver_is_none_of_a_dashboard(address: str) -> None:
    with pytest.raises(ConfigError, match="dashboard"):
        dashboard(None, {"RAY_ADDRESS": address})


def test_only_the_checkouts_own_parts_are_uploaded(tmp_path: Path) -> None:
    for name in (
        "jobs/sweep.py",
        "conf/sweep.yaml",
        "microbench_ray/a/b.py",
        "microbench_ray/__pycache__/c.pyc",
        "data/big.parquet",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("12345")
    made = SubmitJob((), {}, working_dir=tmp_path)
    assert made.upload_bytes() == 15
    assert made.command == ("python", "jobs/sweep.py")
    with made.runtime_env() as runtime_env:
        folder = Path(runtime_env["working_dir"])
        uploaded = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        assert list(runtime_env) == ["working_dir"]
    assert uploaded == ["conf/sweep.yaml", "jobs/sweep.py", "microbench_ray/a/b.py"]
    before = made.job_id("20260102")
    (tmp_path / "data" / "more.parquet").write_text("1")
    assert made.job_id("20260102") == before
    (tmp_path / "jobs" / "sweep.py").write_text("54321")
    assert made.job_id("20260102") != before


def test_an_upload_over_rays_limit_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    for part in ("conf", "microbench_ray", "jobs"):
        (tmp_path / part).mkdir()
    (tmp_path / "jobs" / "sweep.py").touch()
    with (tmp_path / "conf" / "scores.parquet").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(ConfigError) as refused:
        SubmitJob((), {}, working_dir=tmp_path).upload_bytes()
    assert "conf/scores.parquet" in str(refused.value)


class FakeClient:
    """A job whose log comes in pieces over connections that drop."""

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


def test_every_line_of_the_log_is_written_once_whatever_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    connections = [["a\n", "b", "drop"], ["a\nb\nc\n", "drop"], ["drop"], ["a\n", "b\n", "c\nd\n"]]
    client = FakeClient(connections, ["RUNNING", "unreachable", "RUNNING", "RUNNING", "SUCCEEDED"], "a\nb\nc\nd\ne\n")
    written: list[str] = []
    info = follow(Cluster(client, "http://x", 5), "job", written.append, reconnect=60)
    assert "".join(written) == "a\nb\nc\nd\ne\n"
    assert exit_code("job", info) == 0


def test_a_silent_connection_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    class Hanging(FakeClient):
        async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
            yield "a\n"
            await asyncio.sleep(3600)

    monkeypatch.setattr(submission, "QUIET_SECONDS", 0.05)
    written: list[str] = []
    follow(Cluster(Hanging([], ["RUNNING", "SUCCEEDED"], "a\nb\n"), "http://x", 5), "job", written.append, reconnect=60)
    assert "".join(written) == "a\nb\n"


def test_a_cluster_that_stays_away_is_an_error_in_bounded_time() -> None:
    client = FakeClient([], ["unreachable"], "")
    with pytest.raises(EngineError, match="lost sight"):
        follow(Cluster(client, "http://x", 5), "job", lambda text: None, reconnect=0.3)


@pytest.mark.parametrize(("status", "code"), [("FAILED", None), ("FAILED", -9), ("STOPPED", None), ("STOPPED", -15)])
def test_a_job_that_never_came_to_its_end_is_an_error_that_says_why(status: str, code: int | None) -> None:
    with pytest.raises(EngineError) as lost:
        exit_code("job", SimpleNamespace(status=status, driver_exit_code=code, message="why\nand more"))
    assert lost.value.got == "why"


@pytest.mark.parametrize("code", [1, 2, 127])
def test_the_drivers_exit_code_is_returned(code: int) -> None:
    assert exit_code("job", SimpleNamespace(status="FAILED", driver_exit_code=code, message="x")) == code


class Server(Cluster):
    """A cluster that knows some jobs, and notes what it is asked to do."""

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
    made = Server(FakeClient([], ["SUCCEEDED"], "log\n"), "http://x", 5)
    for name, value in {"known": {}, "started": [], "stopped": []}.items():
        object.__setattr__(made, name, value)
    monkeypatch.setattr(Cluster, "connect", lambda *_: made)
    return made


def handed(server: Server, **changes: Any) -> tuple[int, str]:
    text: list[str] = []
    code = submit(SubmitJob((), {}, **changes), lambda line: text.append(line + "\n"), text.append, today="20260102")
    return code, "".join(text)


def test_a_job_that_is_done_is_not_run_again(server: Server) -> None:
    name = SubmitJob((), {}).job_id("20260102")
    server.known[name] = "SUCCEEDED"
    code, text = handed(server)
    assert (code, server.started) == (0, [])
    assert "succeeded" in text


def test_a_job_that_runs_is_followed(server: Server) -> None:
    server.known[SubmitJob((), {}).job_id("20260102")] = "RUNNING"
    code, text = handed(server)
    assert (code, server.started) == (0, [])
    assert text.endswith("log\n")


def test_without_following_the_name_is_told(server: Server) -> None:
    code, text = handed(server, follow=False)
    assert code == 0
    assert server.started == [SubmitJob((), {}).job_id("20260102")]
    assert server.started[0] in text
    assert "log\n" not in text


@pytest.mark.parametrize("stop", [False, True])
def test_an_interrupt_leaves_the_job_or_stops_it(server: Server, stop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submission, "follow", interrupted)
    code, text = handed(server, stop_on_interrupt=stop)
    assert code == 130
    assert server.stopped == (server.started if stop else [])
    assert ("is stopped" if stop else "The job goes on") in text


def test_a_call_that_takes_too_long_is_given_up() -> None:
    started, never = time.monotonic(), threading.Event()
    with pytest.raises(TimeoutError):
        within(0.1, lambda: never.wait(30))
    assert time.monotonic() - started < 5
    never.set()
    assert within(5, lambda: 3) == 3


def test_an_address_where_nobody_listens_gives_one_message_in_bounded_time(tmp_path: Path) -> None:
    done = run_cli(["submit", f"out={tmp_path}", "submit.address=http://127.0.0.1:9", "submit.timeout=10"])
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_script_and_the_command_are_the_same() -> None:
    script = Path(CONF).parent / "jobs" / "submit.py"
    done = subprocess.run([sys.executable, str(script), "--cfg"], capture_output=True, text=True, check=True)
    assert done.stdout == run_cli(["submit", "--cfg"]).stdout
    assert "timeout: 10" in done.stdout


def test_a_token_is_no_key_and_in_no_message() -> None:
    error = type("AuthenticationError", (Exception,), {})("Bearer abc")
    explained = Cluster(None, "http://x", 1)._explained(error, 1)
    assert "abc" not in str(explained)
    assert "RAY_AUTH_TOKEN" in str(explained)
    assert "token" not in Composer("submit", [OUT]).text()
