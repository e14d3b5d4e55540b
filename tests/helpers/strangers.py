"""Installs packages that register methods into a folder, as `pip install --target` does, without a build or a network."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).parent / "strangers_package"
GROUP = "microbench_ray.methods"


def install(folder: Path, name: str, version: str, entry_points: Mapping[str, str], module: str | None = None) -> None:
    """Write the metadata of a package with entry points into a folder, and a module of its name with this text."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{entry} = {value}" for entry, value in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines, ""]))
    if module is not None:
        (folder / f"{name.replace('-', '_')}.py").write_text(module)


def install_strangers_package(folder: Path) -> None:
    """Install the package in `strangers_package/`."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    install(folder, project["name"], project["version"], project["entry-points"][GROUP])
    shutil.copy(SOURCE / "strangers_methods.py", folder)


def environment(folder: Path) -> dict[str, str]:
    """The environment of a process in which the packages in a folder are installed."""
    path = os.pathsep.join(filter(None, [str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}
