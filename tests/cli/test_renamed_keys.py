"""Keys under their old names are accepted with one warning that names the new key; both names together are refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.core.deprecation import RENAMED_KEYS
from microbench_ray.core.errors import ConfigError
from tests.helpers.errors import refuses


def composed(job: str, *arguments: str, config_dir: Path | None = None) -> Any:
    composer = Composer(job, arguments, config_dir)
    return composer.compose(composer.overrides)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_every_new_key_exists() -> None:
    for job, keys in RENAMED_KEYS.items():
        content = composed(job)
        for old, new in keys.items():
            assert new in content
            assert old not in content


CASES = [
    ("audit", "wanted=0.03", "target_difference", 0.03),
    ("audit", "+wanted=0.03", "target_difference", 0.03),
    ("audit", "++wanted=0.03", "target_difference", 0.03),
    ("audit", "limits={tiny: 0.03}", "max_mdad", {"tiny": 0.03}),
    ("audit", "limits.tiny=0.03", "max_mdad", {"tiny": 0.03}),
    ("audit", "+limits.tiny=0.03", "max_mdad", {"tiny": 0.03}),
    ("sweep", "also_targets=[best]", "extra_targets", ["best"]),
    ("sweep", "+also_targets=[best]", "extra_targets", ["best"]),
    ("submit", "also_targets=[best]", "extra_targets", ["best"]),
]


@pytest.mark.parametrize(("job", "argument", "new", "value"), CASES)
def test_an_old_key_on_the_command_line_sets_the_new_one(
    job: str, argument: str, new: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    content = composed(job, argument)
    assert content[new] == value
    (warning,) = warnings(caplog)
    assert new in warning


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder with an old experiment of each kind."""
    (tmp_path / "experiment").mkdir()
    head = "# @package _global_\n"
    (tmp_path / "experiment" / "targets.yaml").write_text(head + "also_targets: [best]\n")
    (tmp_path / "experiment" / "limits.yaml").write_text(head + "wanted: 0.03\nlimits: {tiny: 0.03, other: 0.05}\n")
    (tmp_path / "experiment" / "both.yaml").write_text(head + "wanted: 0.03\ntarget_difference: 0.04\n")
    return tmp_path


def test_an_old_key_in_a_file_sets_the_new_one(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    composer = Composer("sweep", ["experiment=targets", "benchmark=[synthetic]"], own)
    conf, job = composer.sweep()
    assert [group.label for group in conf.extra_targets] == ["best"]
    assert [group.label for group in job.extra_targets] == ["best"]
    assert job.config["extra_targets"] == ["best"]
    assert len(warnings(caplog)) == 1
    content = composed("audit", "experiment=limits", config_dir=own)
    assert (content.target_difference, content.max_mdad) == (0.03, {"tiny": 0.03, "other": 0.05})


def test_the_command_line_overrides_an_old_key_in_a_file(own: Path) -> None:
    arguments = ("experiment=limits", "target_difference=0.01", "max_mdad.tiny=0.02")
    content = composed("audit", *arguments, config_dir=own)
    assert (content.target_difference, content.max_mdad) == (0.01, {"tiny": 0.02, "other": 0.05})
    assert composed("sweep", "experiment=targets", "also_targets=[]", config_dir=own).extra_targets == []


def test_both_names_of_a_key_are_refused(own: Path) -> None:
    with refuses(ConfigError, "wanted", where="target_difference"):
        composed("audit", "wanted=0.02", "target_difference=0.03")
    with refuses(ConfigError, "limits", where="max_mdad"):
        composed("audit", "max_mdad.a=0.02", "limits.b=0.03")
    with refuses(ConfigError, "wanted", where="target_difference"):
        composed("audit", "experiment=both", config_dir=own)


def test_the_warning_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "also_targets=[best]", "--cfg"]) == 0
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert "also_targets" in line
    assert "extra_targets" in line
    assert "also_targets" not in printed.out
