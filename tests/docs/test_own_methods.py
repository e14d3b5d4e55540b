"""The page on methods of one's own: its class passes the checks, and its entry point is of the group that is looked up."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from microbench_ray import testing
from microbench_ray.methods.plugins import GROUP

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "package.md").read_text(encoding="utf-8")


def blocks(language: str) -> str:
    return "\n".join(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL))


def test_its_class_passes_the_checks_by_its_own_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page_of_own_methods.py").write_text(blocks("python"))
    monkeypatch.syspath_prepend(tmp_path)
    import page_of_own_methods as page  # type: ignore[import-not-found]

    (mark,) = page.test_methods.pytestmark
    names, cases = mark.args
    assert names == ("method", "check")
    assert len(cases) == len(testing.checks_of(page.Spread()))
    for method, check in cases:
        page.test_methods(method, check)
    del sys.modules["page_of_own_methods"]


def test_its_entry_point_is_looked_up() -> None:
    project = tomllib.loads(blocks("toml"))["project"]
    assert set(project["entry-points"]) == {GROUP}
    names = set(re.findall(r"\b(?:spread|random|ridge)\b", blocks("sh")))
    assert set(project["entry-points"][GROUP]) | {"random", "ridge"} == names
