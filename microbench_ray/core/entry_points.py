"""Entry points of installed packages. Most often none registers any here, and that is found out without `importlib.metadata`.

That module takes longer to import and to read all packages than a model to score.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

METADATA = ("dist-info", "egg-info")
"""Ends of the names of folders that describe installed packages."""


def entry_points_of(group: str) -> Sequence[EntryPoint]:
    """The entry points of a group, without importing what they stand for."""
    others = (finder for finder in sys.meta_path if finder is not PathFinder)
    if not any(hasattr(finder, "find_distributions") for finder in others) and not _may_exist(group.encode(), sys.path):
        return ()
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _may_exist(group: bytes, places: Sequence[str]) -> bool:
    """Whether a package in one of the places of `sys.path` may register the group; True where a place is not a plain folder."""
    for place in places:
        try:
            folders = list(Path(place or ".").iterdir())
        except FileNotFoundError:
            continue
        except OSError:  # a zip file, for example
            return True
        for folder in folders:
            if folder.name.lower().endswith(METADATA):
                try:
                    if group in (folder / "entry_points.txt").read_bytes():
                        return True
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except OSError:
                    return True
    return False
