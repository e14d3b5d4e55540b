"""A stamp of files: while it is the same, none of them was written, replaced, added or removed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

from microbench_ray.core.storage.folders import LocalFolder, open_folder
from microbench_ray.data.responses import MODELS
from microbench_ray.data.table_files import SUFFIXES


def board_stamp(path: str | Path, settings: Mapping[str, Any]) -> str | None:
    """The stamp of all files that `read_ingested` reads; None where it has to read them to know.

    Parameters
    ----------
    path
        The folder of responses, or its URL, whose files have no stamps.
    settings
        The other arguments of `read_ingested`, and any that its caller uses.
    """
    folder = open_folder(path)
    if not isinstance(folder, LocalFolder):
        return None
    metadata = settings.get("metadata")
    tables = [folder.path / f"models{suffix}" for suffix in SUFFIXES] if metadata == "auto" else []
    tables += [Path(metadata)] if metadata not in ("auto", None) else []
    tables += [Path(settings["items"])] if settings.get("items") is not None else []
    try:
        stamp = files_stamp([*(folder.path / MODELS).iterdir(), *tables])
    except OSError:
        return None  # reported when the file is read
    texts = [stamp, str(folder.path.resolve()), version("microbench-ray"), dict(settings)]
    return blake2b(json.dumps(texts, sort_keys=True).encode(), digest_size=16).hexdigest()


def files_stamp(paths: Iterable[Path]) -> list[tuple[str, int, int, int, int]]:
    """Path, size, times of the last write and of the last change of the inode, and inode, of the files that exist; sorted.

    Unlike the time of the last write, that of the inode's change cannot be set by a program.
    """
    stamps = []
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        stamps.append((str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return sorted(stamps)
