"""`microbench submit` and `ray job submit` from end to end, on a Ray head with token authentication."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.helpers.processes import Child, Completed, run_script, script
from tests.helpers.ray_head import BIN, Head, environment
from tests.helpers.small_sweep import assert_same_tables, command, write_board

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SUBMIT = ROOT / "jobs" / "submit.py"
FAULTY = """
import sys
from dataclasses import dataclass

from microbench_ray.cli.main import main
from microbench_ray.methods.base import SelectorWithoutFit
from microbench_ray.methods.registry import SELECTORS


@dataclass(frozen=True)
class Faulty(SelectorWithoutFit):
    def select(self, seen, fit, size, rng):
        raise RuntimeError("out of order")


SELECTORS["random"] = Faulty
sys.exit(main(["sweep", *sys.argv[1:]]))
"""


@pytest.fixture
def cluster(ray_head: Head) -> Head:
    return ray_head


def environment_of(cluster: Head, token: str | None = None) -> dict[str, str]:
    """The environment of a client of the cluster, with the cluster's token by default."""
    return environment(RAY_AUTH_TOKEN=cluster.token if token is None else token, RAY_API_SERVER_ADDRESS=cluster.address)


def run(cluster: Head, arguments: list[str], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command against the cluster; its token must not show in the output."""
    env = environment_of(cluster)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=180, check=False, env=env, cwd=cwd)
    assert cluster.token not in done.stdout + done.stderr
    return done


def submit(cluster: Head, arguments: list[str], *more: str, token: str | None = None) -> Completed:
    """Run `jobs/submit.py` with the arguments of a sweep; the cluster's token must not show in the output."""
    words = [*(each for each in arguments[1:] if not each.startswith("engine=")), *more]
    done = run_script(SUBMIT, words, env=environment_of(cluster, token), seconds=180)
    assert cluster.token not in done.stdout + done.stderr
    return done


def assert_no_token(cluster: Head, folder: Path) -> None:
    """Check that the token is in no output file and in no driver log."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    logs = list(cluster.logs.glob("session_*/logs/job-driver-*.log"))
    assert files
    assert logs
    for path in [*files, *logs]:
        assert cluster.token.encode() not in path.read_bytes(), path


def test_a_submitted_sweep_gives_the_tables_of_the_serial_engine_and_is_not_run_again(
    cluster: Head, board: Path, reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out with spaces, $(id) and 'quotes'"
    done = submit(cluster, command(board, out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "240 cells computed" in done.stdout
    assert_same_tables(out, reference)
    assert_no_token(cluster, out)
    again = submit(cluster, command(board, out), "seed=0")
    assert again.returncode == 0
    assert "already succeeded" in again.stderr
    assert "cells" not in again.stdout


def test_the_job_reports_bad_input(cluster: Head, tmp_path: Path) -> None:
    done = submit(cluster, command(tmp_path / "nowhere.parquet", tmp_path / "out"))
    assert done.returncode == 1
    assert f"where: {tmp_path / 'nowhere.parquet'}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_a_failing_shard_gives_exit_code_2_and_the_uploaded_code_runs(cluster: Head, board: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for part in ("conf", "microbench_ray"):
        (checkout / part).parent.mkdir(exist_ok=True)
        (checkout / part).symlink_to(ROOT / part)
    (checkout / "jobs").mkdir()
    (checkout / "jobs" / "sweep.py").write_text(FAULTY)
    (checkout / "leaderboard.bin").write_bytes(bytes(2**20))
    out = tmp_path / "out"
    done = submit(cluster, command(board, out), f"submit.working_dir={checkout}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Uploading" in done.stderr
    assert str(checkout) in done.stderr
    failures = pq.read_table(out / "failures.parquet")
    assert set(failures.column("methods").to_pylist()) == {"random"}
    assert "out of order" in failures.column("error")[0].as_py()


def test_an_interrupted_submission_stops_the_job_if_configured(cluster: Head, tmp_path: Path) -> None:
    long = [f"out={tmp_path / 'out'}", "grid.runs=5000", "methods=[tinybenchmarks]", "submit.stop_on_interrupt=true"]
    log = tmp_path / "submit.log"
    child = Child(script, SUBMIT, [*long, f"submit.address={cluster.address}"], stdout=log, env=environment_of(cluster))
    try:
        deadline = time.monotonic() + 150
        while not log.exists() or " cells" not in log.read_text():  # the job's log is followed
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        code = child.wait(90)
    finally:
        child.kill()
    text = log.read_text()
    assert code == 130, text
    (job_id,) = set(re.findall(r"microbench-\d{8}-[0-9a-f]{10}", text))
    status = run(cluster, [str(BIN / "ray"), "job", "status", job_id])
    assert "STOPPED" in (status.stdout + status.stderr).upper()


@pytest.mark.parametrize("token", ["f" * 64, ""], ids=["wrong", "none"])
def test_a_wrong_token_is_one_message(cluster: Head, tmp_path: Path, token: str) -> None:
    done = submit(cluster, ["sweep", f"out={tmp_path}", "grid.runs=2"], token=token)
    assert done.returncode == 1
    assert f"where: {cluster.address}" in done.stderr
    assert "RAY_AUTH_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr
    assert "f" * 64 not in done.stdout + done.stderr


def test_ray_job_submit_runs_the_same_job(cluster: Head, board: Path, reference: Path, tmp_path: Path) -> None:
    arguments = command(board, tmp_path / "out", engine="cluster")[1:]
    ray = [str(BIN / "ray"), "job", "submit", "--working-dir", "."]
    done = run(cluster, [*ray, "--", "python", "jobs/sweep.py", *arguments], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_tables(tmp_path / "out", reference)


def test_the_manifests_entry_point_runs_through_the_heads_shell(cluster: Head, tmp_path: Path) -> None:
    """As KubeRay submits it: over HTTP, with RUN from the head's environment. Only the volume's path and the grid differ."""
    write_board(tmp_path / "leaderboard.parquet")
    rayjob = yaml.safe_load((ROOT / "jobs" / "k8s" / "rayjob.yaml").read_text())
    entrypoint = rayjob["spec"]["entrypoint"].replace("=/data/", f"={tmp_path}/")
    tiny = "'grid.sizes=[5,10]' 'grid.n_source=[10]' grid.n_target=15 grid.runs=2 n_resamples=100 figures=false"
    headers = {"Authorization": f"Bearer {cluster.token}", "Content-Type": "application/json"}

    def ask(path: str, content: dict[str, str] | None = None) -> dict[str, Any]:
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(cluster.address + path, data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    job = ask("/api/jobs/", {"entrypoint": f"{entrypoint} {tiny}"})["submission_id"]
    deadline = time.monotonic() + 150
    while (status := ask(f"/api/jobs/{job}"))["status"] in ("PENDING", "RUNNING"):
        assert time.monotonic() < deadline, status
        time.sleep(0.5)
    assert (status["status"], status["driver_exit_code"]) == ("SUCCEEDED", 0), ask(f"/api/jobs/{job}/logs")["logs"]
    assert (tmp_path / "results" / "first" / "mdad.parquet").exists()


def test_the_readiness_probe_needs_no_token_and_the_job_server_does(cluster: Head) -> None:
    rayjob = yaml.safe_load((ROOT / "jobs" / "k8s" / "rayjob.yaml").read_text())
    probe = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.agent}{probe['path']}", timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cluster.address}/api/jobs/", timeout=10)
