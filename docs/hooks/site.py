"""The hooks of mkdocs.yml: pages from the top of the repository, generated parts, and the tutorial, which is executed."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # `mkdocs` does not have the checkout on its path
    sys.path.insert(0, str(ROOT))

from docs.hooks.generated import with_generated  # noqa: E402
from docs.hooks.tutorial import executed  # noqa: E402

logger = logging.getLogger("mkdocs.hooks.site")

TOP_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files at the top of the repository, with their pages on the site."""


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from the top of the repository."""
    for name, page in TOP_PAGES.items():
        files.append(File.generated(config, page, content=moved_into_docs((ROOT / name).read_text(encoding="utf-8"))))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Fill in the generated parts of a page, and execute the tutorial."""
    if not page.ancestors:  # in no section, so that its navigation would show itself alone
        page.meta["hide"] = ["navigation"]
    if page.file.src_uri == "tutorial.md":
        return checked_tutorial(markdown)
    return links_to_top_pages(with_generated(markdown), depth=page.file.src_uri.count("/"))


def moved_into_docs(markdown: str) -> str:
    """A page from the top of the repository, with links as from `docs/`."""
    for name, page in TOP_PAGES.items():
        markdown = markdown.replace(f"]({name}", f"]({page}")
    return re.sub(r"\]\(docs/", "](", markdown)


def links_to_top_pages(markdown: str, depth: int) -> str:
    """A page of `docs/` whose links to files at the top of the repository lead to their pages."""
    for name, page in TOP_PAGES.items():
        markdown = markdown.replace(f"]({'../' * (depth + 1)}{name}", f"]({'../' * depth}{page}")
    return markdown


def checked_tutorial(markdown: str) -> str:
    """The tutorial as its code prints it now; a difference from the file is a warning, which ends a strict build."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        now = executed(markdown)
    if now != markdown:
        logger.warning("docs/tutorial.md has other outputs than its code prints; rewrite it: uv run python -m docs.hooks.tutorial")
    return now
