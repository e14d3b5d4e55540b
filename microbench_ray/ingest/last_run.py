"""The last ingest that had nothing to read: while no file changes, its summary is that of the next one."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.storage.folders import LocalFolder
from microbench_ray.core.storage.store import Store
from microbench_ray.data.responses import MODELS
from microbench_ray.data.stamps import files_stamp
from microbench_ray.ingest.base import Tally

logger = logging.getLogger(__name__)

LAST_RUN = "last_ingest.json"
SOURCES = ("lm_eval", "open_llm_leaderboard")
"""Formats whose readers read only files below the folder of the logs."""


class NothingNew(NamedTuple):
    """The summary of an ingest that read nothing."""

    unchanged: list[str]
    dropped: Counter[str]
    choices: Counter[str]


def logs_stamp(store: Store, source: str, path: Path, settings: Mapping[str, Any]) -> str | None:
    """A text that is the same while the logs, the responses and the settings are; None where that cannot be known.

    That is for a file of logs, beside which others may be read, for a folder with links to folders, and for responses in an object
    store.
    """
    if source not in SOURCES or not path.is_dir() or not isinstance(store.folder, LocalFolder):
        return None
    files: list[Path] = []

    def refuse(error: OSError) -> None:
        raise error

    try:
        for folder, folders, names in os.walk(path, onerror=refuse):
            if any(Path(folder, name).is_symlink() for name in folders):
                return None
            files += [Path(folder, name) for name in names]
        stamps = files_stamp([*files, *(store.folder.path / MODELS).iterdir()])
    except OSError:
        return None
    texts = [stamps, str(path.resolve()), version("microbench-ray"), dict(settings)]
    return blake2b(json.dumps(texts, sort_keys=True).encode(errors="surrogateescape"), digest_size=16).hexdigest()


def read_last_run(store: Store, stamp: str | None) -> NothingNew | None:
    """The summary of the last ingest, if it read nothing and had this stamp."""
    if stamp is None or not store.has(LAST_RUN):
        return None
    try:
        content = json.loads(store.folder.read(LAST_RUN))
        if content["stamp"] != stamp:
            return None
        unchanged = [str(model) for model in content["unchanged"]]
        return NothingNew(unchanged, Counter(content["dropped"]), Counter(content["choices"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        logger.debug("The logs are looked through again: %s", error)
        return None


def write_last_run(store: Store, stamp: str | None, unchanged: list[str], tally: Tally) -> None:
    """Record an ingest that read nothing and had nothing to report about files."""
    if stamp is not None and not tally.failed and not tally.suspicious:
        content = {"stamp": stamp, "unchanged": unchanged, "dropped": tally.dropped, "choices": tally.choices}
        store.write(LAST_RUN, json.dumps(content).encode())
