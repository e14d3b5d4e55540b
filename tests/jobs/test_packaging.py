"""Contents of the source distribution, and the version, which is the same wherever it is written."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import microbench_ray as mb

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
VERSION = PYPROJECT["project"]["version"]
INCLUDED = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
LINKED = sorted({link for link in re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text()) if not link.startswith("http")})


@pytest.mark.parametrize(
    "name", [*LINKED, "jobs/systemd", "jobs/k8s", "conf", "Dockerfile", "requirements.txt", "mkdocs.yml", "CITATION.cff"]
)
def test_files_linked_from_the_readme_are_in_the_source_distribution(name: str) -> None:
    assert (ROOT / name).exists()
    assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in INCLUDED)


def test_the_name_of_the_package_is_a_command_too() -> None:
    scripts = PYPROJECT["project"]["scripts"]
    assert scripts[PYPROJECT["project"]["name"]] == scripts["microbench"]


def test_the_package_tells_its_version() -> None:
    assert mb.__version__ == version("microbench-ray")
    assert "__version__" in dir(mb)


def test_the_version_is_the_last_one_of_the_changelog() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    number, date = headings[1].split(" - ")
    assert number == VERSION
    assert date == datetime.fromisoformat(date).date().isoformat()


def test_the_citation_names_the_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    paper = citation["preferred-citation"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"[{paper['title']}]({paper['url']})" in readme
    assert all(author["family-names"] in readme for author in paper["authors"])


def test_manifests_and_pages_name_the_image_by_the_version() -> None:
    pages = [*(ROOT / "jobs/k8s").glob("*.yaml"), ROOT / "docs/how-to/cluster.md"]
    tags = [tag for page in pages for tag in re.findall(r"/microbench-ray:([\w.]+)", page.read_text(encoding="utf-8"))]
    assert len(tags) > 4
    assert set(tags) == {VERSION}


def test_the_declared_pythons_are_those_that_ci_tries() -> None:
    declared = {name.rsplit(" ", 1)[1] for name in PYPROJECT["project"]["classifiers"] if "Python :: 3." in name}
    (others,) = re.findall(r"for version in ([\d. ]+); do", (ROOT / ".ci/run").read_text(encoding="utf-8"))
    assert declared == {"3.11", *others.split()}
