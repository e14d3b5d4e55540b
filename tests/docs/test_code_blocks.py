"""Every block of code on the pages is of a known language; Python blocks compile, import what exists, and run."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from docs.hooks.tutorial import TUTORIAL
from microbench_ray.cli.keys import JOBS
from tests.helpers.doc_pages import FENCE, PAGES, ROOT, blocks, by_page, name_of, shell_lines

LANGUAGES = {"sh", "python", "text", "toml", "yaml", ""}
PROGRAMS = {"microbench", "python", "pytest", "mkdocs", "pip", "bash", "export", "lm_eval", "docker", "kubectl", "ray", "systemctl"}
"""What a line of a shell block may start with, after `uv run` and variables."""
ONE_STORY = (TUTORIAL, ROOT / "docs/how-to/package.md")
"""Pages whose blocks go on from each other: the site's build and tests/docs/test_own_methods.py run them."""
WITH_PYTHON = [page for page in PAGES if blocks(page.read_text(encoding="utf-8"), "python") and page not in ONE_STORY]


def program_of(words: list[str]) -> str:
    """The program that a line of a shell block runs."""
    rest = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)]
    return rest[2] if rest[:2] == ["uv", "run"] else rest[0]


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@by_page
def test_blocks_have_a_known_language(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```") == 2 * len(FENCE.findall(text))
    assert {language for language, _ in FENCE.findall(text)} <= LANGUAGES


@by_page
def test_lines_of_shell_blocks_run_known_programs_and_jobs(page: Path) -> None:
    """Commands of this project are composed by tests/docs/test_paths.py; a line that is none is not overlooked."""
    for words in shell_lines(page.read_text(encoding="utf-8")):
        assert program_of(words) in PROGRAMS, words
        if program_of(words) == "microbench":
            assert words[words.index("microbench") + 1] in JOBS, words


@by_page
def test_python_blocks_compile_and_import_what_exists(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    import_module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                module = import_module(node.module or "")
                for alias in node.names:
                    found = hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}") is not None
                    assert found, (node.module, alias.name)


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block by itself, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        exec(compile(block, str(page), "exec"), {"__name__": "page"})  # noqa: S102
    printing = "print(" in page.read_text(encoding="utf-8")
    assert bool(capsys.readouterr().out) == printing


def test_pages_with_python_are_found() -> None:
    assert {name_of(page) for page in WITH_PYTHON} >= {"README.md", "docs/reference/api.md"}
