"""Files that are safe to open: no pipes, which wait for ever, no devices and no links to nowhere."""

from __future__ import annotations

import logging
import stat
from contextlib import suppress
from pathlib import Path

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import show_name
from microbench_ray.data.table_files import LFS_POINTER
from microbench_ray.ingest.base import Tally

logger = logging.getLogger(__name__)

POINTER_BYTES = 1024
"""Largest size of a pointer of Git LFS."""
NOT_REGULAR = "paths that are not regular files"


def refuse_pointer(path: Path) -> None:
    """Raise DataError if a file is a pointer of Git LFS instead of the log itself."""
    try:
        if path.stat().st_size <= POINTER_BYTES:
            _check_start(path)
    except OSError:
        return  # reported when it is read


def _check_start(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        check_pointer(file.read(len(LFS_POINTER)), str(path))


def check_pointer(start: bytes, where: str) -> None:
    """Raise DataError if a file that starts so is a pointer of Git LFS; `where` is its place."""
    if start.startswith(LFS_POINTER):
        hint = "fetch the content with git lfs pull, or download the file itself"
        raise DataError("The file is a Git LFS pointer, not the log itself.", where=where, got="a pointer", hint=hint)


def is_regular(path: Path, tally: Tally) -> bool:
    """Whether a path is a regular file, or a link to one. Any other path is logged and counted in `tally`, where a pointer of
    Git LFS is an error."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    else:
        mode = status.st_mode
        if stat.S_ISREG(mode):
            if status.st_size > POINTER_BYTES:
                return True
            with tally.collect_error(path), suppress(OSError):
                _check_start(path)
            return str(path) not in tally.failed
        reason = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "not a regular file"
    logger.warning("%s was skipped: %s", show_name(path), reason)
    tally.drop(NOT_REGULAR)
    return False
