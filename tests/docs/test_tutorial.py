"""The tutorial's outputs are what its code prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.tutorial import TUTORIAL, executed


def test_its_outputs_are_what_its_code_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text(encoding="utf-8")
    assert text.count("```text") >= 6
    assert executed(text) == text


def test_an_output_that_is_not_what_is_printed_is_seen():
    text = "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n"
    assert executed(text) == text.replace("3", "2")
