"""Every writer of result files is killed at every call of its writing: the old or the new file is whole, and no other stays."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from microbench_ray.audit.baseline import accept
from microbench_ray.audit.files import FOLDERS, remove_temporary_files, to_json
from microbench_ray.audit.findings import HistoryRow
from microbench_ray.audit.history import History
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.core.storage.store import Store
from microbench_ray.data.responses import MODELS, ModelRecord, model_file, pack
from microbench_ray.micro import report
from microbench_ray.sweeps.results import SweepStore
from tests.helpers.interruptions import interrupted_at, kill_this_process
from tests.helpers.nights import board
from tests.helpers.processes import Child
from tests.helpers.rotation import share, share_or_all

NIGHT = "nights/2026-01-02"
SCORES = np.random.default_rng(0).integers(0, 2, (6, 8)).astype(float)
Writer = Callable[[Path, str], None]


def audit_store(folder: Path) -> Store:
    return Store(folder, folders=FOLDERS)


def baseline(folder: Path, version: str) -> None:
    """The baseline, the pool, and the benchmark that both name."""
    store = audit_store(folder)
    with store.locked(0):
        remove_temporary_files(store)
        accept(store, board(SCORES[: 5 if version == "old" else 6]), "2026-01-01", ("baseline", "pool"))


def history(folder: Path, version: str) -> None:
    """The history, which gains a night: `old` is without it."""
    store = audit_store(folder)
    with store.locked(0):
        nights = ["2026-01-01"] if version == "old" else ["2026-01-01", "2026-01-02"]
        for night in nights:
            History(store).append(night, [HistoryRow(kind="log_failed", text=night, name="m")])


def night_files(folder: Path, version: str) -> None:
    """The verdict, the inputs, the page, a figure and a table of a night."""
    store = audit_store(folder)
    with store.locked(0):
        remove_temporary_files(store)
        for name in ("inputs.json", "verdict.json"):
            store.write(f"{NIGHT}/{name}", to_json({"status": version}))
        store.write(f"{NIGHT}/report.html", f"<p>{version}".encode())
        store.write(f"{NIGHT}/figures/board_tiny.png", version.encode())
        store.write_table(f"{NIGHT}/agreement", SCHEMAS["agreement"].empty_table(), "agreement")


def sweep_files(folder: Path, version: str) -> None:
    """A table, the manifest, the page and a figure of a sweep."""
    store = SweepStore(folder)
    with store.locked(0):
        store.write_manifest({"seed": version})
        store.write_table("mdad", SCHEMAS["mdad"].empty_table())
        store.write("report.html", f"<p>{version}".encode())
        store.write("figures/x.svg", version.encode())
        store.write("cells/x.parquet", version.encode())


def responses(folder: Path, version: str) -> None:
    """The responses of a model."""
    store = Store(folder, folders=(MODELS,))
    with store.locked(0):
        row = {"item_id": "a", "subtask": "s", "score": float(version == "new"), "log": version}
        schema = SCHEMAS["responses"]
        table = pa.table([pa.array([row.get(field.name)], field.type) for field in schema], schema=schema)
        store.write(model_file("m"), pack(table, ModelRecord(model="m", facts={}, logs={})))


def score_report(folder: Path, version: str) -> None:
    """The report of `microbench score`, beside files of others."""
    report.write(folder / "report.txt", version.encode(), "out")


def killed_at(write: Writer, folder: Path, number: int) -> None:
    """Run in a new process."""
    with interrupted_at(number, False, kill_this_process):
        write(folder, "new")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left(folder: Path) -> list[str]:
    """Hidden files and folders; a lock is released when its process ends, and its file removed by the next one."""
    return [path.name for path in folder.rglob(".*")]


WRITERS: tuple[Writer, ...] = (history, responses, score_report)
SLOW_WRITERS: tuple[Writer, ...] = (baseline, night_files, sweep_files)


@pytest.mark.parametrize(
    "write",
    [*WRITERS, *(pytest.param(write, marks=pytest.mark.slow) for write in SLOW_WRITERS)],
    ids=[write.__name__ for write in (*WRITERS, *SLOW_WRITERS)],
)
@pytest.mark.parametrize("one_in", share_or_all(3))
def test_a_killed_writer_leaves_old_or_new_files_and_the_next_run_the_new_ones_only(
    write: Writer, one_in: int, tmp_path: Path
) -> None:
    old_folder, new_folder = tmp_path / "old", tmp_path / "new"
    write(old_folder, "old")
    shutil.copytree(old_folder, new_folder)
    write(new_folder, "new")
    old, new = tree(old_folder), tree(new_folder)
    n_killed = 0
    for number in count(share(range(one_in), one_in)[0], one_in):
        folder = tmp_path / str(number)
        shutil.copytree(old_folder, folder)
        child = Child(killed_at, write, folder, number, stdout=tmp_path / "log")
        code = child.wait()
        for name, content in tree(folder).items():
            if not any(part.startswith(".") for part in Path(name).parts):
                assert content in (old.get(name), new.get(name)), (number, name)
        for name in old.keys() & new.keys():
            assert (folder / name).exists(), (number, name)
        write(folder, "new")
        assert tree(folder) == new, number
        assert left(folder) == [], number
        shutil.rmtree(folder)
        if code == 0:
            break
        assert code == -signal.SIGKILL, (tmp_path / "log").read_text()
        n_killed += 1
    assert n_killed >= (3 if one_in == 1 else 1)
