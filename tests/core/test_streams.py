"""A sweep finishes even if its output streams are broken, closed or full; one message reports what could not be printed."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from microbench_ray.core import log, streams
from microbench_ray.core.progress import WorkProgress
from tests.helpers.rotation import rotating
from tests.helpers.small_sweep import command, write_board

RUN = [sys.executable, "-c", "from microbench_ray.cli.main import entry_point; entry_point()"]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_board(tmp_path_factory.mktemp("boards") / "board.parquet")


def run(
    arguments: list[str],
    stdout: int | IO[str] = subprocess.PIPE,
    stderr: int | IO[str] = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*RUN, *arguments], stdout=stdout, stderr=stderr, env={**os.environ, **(environment or {})}, timeout=120)


def a_sweep(board: Path, out: Path) -> list[str]:
    """A sweep that imports little."""
    return command(board, out, "methods=[random]", runs=2)


def broken_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.slow
@pytest.mark.parametrize("kind", rotating(["broken", "full", "closed"], 3))
def test_a_sweep_whose_messages_nobody_can_read_is_finished(kind: str, board: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "closed":
        script = ["sh", "-c", 'exec "$@" 2>&-', "_", *RUN, *a_sweep(board, out)]
        done = subprocess.run(script, stdout=subprocess.PIPE, timeout=120)
    elif kind == "full" and not FULL.exists():
        pytest.skip("this system has no /dev/full")
    else:
        descriptor = broken_pipe() if kind == "broken" else os.open(FULL, os.O_WRONLY)
        done = run(a_sweep(board, out), stderr=descriptor)
        os.close(descriptor)
    assert done.returncode == 0
    assert str(out / "agreement.parquet").encode() in done.stdout
    assert (out / "agreement.parquet").exists()


@pytest.mark.slow
@needs_full
def test_output_on_a_full_disk_is_one_message_after_the_work(board: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments in (["--help"], ["-q", *a_sweep(board, out)]):
        with FULL.open("w") as full:
            done = run(arguments, stdout=full)
        assert done.returncode == 2
        lines = done.stderr.decode().splitlines()
        assert [line[:9] for line in lines[1:]] == ["  where: ", "  got:   ", "  hint:  "]
        assert "standard output" in lines[1]
        assert os.strerror(errno.ENOSPC) in lines[2]
    assert (out / "agreement.parquet").exists()


@pytest.mark.slow
def test_a_reader_that_has_read_enough_is_no_failure(board: Path, tmp_path: Path) -> None:
    for arguments in (["--help"], ["-q", *a_sweep(board, tmp_path / "out")]):
        descriptor = broken_pipe()
        done = run(arguments, stdout=descriptor)
        os.close(descriptor)
        assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "out" / "agreement.parquet").exists()


@pytest.mark.slow
@pytest.mark.parametrize("encoding", rotating(["latin-1", "ascii", "utf-8"], 3))
def test_characters_that_the_terminal_lacks_are_replaced(encoding: str, board: Path, tmp_path: Path) -> None:
    environment = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    help_text = run(["--help"], environment=environment)
    assert (help_text.returncode, help_text.stderr) == (0, b"")
    ellipsis = "…" if encoding == "utf-8" else "..."
    assert f"[key=value {ellipsis}]" in help_text.stdout.decode(encoding)
    done = run(a_sweep(board, tmp_path / "out"), environment=environment)
    assert done.returncode == 0
    assert str(tmp_path / "out" / "agreement.parquet") in done.stdout.decode(encoding)
    wrong = run(["sweep–"], environment=environment)
    assert wrong.returncode == 1
    assert b"Traceback" not in wrong.stderr


def test_the_help_is_printed_in_any_encoding_and_to_any_reader() -> None:
    done = run(["--help"], environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"[key=value ...]" in done.stdout
    descriptor = broken_pipe()
    done = run(["--help"], stdout=descriptor)
    os.close(descriptor)
    assert (done.returncode, done.stderr) == (0, b"")


def test_other_characters_and_lone_surrogates_are_escaped() -> None:
    streams.endure()  # under pytest, it only registers the encoding errors
    assert "a–b×你\udc80".encode("ascii", streams.ENCODING_ERRORS) == rb"a-bx\u4f60\udc80"
    assert "é–你\udc80".encode("utf-8", streams.ENCODING_ERRORS) == "é–你".encode() + rb"\udc80"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", streams.ENCODING_ERRORS)


def test_a_slow_reader_of_a_pipe_that_does_not_block_gets_everything() -> None:
    program = (
        "import os, sys; os.set_blocking(1, False); from microbench_ray.core import streams; streams.endure();"
        "sys.stdout.write('x' * 1_000_000); assert streams.output_failure() is None"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    time.sleep(1)
    content, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert len(content) == 1_000_000


def test_files_never_get_the_descriptor_of_a_closed_stream() -> None:
    program = (
        "from microbench_ray.core import streams; streams.endure(); import tempfile, sys;"
        "file = tempfile.TemporaryFile(); sys.exit(file.fileno() <= 2)"
    )
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "_", sys.executable, "-c", program], timeout=60)
    assert done.returncode == 0


def test_progress_that_cannot_be_shown_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a program that uses the library, whose streams are its own."""
    kind: Any = type(log.error_console())
    console = kind(file=os.fdopen(broken_pipe(), "w", buffering=1))
    with WorkProgress(10, visible=True, console=console, every=0) as progress:
        progress.advance(5)
        progress.advance(5)
    assert progress.done == 10
    with contextlib.suppress(BrokenPipeError):
        console.file.close()

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(console, "print", full)
    with WorkProgress(10, visible=True, console=console, every=0) as progress:
        progress.advance(10)
