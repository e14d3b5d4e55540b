"""Contents of the source distribution."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INCLUDED = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
LINKED = sorted(set(re.findall(r"\]\(((?:docs|jobs|conf)/[^)#]+)", (ROOT / "README.md").read_text())))


@pytest.mark.parametrize("name", [*LINKED, "jobs/systemd", "jobs/k8s", "conf", "Dockerfile", "requirements.txt"])
def test_files_linked_from_the_readme_are_in_the_source_distribution(name: str) -> None:
    assert (ROOT / name).exists()
    assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in INCLUDED)


def test_the_name_of_the_package_is_a_command_too() -> None:
    scripts = PROJECT["project"]["scripts"]
    assert scripts[PROJECT["project"]["name"]] == scripts["microbench"]
