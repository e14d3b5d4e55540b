"""Runs the code of docs/tutorial.md and puts what it prints after it: `uv run python tests/tutorial.py` writes the file anew."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
from pathlib import Path

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)


def executed(text: str) -> str:
    """The text with the output of every block of Python after it, all run in one namespace, in their order."""
    namespace: dict[str, object] = {"__name__": "tutorial"}

    def run(block: re.Match[str]) -> str:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block["code"], str(TUTORIAL), "exec"), namespace)  # noqa: S102
        lines = "".join(f"{line.rstrip()}\n" for line in said.getvalue().splitlines())
        return f"```python\n{block['code']}```\n" + (f"\n```text\n{lines}```\n" if lines else "")

    return BLOCK.sub(run, text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        made = executed(TUTORIAL.read_text(encoding="utf-8"))
    TUTORIAL.write_text(made, encoding="utf-8")
    sys.stdout.write(f"{TUTORIAL}\n")
