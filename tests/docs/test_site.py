"""What the hooks of mkdocs.yml make of the pages. The site itself is built by .ci/run, with warnings as errors."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from mkdocs.structure.files import Files
from omegaconf import OmegaConf

from docs.hooks import keys
from docs.hooks.generated import MARKER, api_block, table_section, with_generated
from docs.hooks.site import checked_tutorial, links_to_top_pages, moved_into_docs, on_page_markdown
from microbench_ray.cli.compose import Composer
from microbench_ray.cli.keys import JOBS, MAPPING_KEYS
from microbench_ray.core.schemas import SCHEMAS
from tests.helpers.doc_pages import ROOT

OWN_KEYS = {key.split(".")[-1] for key in MAPPING_KEYS} - {"policy"}  # whose keys conf/audit.yaml lists
"""Mappings with keys that users choose."""
COMMANDS = with_generated((ROOT / "docs/reference/commands.md").read_text(encoding="utf-8"))


def rows_of(section: str) -> dict[str, list[str]]:
    """The rows of a section's tables, by the name in their first cell."""
    rows = [line.strip("| ").replace("\\|", "/").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def dotted(content: dict[Any, Any], prefix: str = "") -> set[str]:
    """The keys of a configuration; a mapping with names of a user's own is one key."""
    found: set[str] = set()
    for name, value in content.items():
        path = f"{prefix}{name}"
        found |= dotted(value, f"{path}.") if isinstance(value, dict) and value and name not in OWN_KEYS else {path}
    return found


@pytest.mark.parametrize("job", JOBS)
def test_every_key_of_a_job_is_on_the_page_with_its_meaning(job: str) -> None:
    composed: Any = OmegaConf.to_container(Composer(job, []).compose([]))
    groups = set(keys.GROUPS) | set(keys.SEE_ALSO)
    expected = {key for key in dotted(composed) if key.split(".")[0] not in groups}
    rows = rows_of(keys.job_section(job))
    if job == "submit":  # all keys of `sweep`, and its own
        rows |= rows_of(keys.job_section("sweep"))
    assert set(rows) == expected - {"hydra"}
    assert [key for key, cells in rows.items() if not cells[0].strip(" |")] == []


def test_defaults_are_those_of_the_configuration() -> None:
    composed: Any = OmegaConf.to_container(Composer("plan", []).compose([]))
    for key, cells in rows_of(keys.job_section("plan")).items():
        assert yaml.safe_load(cells[-1].strip("` |")) == composed[key]


def test_the_keys_of_the_groups_are_on_the_page() -> None:
    rows = rows_of(keys.group_sections())
    assert {"benchmark=scores", "grid=paper", "targets=best", "engine=cluster"} <= set(rows)
    assert {"benchmark.path", "benchmark.n_items", "grid.n_source", "targets.where", "engine.resources", "engine.deadline"} <= set(
        rows
    )
    assert rows["grid.n_source"][-1].strip("| ") == "default: `null`<br>paper: `[300]`"


def test_characters_of_markdown_are_escaped_outside_of_code() -> None:
    assert keys._escaped("a_b*c <d> [e] `f_g|h`<br>i|j") == "a\\_b\\*c &lt;d> \\[e] `f_g\\|h`<br>i\\|j"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_is_in_its_table(name: str) -> None:
    section = table_section(name)
    assert [line.split("|")[1].strip(" *`") for line in section.splitlines()[4:]] == SCHEMAS[name].names
    assert all(f"**`{field.name}`**" in section for field in SCHEMAS[name] if field.nullable)


def test_a_public_name_is_documented_where_it_is_defined() -> None:
    assert api_block("mdad").splitlines()[0] == "::: microbench_ray.metrics.mdad.mdad"
    assert "heading: mb.mdad" in api_block("mdad")


def test_generated_parts_stand_apart_from_what_surrounds_them() -> None:
    filled = with_generated("<!-- table: failures -->\n<!-- table: estimates -->\n")
    assert "\n\n### estimates\n" in filled
    assert MARKER.search(COMMANDS) is None


def test_links_between_the_top_of_the_repository_and_the_pages() -> None:
    assert moved_into_docs("[a](docs/how-to/logs.md) [b](CONTRIBUTING.md#map)") == "[a](how-to/logs.md) [b](contributing.md#map)"
    assert links_to_top_pages("[c](../../CONTRIBUTING.md#add-a-method)", depth=1) == "[c](../contributing.md#add-a-method)"
    assert links_to_top_pages("[c](../CHANGELOG.md)", depth=0) == "[c](changelog.md)"


def test_a_changed_output_of_the_tutorial_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    page = "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n"
    assert checked_tutorial(page) == page
    assert caplog.messages == []
    assert checked_tutorial(page.replace("2\n", "3\n")) == page
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name.startswith("mkdocs."), "a strict build counts it"


def test_the_tutorial_is_executed_when_the_site_is_built() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="tutorial.md"), ancestors=[], meta={})
    assert on_page_markdown("```python\nprint(7)\n```\n", page, None, Files([])) == "```python\nprint(7)\n```\n\n```text\n7\n```\n"
