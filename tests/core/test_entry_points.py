"""Entry points are found as `importlib.metadata` finds them, and a look that finds none does not import it."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from microbench_ray.core.entry_points import entry_points_of

GROUP = "strangers.things"
CONTENT = f"[{GROUP}]\nthing = package.module:Thing\n"


@pytest.mark.parametrize("kind", ["dist-info", "egg-info", "egg", "zip"])
def test_a_registered_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    place, about = tmp_path / "site", f"strange-1.0.{kind}"
    place.mkdir()
    if kind == "zip":
        place = place / "packages.zip"
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("strange-1.0.dist-info/METADATA", "Name: strange\nVersion: 1.0\n")
            archive.writestr("strange-1.0.dist-info/entry_points.txt", CONTENT)
    else:
        folder = place / about / "EGG-INFO" if kind == "egg" else place / about
        folder.mkdir(parents=True)
        (folder / ("METADATA" if kind == "dist-info" else "PKG-INFO")).write_text("Name: strange\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(CONTENT)
    monkeypatch.setattr(sys, "path", [*sys.path, str(place / about if kind == "egg" else place)])
    assert [(entry.name, entry.value) for entry in entry_points_of(GROUP)] == [("thing", "package.module:Thing")]


def test_places_without_one_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "file-1.0.egg-info").write_text("Name: file\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "absent.zip"), *sys.path])
    monkeypatch.setitem(sys.modules, "importlib.metadata", None)  # its import would fail
    assert entry_points_of(GROUP) == ()
