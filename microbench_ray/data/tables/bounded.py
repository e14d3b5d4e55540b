"""Files of a few kilobytes that describe gigabytes: compressed texts are read up to a limit."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, BinaryIO

from microbench_ray.core.parquet import OversizedTable, memory_limit

CELL_BYTES = 4
"""How many times the bytes of a text its cells take in memory: a number of 8 bytes for each `0,`."""


class _Bounded(io.RawIOBase):
    """The bytes of a compressed file, up to a limit."""

    def __init__(self, source: gzip.GzipFile, n_bytes: int) -> None:
        self._source, self._n_bytes = source, n_bytes
        self._limit = self._left = memory_limit(n_bytes) // CELL_BYTES

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to the size of a buffer."""
        data = self._source.read(min(len(buffer), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise OversizedTable(f"more than {self._limit:,} bytes of text, from a file of {self._n_bytes:,} bytes")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._source.close()
        super().close()


def open_text(path: Path) -> BinaryIO:
    """Open a file of text; `.gz` is decompressed, up to a limit.

    Raises
    ------
    OversizedTable
        While it is read, if the text is far larger than the file.
    """
    if not path.name.lower().endswith(".gz"):
        return path.open("rb")
    source = gzip.GzipFile(path, "rb")
    return io.BufferedReader(_Bounded(source, path.stat().st_size), 1 << 20)
