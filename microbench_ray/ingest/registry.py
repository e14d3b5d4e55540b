"""The formats that are read, by the name that `source` gives."""

from __future__ import annotations

from microbench_ray.errors import ConfigError
from microbench_ray.ingest.base import Reader

READERS: dict[str, Reader] = {}


def reader(source: str) -> Reader:
    """The reader of a format; ConfigError for one that is not known."""
    if source not in READERS:
        raise ConfigError("Unknown format of logs.", where="source", got=source, mend=f"valid: {', '.join(sorted(READERS))}")
    return READERS[source]
