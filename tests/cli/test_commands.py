"""Every job runs as a command on a small benchmark; results go to stdout and messages to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.keys import JOBS
from microbench_ray.cli.main import BAD_INPUT, DONE, RUN, USAGE, main
from microbench_ray.core.log import LEVELS
from tests.helpers.small_sweep import N_MODELS, command

NO_CHARTS = ("figures=false", "report=false")


class Printed(NamedTuple):
    """What a command printed."""

    out: str
    err: str


Run = Callable[..., Printed]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty folder and return what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = DONE) -> Printed:
        assert main(list(arguments)) == code
        return Printed(*capsys.readouterr())

    return run


def write_new_model(path: Path) -> Path:
    """The responses of one new model to all items of the small board."""
    path.write_text("item_id,new\n" + "".join(f"i{k},{k % 2}\n" for k in range(120)))
    return path


def test_every_job_runs(board: Path, tmp_path: Path, run: Run) -> None:
    sweep = command(board, Path("sweep"), "grid.n_source=[10]", "grid.sizes=[5]", "methods=[random]", runs=2)
    lists = tmp_path / "tiny.txt"
    lists.write_text("".join(f"i{k}\n" for k in range(0, 120, 4)))
    audit = ["lists={tiny: tiny.txt}", "drift.n_resamples=200", "n_resamples=100", "out=audit", *NO_CHARTS]
    new_model = write_new_model(tmp_path / "new.csv")
    commands: dict[str, list[str]] = {
        "sweep": [*sweep[1:], *NO_CHARTS],
        "reduce": ["out=sweep", "thresholds=[.7]", "n_resamples=100", *NO_CHARTS],
        "submit": ["--cfg"],  # tests/sweeps/test_submission.py submits to a cluster
        "ingest": ["source=scores", f"path={board}", "out=board"],
        "plan": ["benchmark=ingested", "benchmark.path=board", "differences=[.1]"],
        "export": ["benchmark=ingested", "benchmark.path=board", "method=random", "size=20", "folds=2", "out=micro"],
        "score": ["micro=micro", f"responses={new_model}"],
        "compare": ["m00", "m01", f"board={board}"],
        "next": ["m00", "m01", f"board={board}", "micro=micro", "state=test.json", "question=equivalent", "margin=0.9"],
        "audit": ["benchmark.path=board", "night=2026-01-01", *audit],
        "accept": ["out=audit", "what=[baseline]"],
        "methods": ["format=csv"],
    }
    assert set(commands) == set(JOBS) == set(RUN)
    results = {job: run(job, *arguments).out for job, arguments in commands.items()}
    files = {
        "sweep": "sweep/mdad.parquet",
        "ingest": "board/ingest.json",
        "export": "micro/microbench.json",
        "audit": "audit/nights/2026-01-01/verdict.json",
    }
    for job, file in files.items():
        assert (tmp_path / file).is_file(), (job, sorted(map(str, tmp_path.rglob("*"))))
    assert "new" in results["score"]
    assert "sweep/agreement.parquet" in results["reduce"]
    assert "submit:" in results["submit"]
    assert f"{N_MODELS} models" in results["plan"]


def test_help_names_every_job_and_level() -> None:
    first_words = {line.split()[0] for line in USAGE.splitlines() if line.startswith("  ")}
    assert set(JOBS) <= first_words
    assert all(level in USAGE for level in LEVELS)


def test_results_go_to_stdout_and_messages_to_stderr(board: Path, run: Run) -> None:
    arguments = command(board, Path("out"), "grid.n_source=[10]", "methods=[random]", runs=2)
    printed = run(*arguments)
    assert "out/agreement.parquet" in printed.out
    assert "MDAD at agreement 0.8" in printed.out
    assert "cells computed" in printed.err
    assert "cells" not in printed.out
    quiet = run(*arguments, "-q")
    assert quiet.err == ""
    assert quiet.out == printed.out


@pytest.mark.parametrize("arguments", [["-v"], ["log_level=debug"], ["-q", "log_level=debug"]])
def test_debug_messages_show_their_level_and_logger(arguments: list[str], board: Path, run: Run) -> None:
    printed = run(*command(board, Path("out"), "grid.n_source=[10]", "methods=[random]", runs=2), *arguments)
    lines = [line for line in printed.err.splitlines() if "cells computed" in line]
    assert [line.split(": ")[:2] for line in lines] == [["info", "cli.main"]]
    assert "cli.main" not in printed.out


def test_an_error_of_a_quiet_command_is_shown(run: Run) -> None:
    printed = run("sweep", "seed=-1", "-q", code=BAD_INPUT)
    assert "seed" in printed.err
    assert printed.out == ""


def test_an_unknown_log_level_is_refused(run: Run) -> None:
    printed = run("sweep", "log_level=loud", "plan_only=true", code=BAD_INPUT)
    for word in ("log_level", "loud", *LEVELS):
        assert word in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("verbosity", [[], ["-v"], ["-q"]])
def test_a_plan_as_json_is_all_of_stdout(verbosity: list[str], board: Path, run: Run) -> None:
    printed = run("plan", "benchmark=scores", f"benchmark.path={board}", "format=json", "differences=[.1]", *verbosity)
    assert json.loads(printed.out)["n_models"] == N_MODELS


@pytest.mark.parametrize(("level", "passed_on"), [("info", False), ("debug", True)])
def test_a_submitted_job_has_the_log_level(level: str, passed_on: bool) -> None:
    job = Composer("submit", ["out=/shared/out"], log_level=level).submit()
    assert ("log_level=debug" in job.arguments) == passed_on
