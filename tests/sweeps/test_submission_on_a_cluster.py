"""`microbench submit` and `ray job submit` from end to end, on a head of the tests' own with token authentication."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.helpers.ray_head import BIN, Head, environment, head
from tests.helpers.small_sweep import assert_same_tables, command, write_board

pytestmark = [pytest.mark.ray, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SUBMIT = [sys.executable, str(ROOT / "jobs" / "submit.py")]
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


@pytest.fixture(scope="module")
def cluster() -> Iterator[Head]:
    with head(num_cpus=1, RUN="first") as started:  # each job has workers of its own, which take seconds to start
        yield started


def run(cluster: Head, arguments: list[str], *, token: str | None = None, cwd: Path | None = None):
    """Run a command against the cluster, with its token by default; the token must not show."""
    env = environment(RAY_AUTH_TOKEN=cluster.token if token is None else token, RAY_API_SERVER_ADDRESS=cluster.address)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=180, check=False, env=env, cwd=cwd)
    assert cluster.token not in done.stdout + done.stderr
    return done


def submit(cluster: Head, arguments: list[str], *more: str, **others):
    """Run `jobs/submit.py` with the arguments of a sweep."""
    return run(cluster, [*SUBMIT, *(each for each in arguments[1:] if not each.startswith("engine=")), *more], **others)


def assert_no_token(cluster: Head, folder: Path) -> None:
    """The token is in no file of the output, and in no log of a driver."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    logs = list(cluster.logs.glob("session_*/logs/job-driver-*.log"))
    assert files
    assert logs
    for path in [*files, *logs]:
        assert cluster.token.encode() not in path.read_bytes(), path


def test_a_submitted_sweep_gives_the_tables_of_the_serial_engine_and_is_not_run_twice(
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
    assert "has succeeded today already" in again.stdout
    assert "cells" not in again.stdout


def test_bad_input_is_told_by_the_job(cluster: Head, tmp_path: Path) -> None:
    done = submit(cluster, command(tmp_path / "nowhere.parquet", tmp_path / "out"))
    assert done.returncode == 1
    assert f"where: {tmp_path / 'nowhere.parquet'}" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()


def test_a_failing_shard_gives_exit_code_2_and_uploaded_code_is_what_runs(cluster: Head, board: Path, tmp_path: Path) -> None:
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
    assert "Uploading" in done.stdout
    failures = pq.read_table(out / "failures.parquet")
    assert set(failures.column("methods").to_pylist()) == {"random"}
    assert "out of order" in failures.column("error")[0].as_py()


def test_an_interrupted_submission_stops_the_job_where_that_is_asked_for(cluster: Head, tmp_path: Path) -> None:
    long = [*SUBMIT, f"out={tmp_path / 'out'}", "grid.runs=5000", "methods=[tinybenchmarks]", "submit.stop_on_interrupt=true"]
    env = environment(RAY_AUTH_TOKEN=cluster.token)
    process = subprocess.Popen(
        [*long, f"submit.address={cluster.address}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "cells" in line:
            break
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=90)
    text = "".join(seen) + rest
    assert process.returncode == 130, text
    assert "is stopped. What is done is kept" in text
    name = text.split("Job ", 1)[1].split(" ", 1)[0]
    status = run(cluster, [str(BIN / "ray"), "job", "status", name])
    assert "STOPPED" in (status.stdout + status.stderr).upper()


@pytest.mark.parametrize("token", ["f" * 64, ""], ids=["wrong", "none"])
def test_a_token_that_is_not_the_clusters_gives_one_message(cluster: Head, tmp_path: Path, token: str) -> None:
    started = time.monotonic()
    done = run(cluster, [*SUBMIT, f"out={tmp_path}", "grid.runs=2"], token=token)
    assert done.returncode == 1
    assert "The cluster does not let us in" in done.stderr
    assert "Traceback" not in done.stderr
    assert "f" * 64 not in done.stdout + done.stderr
    assert time.monotonic() - started < 30


def test_ray_job_submit_runs_the_same_job(cluster: Head, board: Path, reference: Path, tmp_path: Path) -> None:
    arguments = command(board, tmp_path / "out", engine="cluster")[1:]
    ray = [str(BIN / "ray"), "job", "submit", "--working-dir", "."]
    done = run(cluster, [*ray, "--", "python", "jobs/sweep.py", *arguments], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same_tables(tmp_path / "out", reference)


def test_the_manifests_entry_point_runs_through_the_heads_shell(cluster: Head, tmp_path: Path) -> None:
    """As KubeRay submits it: over HTTP, with RUN from the head's environment. Only the volume's place and the grid are ours."""
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


def test_the_manifests_probe_is_answered_without_a_token_and_the_jobs_are_not(cluster: Head) -> None:
    rayjob = yaml.safe_load((ROOT / "jobs" / "k8s" / "rayjob.yaml").read_text())
    probe = rayjob["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.agent}{probe['path']}", timeout=10) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{cluster.address}/api/jobs/", timeout=10)
