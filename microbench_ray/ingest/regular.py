"""Files that are safe to open: no pipes, which wait for ever, no devices and no links to nowhere."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from microbench_ray.data.names import show_name
from microbench_ray.ingest.base import Tally

logger = logging.getLogger(__name__)

NOT_REGULAR = "paths that are not regular files"


def is_regular(path: Path, tally: Tally) -> bool:
    """Whether a path is a regular file, or a link to one. Any other path is logged and counted in `tally`."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    else:
        if stat.S_ISREG(mode):
            return True
        reason = "a folder" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "not a regular file"
    logger.warning("%s was skipped: %s", show_name(path), reason)
    tally.drop(NOT_REGULAR)
    return False
