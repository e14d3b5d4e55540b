"""Commands that must be rejected: one message and no side effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.helpers.small_sweep import command

Refused = Callable[..., str]


def everything(folder: Path, *, relative: bool = False) -> dict[str, bytes | None]:
    """The content of every file below a folder, by path, or by path relative to the folder; None for folders."""
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder) if relative else path): path.read_bytes() if path.is_file() else None for path in paths}


def assert_one_message(code: int, message: str, words: tuple[str, ...]) -> None:
    """Check that a command ended with code 1 and one message of the usual form that contains all `words`."""
    first, *details = message.splitlines()
    assert code == 1
    assert "Traceback" not in message
    assert first[0] != " "
    assert [line[:9] for line in details] == sorted([line[:9] for line in details], key="  where:   got:     hint:  ".index)
    assert details
    for word in words:
        assert word in message


def swept(board: Path, out: Path, *more: str) -> list[str]:
    """The arguments of the small sweep with some keys replaced. engine=local imports Ray if the command gets that far."""
    keys = {each.split("=")[0] for each in more}
    kept = [each for each in command(board, out, engine="local") if each.split("=")[0] not in keys]
    if "benchmark" in keys:
        kept = [each for each in kept if not each.startswith("benchmark.")]
    return [*kept, *more]
