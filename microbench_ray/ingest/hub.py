"""Datasets on a model hub, copied to a folder of this machine before they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from microbench_ray.ingest.base import Options

SCHEME = "hf://"


def is_hub(path: str) -> bool:
    """Whether a path names a dataset on the hub."""
    return path.startswith(SCHEME)


def fetch(url: str, into: Path, options: Options, say: Callable[[str], None]) -> Path:
    """Copy what is wanted of a dataset."""
    raise NotImplementedError
