"""Restores what a command leaves behind in the process: the level and the handler of the package's logger."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from microbench_ray.core.log import ROOT


@pytest.fixture(autouse=True)
def unchanged_logger() -> Iterator[None]:
    logger = logging.getLogger(ROOT)
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers
