"""The code of the tutorial, which is run, and its output compared, when the site is built."""

from __future__ import annotations

import re

import microbench_ray as mb
from docs.hooks.tutorial import TUTORIAL, executed


def test_the_code_uses_current_public_names() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    assert text.count("```text") >= 6
    used = set(re.findall(r"\bmb\.(\w+)", text))
    assert {"benchmark", "sweep", "export", "score"} <= used
    assert used <= set(mb.__all__)


def test_an_output_that_differs_is_replaced() -> None:
    text = "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n"
    assert executed(text) == text.replace("3", "2")


def test_blocks_share_a_namespace_and_need_not_print() -> None:
    text = "```python\nx = 2\n```\n\nThen\n\n```python\nprint(x)\n```\n"
    assert executed(text) == text + "\n```text\n2\n```\n"
