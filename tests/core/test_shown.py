"""Names from data: one function shows them, one quotes them for a shell."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.panel import Panel

from microbench_ray.core.console import TerminalConsole
from microbench_ray.core.errors import DataError
from microbench_ray.core.log import TerminalFormatter
from microbench_ray.core.shown import escape_controls, escape_lines, shell_quote

CLEAR = "\x1b[2J"
WORDS = ["", "plain", "a b", "$(touch X)", "`id`", "a'b", "~", "-n", "!!", "a\nb", f"x{CLEAR}'\\!", "\u202eab", "ü\x85", "\udcff"]
BASH = shutil.which("bash")


@given(st.text())
def test_an_escaped_text_is_printable(text: str) -> None:
    assert escape_controls(text).isprintable()
    assert all(line.isprintable() for line in escape_lines(text).replace("\t", "").split("\n"))
    if text.isprintable():
        assert escape_controls(text) == escape_lines(text) == text


def words_of_bash(command: str) -> list[bytes]:
    """The words that bash makes of a command's arguments."""
    script = f'printf "%s\\0" {command}'
    return subprocess.run([str(BASH), "-c", script], capture_output=True, check=True).stdout.split(b"\0")[:-1]


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_a_shell_reads_the_word_back_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quoted = " ".join(shell_quote(word) for word in WORDS)
    assert quoted.isprintable()
    assert words_of_bash(quoted) == [word.encode("utf-8", "surrogateescape") for word in WORDS]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.slow
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
def test_any_text_is_one_word(text: str) -> None:
    quoted = shell_quote(text)
    assert quoted.isprintable()
    assert words_of_bash(quoted) == [text.encode()]


def test_an_error_has_a_line_per_part_whatever_its_names() -> None:
    name = f"a{CLEAR}\n  hint: forged"
    lines = str(DataError(f"Bad {name}.", where=name, got=name, hint=name)).split("\n")
    assert [line[:9] for line in lines[1:]] == ["  where: ", "  got:   ", "  hint:  "]
    assert all(line.isprintable() for line in lines)


def test_a_log_line_cannot_be_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("microbench_ray"), "level", logging.INFO)
    names = (f"a\nerror: {CLEAR}", 3, Path("x\ny"))
    record = logging.LogRecord("microbench_ray.x", logging.WARNING, "", 0, "%s: %d of %s", names, None)
    shown = TerminalFormatter().format(record)
    assert shown == "warning: a\\nerror: \\x1b[2J: 3 of x\\ny"
    error = DataError("Two lines.", got="x")
    record = logging.LogRecord("microbench_ray.x", logging.ERROR, "", 0, "%s", (error,), None)
    assert TerminalFormatter().format(record) == f"error: {error}"


def test_the_console_escapes_what_nobody_else_did_and_keeps_its_colours() -> None:
    stream = io.StringIO()
    console = TerminalConsole(file=stream, force_terminal=True, color_system="standard", width=60, highlight=False, markup=False)
    console.print(f"a{CLEAR}b\u202e")
    console.print(Panel(f"a{CLEAR}b", style="red"))
    shown = stream.getvalue()
    assert CLEAR not in shown
    assert "\u202e" not in shown
    assert shown.count("a\\x1b[2Jb") == 2
    assert "\x1b[31m" in shown
