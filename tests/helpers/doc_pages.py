"""The pages of the documentation, their blocks of code, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from microbench_ray.cli.keys import JOBS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    """A page's path in the checkout."""
    return page.relative_to(ROOT).as_posix()


by_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in one language."""
    return [block for name, block in FENCE.findall(text) if name == language]


def spans(text: str) -> list[str]:
    """Inline code of a page, with line breaks replaced by spaces."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]


def shell_lines(text: str) -> list[list[str]]:
    """The words of every line in a page's shell blocks, without comments; a continued line is one."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def command_lines(text: str) -> Iterator[list[str]]:
    """Words of every command of this project in a page's shell blocks and inline code."""
    yield from shell_lines(text)
    for span in spans(text):
        if re.search(r"\bmicrobench [a-z]|python jobs/|pytest|python -m", span):
            yield shlex.split(span, comments=True)


def jobs_of(text: str) -> Iterator[tuple[str, list[str]]]:
    """Job and `key=value` arguments of every `microbench JOB` and `python jobs/JOB.py`; arguments with … are left out."""
    for words in command_lines(text):
        for place, word in enumerate(words):
            script = re.fullmatch(r"jobs/(\w+)\.py", word)
            job = script[1] if script else words[place + 1] if word == "microbench" and place + 1 < len(words) else ""
            if job in JOBS:
                rest = words[place + (1 if script else 2) :]
                yield job, [each for each in rest if "=" in each and "…" not in each and not each.startswith(("-", "log_level="))]
                break
