"""Compiled functions work where numba finds no folder for its cache, in the driver and in Ray's workers."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import pyarrow.parquet as pq
import pytest
from numba.core import caching

import microbench_ray
from microbench_ray.core import compiled as module
from microbench_ray.core.compiled import compiled, fallback_folder
from tests.helpers.processes import console_script, run_function
from tests.helpers.small_sweep import command

CONFIG: Any = numba.config
LOCATORS: Any = (caching.InTreeCacheLocator, caching.UserWideCacheLocator)


def read_only(locator: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, where neither the package's folder nor the home can be written."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(CONFIG, "CACHE_DIR", "")
    for locator in LOCATORS:
        monkeypatch.setattr(locator, "ensure_cache_path", read_only)
    fallback_folder.cache_clear()
    yield tmp_path
    fallback_folder.cache_clear()


def twice(number):
    return 2 * number


def test_machine_code_is_kept_in_a_folder_of_this_user_only(temporary: Path) -> None:
    assert compiled(nogil=True)(twice)(21) == 42
    (folder,) = temporary.iterdir()
    assert str(os.getuid()) in folder.name
    assert folder.stat().st_mode & 0o777 == 0o700
    kept = sorted(path.suffix for path in folder.rglob("*twice*"))
    assert kept == [".nbc", ".nbi"]
    assert CONFIG.CACHE_DIR == ""
    again = compiled()(twice)
    assert again(4) == 8
    assert sum(again.stats.cache_hits.values()) == 1


def test_a_folder_that_others_can_write_or_that_is_a_link_is_not_used(temporary: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "microbench_ray")
    folder = fallback_folder()
    assert folder is not None
    folder.chmod(0o777)
    fallback_folder.cache_clear()
    assert fallback_folder() is None
    folder.rename(temporary / "elsewhere")
    folder.symlink_to(temporary / "elsewhere")
    (temporary / "elsewhere").chmod(0o700)
    fallback_folder.cache_clear()
    assert fallback_folder() is None
    folder.unlink()
    folder.write_text("")
    fallback_folder.cache_clear()
    assert [compiled()(twice)(k) for k in range(3)] == [0, 2, 4]
    assert len(caplog.records) == 3
    assert list((temporary / "elsewhere").rglob("*twice*")) == []


def test_a_function_is_compiled_without_a_cache_where_nothing_can_be_written(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "microbench_ray")
    monkeypatch.setattr(caching.UserProvidedCacheLocator, "ensure_cache_path", read_only)
    monkeypatch.setattr(module, "version", lambda name: "x/y")  # no folder of this name can be made
    assert [compiled()(twice)(k) for k in range(3)] == [0, 2, 4]
    (record,) = caplog.records
    assert "not kept" in record.getMessage()


def sweep(engine: str, board: Path, out: Path) -> list[str]:
    methods = "methods=[random,anchor_points]"
    return command(board, out, methods, "grid.sizes=[5]", "grid.n_source=[10]", engine=engine, runs=2)


def assert_complete(out: Path) -> None:
    assert pq.read_table(out / "failures.parquet").num_rows == 0
    assert json.loads((out / "manifest.json").read_text())["cells"] == {"computed": 4, "reused": 0, "failed": 0}


def sweep_without_cache(arguments: list[str]) -> None:
    """Run in a new process, whose compiled functions are not yet imported."""
    os.environ.pop("NUMBA_CACHE_DIR", None)
    for locator in LOCATORS:
        locator.ensure_cache_path = read_only
    console_script(arguments)


@pytest.mark.slow
def test_no_cell_is_lost_without_a_cache(board: Path, tmp_path: Path) -> None:
    done = run_function(sweep_without_cache, sweep("serial", board, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert_complete(tmp_path / "out")


READ_ONLY = """
set -e
for folder in "$1" "$2"; do mount --bind "$folder" "$folder"; mount -o remount,bind,ro "$folder"; done
ip link set lo up
shift
export HOME="$1"
shift
! touch "$HOME/x" 2>/dev/null
exec "$@"
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs namespaces")
@pytest.mark.parametrize("engine", ["serial", "local"])
def test_no_cell_is_lost_where_code_and_home_are_read_only(engine: str, board: Path, tmp_path: Path) -> None:
    """In a mount namespace, since permissions do not bind root."""
    package, home = Path(microbench_ray.__file__).parent, tmp_path / "home"
    home.mkdir()
    inside = ["unshare", "--mount", "--net", "sh", "-c", READ_ONLY, "_", str(package), str(home)]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces may be made here")
    program = "import sys; from microbench_ray.cli.main import main; sys.exit(main(sys.argv[1:]))"
    one_worker = ["engine.workers=1"] if engine == "local" else []  # each would compile all functions
    without = {"NUMBA_CACHE_DIR", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"}
    done = subprocess.run(
        [*inside, sys.executable, "-c", program, *sweep(engine, board, tmp_path / "out"), *one_worker],
        env={name: value for name, value in os.environ.items() if name not in without} | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_complete(tmp_path / "out")
