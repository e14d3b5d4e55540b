"""The outputs in the tutorial are those that its code prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import microbench_ray as mb
from docs.hooks.tutorial import TUTORIAL, executed


@pytest.mark.slow
def test_the_outputs_are_those_that_the_code_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text(encoding="utf-8")
    assert text.count("```text") >= 6
    assert executed(text) == text


def test_the_code_uses_current_public_names() -> None:
    used = set(re.findall(r"\bmb\.(\w+)", TUTORIAL.read_text(encoding="utf-8")))
    assert {"benchmark", "sweep", "export", "score"} <= used
    assert used <= set(mb.__all__)


def test_an_output_that_differs_is_replaced() -> None:
    text = "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n"
    assert executed(text) == text.replace("3", "2")


def test_blocks_share_a_namespace_and_need_not_print() -> None:
    text = "```python\nx = 2\n```\n\nThen\n\n```python\nprint(x)\n```\n"
    assert executed(text) == text + "\n```text\n2\n```\n"
