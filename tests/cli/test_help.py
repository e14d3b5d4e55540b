"""`microbench JOB --help`: every key of the job with its default and a text, and an example that runs as printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from microbench_ray.cli.conf_files import ConfFile, Key, Part, choices, chosen, read_conf
from microbench_ray.cli.help import job_keys, page
from microbench_ray.cli.keys import JOBS
from microbench_ray.cli.main import BAD_INPUT, DONE, main
from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.presets import CONF
from tests.helpers.errors import refuses

ROOT = Path(__file__).parents[2]
ENTRY = "from microbench_ray.cli.main import entry_point; entry_point()"
GROUPS = ("benchmark", "grid", "targets", "engine")
SLOW = ("sweep", "reduce", "audit", "accept", "submit")
FILE = """\
# @package _global_
# What it does,
# in two lines.
#
# Example
#   first line
#   second line

defaults:
  # The board.
  - benchmark: synthetic
  - included
  - override /engine: cluster
  - _self_
  - experiment: null

# A number.
size: ???
bare: 1
# Two
# lines.
names:
  - a
  # Of b, not of a key.
  - b
# A mapping.
nested:
  # Of its first key.
  first: {x: 1}
  second: null
"""


def keys_in(content: Any, prefix: str = "") -> dict[str, Any]:
    """The paths and values that YAML gives, block mappings with keys flattened."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        found[prefix + key] = value
        if isinstance(value, dict):
            found |= keys_in(value, f"{prefix}{key}.")
    return found


def test_a_file_is_read_with_its_comments(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(FILE)
    assert read_conf("job", [tmp_path]) == ConfFile(
        about="What it does, in two lines.",
        example_title="Example",
        example=["first line", "second line"],
        parts=[
            Part("benchmark", "synthetic", "The board."),
            Part(None, "included", ""),
            Part("engine", "cluster", ""),
            Part("experiment", None, ""),
        ],
        keys=[
            Key("size", "???", "A number."),
            Key("bare", "1", ""),
            Key("names", "[a, b]", "Two lines."),
            Key("nested", None, "A mapping."),
            Key("nested.first", "{x: 1}", "Of its first key."),
            Key("nested.second", "null", ""),
        ],
    )


def test_the_comment_at_the_top_belongs_to_no_key(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("# About the file.\nkey: 1\n")
    conf = read_conf("job", [tmp_path])
    assert (conf.about, conf.keys) == ("About the file.", [Key("key", "1", "")])


def test_a_file_takes_texts_from_the_one_that_it_starts_from(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "base.yaml").write_text("# Base.\n\n# A.\na: 1\n# B.\nb: 2\n")
    (tmp_path / "g" / "other.yaml").write_text("# Other.\n\ndefaults: [base]\nb: 3\n")
    assert chosen("g", "other", [tmp_path]) == ("Other.", [Key("a", "1", "A."), Key("b", "3", "B.")])


@pytest.mark.parametrize("text", ["a: [1", "- a", ""])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with refuses(ConfigError, "configuration file", where="job.yaml"):
        read_conf("job", [tmp_path])


@pytest.mark.parametrize("job", JOBS)
def test_every_key_of_a_job_has_a_text(job: str) -> None:
    content = job_keys(job)
    assert content.conf.about
    assert content.conf.example
    described = {key.path for key in content.keys if key.about}
    for key in content.keys:
        assert key.about or key.path.rpartition(".")[0] in described, key.path
    assert all(group.about for group in content.groups)


@pytest.mark.parametrize("choice", [f"{group}/{name}" for group in GROUPS for name in choices(group)])
def test_every_key_of_a_choice_has_a_text(choice: str) -> None:
    group, name = choice.split("/")
    about, keys = chosen(group, name)
    assert about
    assert all(key.about for key in keys if not key.path.startswith("resources."))


@pytest.mark.parametrize("job", JOBS)
def test_the_keys_and_defaults_are_those_of_the_configuration(job: str) -> None:
    content = job_keys(job)
    own = {key.path: key.default for key in content.keys}
    given = yaml.safe_load((CONF / f"{job}.yaml").read_text())
    given.pop("defaults", None)
    for path, value in keys_in(given).items():
        if path in own and own[path] is not None:
            assert yaml.safe_load(str(own[path])) == value, path
        else:
            assert isinstance(value, dict) or path.rpartition(".")[0] in own, path


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("width", [60, 100])
def test_a_page_shows_the_keys_within_the_width(job: str, width: int) -> None:
    shown = page(job, width=width)
    content = job_keys(job)
    for line in set(shown.splitlines()) - {f"  {each}" for each in content.conf.example}:
        assert len(line) <= width or " " not in line.strip(), line
    for key in content.keys:
        assert f"{key.path}=" in shown or f"{key.path}.…" in shown or f" {key.path.rpartition('.')[2]}=" in shown
    for group in content.groups:
        assert f"\n{group.name}=" in shown


def test_another_choice_has_its_own_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "benchmark=ingested", "--help"]) == DONE
    shown = capsys.readouterr().out
    assert "benchmark.min_answered=0.5" in shown
    assert "benchmark.n_models" not in shown
    assert main(["plan", "benchmark=ingestd", "-h"]) == BAD_INPUT
    assert "did you mean ingested?" in capsys.readouterr().err


def test_a_choice_in_the_users_folder_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "mine.yaml").write_text("# My board.\n\ndefaults: [scores]\npath: /data/mine.parquet\n")
    folder = f"--config-dir={tmp_path}"
    assert main(["plan", "benchmark=mine", folder, "--help"]) == DONE
    shown = capsys.readouterr().out
    for text in ("mine       My board", "benchmark.path=/data/mine.parquet", "benchmark.max_missing=0.1"):
        assert text in shown


@pytest.mark.parametrize(
    ("arguments", "word"), [(["swep", "--help"], "sweep"), (["plan", "--config-dir=/no/such", "-h"], "/no/such")]
)
def test_help_for_something_unknown_is_refused(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == BAD_INPUT
    assert word in capsys.readouterr().err


def test_help_imports_no_hydra(tmp_path: Path) -> None:
    program = (
        "from microbench_ray.cli.main import main; main(['sweep', '--help']); import json, sys; print(json.dumps([*sys.modules]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert not {"hydra", "omegaconf", "numpy", "pyarrow", "ray", "rich"} & set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("job", [pytest.param(job, marks=pytest.mark.slow) if job in SLOW else job for job in JOBS])
def test_the_example_runs_as_printed(job: str, tmp_path: Path) -> None:
    """In an empty folder, by bash, with the commands of this checkout."""
    example = read_conf(job).example
    assert f"microbench {job} " in example[-1]
    assert set(example) <= {line.strip() for line in page(job).splitlines()}
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "microbench"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c "{ENTRY}" "$@"\n')
    command.chmod(0o755)
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        ["bash", "-e", "-c", "\n".join(example)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=empty,
        env=environment,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "hint:" not in run.stderr
