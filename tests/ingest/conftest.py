"""Logs written by the real evaluation tools, once per test session and shared by all workers of pytest-xdist."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from tests.helpers import real_inspect, real_lm_eval


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of the session share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def lm_eval_folder(shared_folder: Path) -> Iterator[Path]:
    """`logs/` of `real_lm_eval.MODELS` by lm-evaluation-harness, and `tasks/`, the definitions of the tasks. Read-only."""
    if importlib.util.find_spec("lm_eval") is None:
        pytest.skip("lm-eval is not installed")
    yield from read_only(
        write_once(shared_folder / "real_lm_eval", lambda folder: real_lm_eval.write_logs(folder, real_lm_eval.MODELS))
    )


@pytest.fixture(scope="session")
def lm_eval_logs(lm_eval_folder: Path) -> Path:
    """Logs of `real_lm_eval.MODELS` by lm-evaluation-harness. Read-only."""
    return lm_eval_folder / "logs"


@pytest.fixture(scope="session")
def inspect_logs(shared_folder: Path) -> Iterator[Path]:
    """Logs of `real_inspect.N_MODELS` models by Inspect. Read-only."""
    if importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("inspect-ai is not installed (extra `inspect`)")
    folder = write_once(shared_folder / "real_inspect", lambda folder: real_inspect.write_logs(folder / "logs"))
    for checked in read_only(folder):
        yield checked / "logs"


def write_once(folder: Path, write: Callable[[Path], object]) -> Path:
    """Call `write` in the first worker that needs the folder; the others wait for it."""
    done = folder.with_name(f"{folder.name}.done")
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what a failed attempt left
            folder.mkdir(parents=True)
            write(folder)
            done.touch()
    return folder


def read_only(folder: Path) -> Iterator[Path]:
    """Yield the folder, and check that no test has changed it."""
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before, f"a test has written to {folder}"


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
