"""The Dockerfile: linted, pinned, and every file that it or a manifest names exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOME = PurePosixPath("/home/bench")


def instructions(name: str) -> list[str]:
    """Arguments of an instruction, with continued lines joined."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.replace("\\\n", " "), re.MULTILINE)


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Pinned version and number of hashes, by package."""
    pinned: dict[str, tuple[str, int]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text().strip()):
        requirement = Requirement(block.split("\\")[0].split("--hash")[0].strip())
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", block
        pinned[canonicalize_name(requirement.name)] = (specifier.version, block.count("--hash=sha256:"))
    return pinned


def test_the_linter_reports_nothing_and_no_rule_is_ignored() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, "--no-color", str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "hadolint ignore" not in DOCKERFILE
    assert not list(ROOT.glob(".hadolint*"))


def test_the_base_image_pins_python_and_debian() -> None:
    bases = [base.split(" ")[0] for base in instructions("FROM")]
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", bases[0])


def test_copied_files_exist_and_are_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert ignore[0] == "*"
    copied = [part for line in instructions("COPY") if not line.startswith("--from") for part in line.split()[:-1]]
    for part in copied:
        assert (ROOT / part).exists(), part
        assert f"!{part}" in ignore, part
    assert {each[1:] for each in ignore if each.startswith("!")} == set(copied)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_everything_installed_is_pinned_with_hashes(name: str) -> None:
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    run = project["dependencies"] + [each for name in ("cli", "ray", "report", "hub") for each in extras[name]]
    required = run if name == "requirements.txt" else PROJECT["build-system"]["requires"]
    pinned = pins(name)
    assert "inspect-ai" not in pinned
    for text in required:
        requirement = Requirement(text)
        version, _ = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), (text, version)
    assert all(hashes for _, hashes in pinned.values())
    assert "//" not in (ROOT / name).read_text(), "packages must come from the index, not from a URL"
    assert f"--require-hashes -r {'/tmp/' if name == 'requirements.txt' else ''}{name}" in DOCKERFILE


def test_only_the_project_wheel_is_installed_without_hashes() -> None:
    for line in re.findall(r"pip (?:install|wheel) [^&]*", " ".join(instructions("RUN"))):
        assert "--require-hashes" in line or "--no-index --no-deps" in line or {"--no-index", "--no-deps"} <= set(line.split()), (
            line
        )


def test_it_runs_unprivileged_and_needs_no_writable_root() -> None:
    assert instructions("USER") == ["1000"]
    assert "--uid 1000" in DOCKERFILE
    environment = " ".join(instructions("ENV"))
    assert "NUMBA_CACHE_DIR=/tmp/" in environment
    assert "MPLCONFIGDIR=/tmp/" in environment
    assert "HF_HOME=/tmp/" in environment
    assert "TOKEN=" not in environment


def test_the_scripts_named_in_manifests_are_in_the_image() -> None:
    assert "jobs jobs" in instructions("COPY")
    assert str(HOME) in instructions("WORKDIR")
    for path in sorted((ROOT / "jobs" / "k8s").glob("*.yaml")):
        for script in re.findall(rf"{HOME}/(\S+\.py)", path.read_text()):
            assert (ROOT / script).exists(), script
    cronjob = next(each for each in yaml.safe_load_all((ROOT / "jobs/k8s/cronjob.yaml").read_text()) if each["kind"] == "CronJob")
    command = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert (command[0], PurePosixPath(command[1]).relative_to(HOME)) == ("python", PurePosixPath("jobs/nightly.py"))


def test_a_login_shell_finds_what_pip_installs() -> None:
    """KubeRay may start Ray in a login shell, which resets PATH, so nothing may depend on a PATH set by the image."""
    assert not any("PATH=" in line.replace("PYTHONPATH", "") for line in instructions("ENV"))
    assert "venv" not in DOCKERFILE
