"""The completion scripts: bash runs its own; the others hold the same words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from microbench_ray.cli.completion import completion, job_words
from microbench_ray.cli.conf_files import choices
from microbench_ray.cli.keys import JOBS
from microbench_ray.cli.main import BAD_INPUT, DONE, main
from microbench_ray.core.table_formats import FORMATS

ASK = """
source "$1"
COMP_LINE="$2" COMP_POINT=${#2}
[ -n "$3" ] && COMP_WORDBREAKS="$3"
_microbench
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "microbench.bash"
    path.write_text(completion("bash"))
    return path


def completed(script: Path, line: str, *, breaks: str = "", cwd: Path | None = None) -> list[str]:
    """What bash offers at the end of a line."""
    run = subprocess.run(
        ["bash", "-c", ASK, "bash", str(script), line, breaks], capture_output=True, text=True, timeout=60, cwd=cwd, check=True
    )
    assert not run.stderr
    return [each for each in run.stdout.splitlines() if each]


def test_jobs_are_completed(script: Path) -> None:
    assert set(completed(script, "microbench ")) >= {*JOBS, "--help"}
    assert completed(script, "microbench sw") == ["sweep"]
    assert completed(script, "microbench sweep") == ["sweep"]
    assert completed(script, "microbench --vers") == ["--version"]


def test_keys_of_the_job_are_completed(script: Path) -> None:
    assert completed(script, "microbench sweep tie_pol", breaks=" ") == sorted(
        ["tie_policy=", *(f"tie_policy={each}" for each in ("wrong", "half", "drop", "paper"))]
    )
    assert completed(script, "microbench ingest tie_pol") == []
    assert "benchmark.min_answered=" in completed(script, "microbench -q plan benchmark.", breaks=" ")
    assert "submit.follow=true" in completed(script, "microbench submit submit.f", breaks=" ")


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("microbench score format=", FORMATS),
        ("microbench sweep benchmark=", choices("benchmark")),
        ("microbench sweep seed=1 experiment=", choices("experiment")),
        ("microbench export method=", choices("method")),
        ("microbench sweep engine=", ("auto", "cluster", "local", "serial")),
        ("microbench sweep figures=", ("true", "false")),
    ],
)
def test_values_are_completed_without_the_key_where_bash_splits_at_equals_signs(
    script: Path, line: str, values: tuple[str, ...]
) -> None:
    assert sorted(each for each in completed(script, line) if each) == sorted(values)


def test_entries_of_a_list_are_completed(script: Path) -> None:
    assert completed(script, "microbench sweep methods=[disc") == ["[disco"]
    assert completed(script, "microbench sweep methods=[random,disc") == ["[random,disco"]
    assert completed(script, "microbench sweep methods=[random,auto,mid") == ["[random,auto,mid_range"]


def test_paths_are_completed(script: Path, tmp_path: Path) -> None:
    (tmp_path / "my board.csv").touch()
    (tmp_path / "other").mkdir()
    assert completed(script, "microbench score micro=oth", cwd=tmp_path) == ["other"]
    assert completed(script, "microbench score responses=my", cwd=tmp_path) == ["my board.csv"]


def test_shells_are_completed(script: Path) -> None:
    assert completed(script, "microbench --completion ") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_the_same_words(shell: str, tmp_path: Path) -> None:
    shown = completion(shell)
    for job in JOBS:
        assert " ".join(job_words(job)) in shown
    assert "microbench-ray" in shown
    if shutil.which(shell):
        (tmp_path / "script").write_text(shown)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=60)


def test_a_script_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", "bash"]) == DONE
    assert capsys.readouterr().out.endswith(f"complete -F _microbench microbench microbench-ray{os.linesep}")
    assert main(["--completion", "tcsh"]) == BAD_INPUT
    assert "valid: bash, fish, zsh" in capsys.readouterr().err
