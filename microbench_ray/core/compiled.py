"""Compiled functions, whose machine code is kept between processes where a folder for it can be written."""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba

logger = logging.getLogger(__name__)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator like `numba.njit(cache=True)` that also works where neither the package's folder nor the home can be written.

    Numba then raises an error while the module is imported. The machine code is kept in `fallback_folder` instead, or not at all.

    Parameters
    ----------
    options
        Those of `numba.njit`, without `cache`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:  # numba has no class for "no locator available"
            logger.debug("%s", error)
        folder = fallback_folder()
        if folder is None:
            return numba.njit(**options)(function)
        config: Any = numba.config
        configured, config.CACHE_DIR = config.CACHE_DIR, str(folder)
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:
            logger.debug("%s", error)
            return numba.njit(**options)(function)
        finally:
            config.CACHE_DIR = configured

    return decorate


@cache
def fallback_folder() -> Path | None:
    """A folder for temporary files that only this user can write, because machine code is run from it; None if there is none."""
    user = os.getuid()
    try:
        folder = Path(tempfile.gettempdir()) / f"microbench-ray-{version('microbench-ray')}-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o022:
            raise PermissionError(f"{folder} is a link, or other users can write it")
    except OSError as error:
        logger.info("Compiled code is not kept, so every process compiles it again for some seconds: %s", error)
        return None
    logger.debug("Compiled code is kept in %s", folder)
    return folder
