"""The lists of docs/reference/public.md are those of the code."""

from __future__ import annotations

import re
import tomllib
from types import SimpleNamespace
from typing import Any

import pytest

import microbench_ray as mb
from docs.hooks.generated import MARKER, api_names
from microbench_ray.audit.audited_mdad import AuditedMdad, Subject
from microbench_ray.audit.verdict import FINDING_KEYS, BenchmarkShape, build_verdict
from microbench_ray.cli import main as command_line
from microbench_ray.cli.keys import JOBS
from microbench_ray.core import deprecation
from microbench_ray.core.schemas import SCHEMAS
from tests.helpers.doc_pages import ROOT

PAGE = (ROOT / "docs/reference/public.md").read_text(encoding="utf-8")
INTERNAL_TABLES = {"snapshot_models", "snapshot_items"}


def listed(name: str) -> list[str]:
    """The names in code of one list of the page."""
    (part,) = re.findall(rf"<!-- list: {name} -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    return re.findall(r"`([^`]+)`", part)


def test_python_names() -> None:
    names = [name.removeprefix("mb.") for name in listed("api")]
    assert sorted(names) == sorted(mb.__all__)
    assert all(hasattr(mb, name) for name in [*names, "__version__"])


def test_every_python_name_is_on_the_page_of_the_api() -> None:
    names = api_names((ROOT / "docs/reference/api.md").read_text(encoding="utf-8"))
    assert sorted(name for name in names if "." not in name) == sorted(mb.__all__)
    for kernel in ("fasterpam", "irt", "dpp"):
        module = __import__(f"microbench_ray.methods.{kernel}", fromlist=["__all__"])
        assert {name.split(".")[-1] for name in names if f".{kernel}." in name} == set(module.__all__)


def test_jobs() -> None:
    assert listed("jobs") == sorted(JOBS)


def test_exit_codes() -> None:
    names = ("DONE", "BAD_INPUT", "SOME_FAILED", "VIOLATED", "UNDECIDED", "INTERRUPTED")
    codes = [getattr(command_line, name) for name in names]
    assert listed("exit codes") == [str(code) for code in codes]
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == listed("exit codes")


def test_tables() -> None:
    assert listed("tables") == sorted(set(SCHEMAS) - INTERNAL_TABLES)
    page = (ROOT / "docs/reference/tables.md").read_text(encoding="utf-8")
    assert sorted(marker["what"] for marker in MARKER.finditer(page) if marker["kind"] == "table") == sorted(SCHEMAS)


def test_verdict() -> None:
    subject = Subject(label="tiny", size=10, mdad=AuditedMdad(0.03, 0.02, 0.04), target_difference=0.02, items_needed=20)
    baseline: Any = SimpleNamespace(night="1", digest="d")
    verdict = build_verdict(
        night="2",
        benchmark=BenchmarkShape("b", 3, 4),
        rows=SCHEMAS["history"].empty_table(),
        subjects=[subject],
        changes={},
        baseline=baseline,
        inputs={"benchmark": "d"},
        failed_cells=0,
    )
    assert listed("verdict") == list(verdict)
    assert listed("subjects") == list(verdict["subjects"][0])
    assert listed("findings") == list(FINDING_KEYS)


def test_deprecated_names() -> None:
    rows = [("Python", old, f"mb.{new}") for old, new in deprecation.RENAMED_API.items()]
    for job, names in deprecation.RENAMED_KEYS.items():
        rows += [(f"keys of `{job}`", old, new) for old, new in names.items()]
    rows += [("`grid.subtasks`", old, new) for old, new in deprecation.RENAMED_SUBTASKS.items()]
    (table,) = re.findall(r"<!-- list: deprecated -->\n(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert table.splitlines()[2:] == [f"| {where} | `{old}` | `{new}` |" for where, old, new in rows]
    assert f"Deprecated in {deprecation.SINCE}, removed in {deprecation.REMOVED_IN}." in PAGE


def test_deprecated_names_are_removed_in_time() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    minor = [int(part) for part in version.split(".")[:2]]
    assert minor < [int(part) for part in deprecation.REMOVED_IN.split(".")], (
        "remove core/deprecation.py's names, or name a later release"
    )


@pytest.mark.parametrize("new", deprecation.RENAMED_API.values())
def test_deprecated_python_names_have_public_successors(new: str) -> None:
    assert new in mb.__all__
