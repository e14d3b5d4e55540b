"""Paths, modules, commands and configuration keys that the pages name exist."""

from __future__ import annotations

import logging
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from omegaconf import OmegaConf

import microbench_ray
from docs.hooks.generated import with_generated
from microbench_ray.cli.compose import Composer
from microbench_ray.cli.keys import JOBS, schema_of
from microbench_ray.core.log import LEVELS
from microbench_ray.ingest.plugins import GROUP
from tests.helpers.doc_pages import FENCE, PAGES, ROOT, blocks, by_page, command_lines, jobs_of, name_of, spans
from tests.helpers.rotation import share, share_or_all

PACKAGE = ROOT / "microbench_ray"
SCRIPTS = [*sorted((ROOT / "studies").glob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))]
SETTINGS = sorted(
    path for folder in ("conf", "jobs") for path in (ROOT / folder).rglob("*") if path.suffix in (".yaml", ".service")
)
FORMER = {"microbench_ray/kubernetes.py"}
"""Paths that docs/decisions.md names as former ones."""


COMMANDS = [(name_of(page), job, arguments) for page in PAGES for job, arguments in jobs_of(page.read_text(encoding="utf-8"))]


def test_commands_are_found_on_the_pages() -> None:
    assert len(COMMANDS) > 60
    assert {job for _, job, _ in COMMANDS} >= {"sweep", "reduce", "submit", "plan", "ingest", "export", "score", "audit", "accept"}
    assert ("docs/how-to/table.md", "sweep", ["grid.subtasks=separate"]) in COMMANDS


@pytest.mark.slow
@pytest.mark.parametrize("one_in", share_or_all(3))
@pytest.mark.parametrize("page", sorted({page for page, _, _ in COMMANDS}))
def test_commands_compose(page: str, one_in: int, caplog: pytest.LogCaptureFixture) -> None:
    """A deprecated key would be logged as a warning. Methods that the package of a page registers are not installed here."""
    text = (ROOT / page).read_text(encoding="utf-8")
    registered = {name for block in blocks(text, "toml") for name in re.findall(r'^(\w+) = "[\w.]+:\w+"$', block, re.MULTILINE)}
    caplog.set_level(logging.WARNING, logger="microbench_ray")
    for job, arguments in share([(job, arguments) for where, job, arguments in COMMANDS if where == page], one_in):
        composer = Composer(job, arguments)
        composed = composer.compose(composer.overrides)
        OmegaConf.merge(OmegaConf.structured(schema_of(job)), composed)  # raises for a key or type that the job does not know
        for method in composed.get("methods") or []:
            if isinstance(method, str) and method.islower() and method not in registered:
                composer.method(method)
        assert caplog.messages == [], (job, arguments)


@cache
def known_keys() -> frozenset[str]:
    """All configuration keys of all jobs, dotted, and each of their last parts."""
    keys = {"experiment", "log_level", "method"}  # groups and options that no composed configuration holds

    def collect(content: Any, prefix: str = "") -> None:
        if isinstance(content, dict):
            for name, value in content.items():
                keys.update((f"{prefix}{name}", str(name)))
                collect(value, f"{prefix}{name}.")

    for job in JOBS:
        collect(OmegaConf.to_container(OmegaConf.structured(schema_of(job))))
        collect(OmegaConf.to_container(Composer(job, []).compose([])))
    return frozenset(keys)


def test_keys_of_commands_exist() -> None:
    keys = {re.split(r"[=.]", argument.lstrip("+"))[0] for _, _, arguments in COMMANDS for argument in arguments}
    assert keys - known_keys() == set()
    assert keys >= {"benchmark", "methods", "grid", "out"}


@by_page
def test_keys_in_inline_code_exist(page: Path) -> None:
    keys = [match[1] for span in spans(page.read_text(encoding="utf-8")) if (match := re.match(r"([a-z_]+(?:\.[a-z_]+)*)=", span))]
    assert [key for key in keys if key not in known_keys()] == []


def test_log_levels_are_those_of_the_command_line() -> None:
    (levels,) = re.findall(r"log_level=([a-z|]+\|[a-z|]+)", (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8"))
    assert tuple(levels.split("|")) == LEVELS


@by_page
def test_named_files_exist(page: Path) -> None:
    """A path is relative to the checkout or to `microbench_ray/`; a bare `name.py` is any module of the package."""
    named = [
        path
        for span in [
            *spans(page.read_text(encoding="utf-8")),
            *(word for words in command_lines(page.read_text()) for word in words),
        ]
        for path in re.findall(
            r"(?<![\w/.:-])((?:[\w.-]+/)*[\w.-]+\.py|(?:jobs|conf|docs|tests|studies|benchmarks)/[\w./-]*)", span
        )
    ]
    missing = [
        path
        for path in named
        if path not in FORMER
        and not (ROOT / path).exists()
        and not (PACKAGE / path).exists()
        and ("/" in path or not list(PACKAGE.rglob(path)))
    ]
    assert [path for path in missing if path not in ("make_leaderboard.py", "jobs/JOB.py")] == []


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", with_generated(linked.read_text(encoding="utf-8"))), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@by_page
def test_named_modules_and_library_functions_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bmicrobench_ray(?:\.[a-z_]\w*)+", text)) - {GROUP}:
        assert resolve_name(name) is not None
    functions = set(re.findall(r"\bmb\.([a-zA-Z]\w*)", text))
    assert functions <= set(microbench_ray.__all__), functions - set(microbench_ray.__all__)


@pytest.mark.parametrize("path", [*PAGES, *SCRIPTS, *SETTINGS], ids=lambda path: str(path.relative_to(ROOT)))
def test_python_m_targets_exist_and_know_their_options(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").replace("# ", " ").split())
    for module, arguments in re.findall(r"python -m ((?:studies|benchmarks)\.(?!NAME)\w+)((?: [\w\[\]./,*{}=…-]+)*)", text):
        spec = find_spec(module)
        assert spec is not None, module
        assert spec.origin is not None, module
        source = Path(spec.origin).read_text(encoding="utf-8")
        for option in re.findall(r"--([a-z]+)", arguments.split("python -m")[0]):
            assert option in source, (module, option)


@by_page
def test_pytest_commands_select_existing_tests(page: Path) -> None:
    for words in command_lines(page.read_text(encoding="utf-8")):
        if "pytest" not in words:
            continue
        rest = words[words.index("pytest") + 1 :]
        for folder in [word for word in rest if "/" in word or word == "benchmarks"]:
            assert (ROOT / folder).exists(), folder
        if "-k" in rest:
            (folder, word) = rest[0], rest[rest.index("-k") + 1]
            tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / folder).rglob("test_*.py"))
            assert re.search(rf"def test_\w*{word}", tests), word
