"""The job that `microbench submit` sends to a cluster, its id; without a cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.presets import CONF
from microbench_ray.sweeps.cluster.job_client import Cluster
from microbench_ray.sweeps.cluster.submission import SubmitJob, dashboard_url, latest_attempt
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
