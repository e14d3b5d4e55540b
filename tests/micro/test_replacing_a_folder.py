"""An export over an older one is the old or the new one, whatever interrupts it, and the same command mends what a kill left."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from microbench_ray.core.errors import StoreError
from microbench_ray.core.storage import replace
from microbench_ray.micro.files import ITEMS, replace_folder
from tests.helpers.errors import refuses
from tests.helpers.interruptions import INTERRUPTIONS, content, names, replace_with_interruptions

OLD = {"microbench.json": "{}", ITEMS: "old", "README.md": "old"}
NEW = {"microbench.json": "[]", ITEMS: "new"}


def export(path: Path, files: dict[str, str]) -> None:
    replace_folder(path, files, "microbench.json", overwrite=True)


@pytest.mark.parametrize("exchange", [True, False], ids=["in one step", "in two renames"])
@pytest.mark.parametrize("interruption", INTERRUPTIONS, ids=["disk full", "Ctrl-C", "SIGTERM"])
def test_an_interrupted_export_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, interruption: type[BaseException]
) -> None:
    if not exchange:
        monkeypatch.setattr(replace, "_exchange", lambda one, other: False)
    replace_with_interruptions(
        tmp_path,
        {"old": partial(export, files=OLD), "new": partial(export, files=NEW)},
        content,
        StoreError,
        interruption,
    )


def test_an_old_export_that_a_killed_process_moved_away_is_put_back_first(tmp_path: Path) -> None:
    """Otherwise an export without overwrite=true would replace it."""
    folder = tmp_path / "micro"
    export(folder, OLD)
    folder.rename(tmp_path / ".micro.0123abcd.old")
    with refuses(StoreError, "another micro-benchmark", where=str(folder), hint="overwrite=true"):
        replace_folder(folder, NEW, "microbench.json", overwrite=False)
    assert content(folder) == OLD
    assert names(tmp_path) == ["micro"]


def test_a_folder_beside_which_nothing_can_be_read_is_refused_with_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", denied)
    with refuses(StoreError, "written", where=str(tmp_path / "micro"), got="Permission denied", hint="out=DIR"):
        export(tmp_path / "micro", NEW)
