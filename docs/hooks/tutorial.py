"""Runs the code of docs/tutorial.md and inserts its output: `uv run python -m docs.hooks.tutorial` rewrites the file."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "tutorial.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)


def executed(text: str) -> str:
    """The text with the output of every Python block below it; the blocks run in order, in one namespace."""
    namespace: dict[str, object] = {"__name__": "tutorial"}

    def run(block: re.Match[str]) -> str:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(block["code"], str(TUTORIAL), "exec"), namespace)  # noqa: S102
        lines = "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())
        return f"```python\n{block['code']}```\n" + (f"\n```text\n{lines}```\n" if lines else "")

    return BLOCK.sub(run, text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        rewritten = executed(TUTORIAL.read_text(encoding="utf-8"))
    TUTORIAL.write_text(rewritten, encoding="utf-8")
    sys.stdout.write(f"{TUTORIAL}\n")
