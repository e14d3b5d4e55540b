"""Files of a few kilobytes that describe gigabytes: compressed texts are read up to a limit."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from microbench_ray.core.parquet import OversizedTable, memory_limit

CELL_BYTES = 4
"""How many times the bytes of a text its cells take in memory: a number of 8 bytes for each `0,`."""


class _Bounded(io.RawIOBase):
    """The bytes of a compressed file, up to a limit or an error, which is kept in `error`."""

    error: Exception | None = None

    def __init__(self, source: gzip.GzipFile | pa.CompressedInputStream, n_bytes: int) -> None:
        self._source, self._n_bytes = source, n_bytes
        self._limit = self._left = memory_limit(n_bytes) // CELL_BYTES

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read up to the size of a buffer."""
        if self.error is not None:
            return 0
        try:
            data = self._source.read(min(len(buffer), self._left + 1))
        except Exception as error:
            self.error = error
            return 0
        self._left -= len(data)
        if self._left < 0:
            self.error = OversizedTable(f"more than {self._limit:,} bytes of text, from a file of {self._n_bytes:,} bytes")
            return 0
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._source.close()
        super().close()


class _Text(io.BufferedReader):
    """A compressed text that ends at its first error, which is raised where the `with` ends.

    Arrow reads ahead in a thread. If reading fails there, Python may wait for that thread for ever when it exits.
    """

    def __init__(self, bounded: _Bounded) -> None:
        super().__init__(bounded, 1 << 20)
        self._bounded = bounded

    def __exit__(self, *raised: object) -> None:
        """Close the file; an error of reading comes before one of what was read."""
        self.close()
        if self._bounded.error is not None:
            raise self._bounded.error


def open_text(path: Path) -> BinaryIO:
    """Open a file of text; `.gz` and `.zst` are decompressed, up to a limit.

    Raises
    ------
    OversizedTable
        Where the `with` ends, if the text is far larger than the file. Other errors of reading come there too.
    """
    name = path.name.lower()
    if not name.endswith((".gz", ".zst")):
        return path.open("rb")
    source = gzip.GzipFile(path, "rb") if name.endswith(".gz") else pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return _Text(_Bounded(source, path.stat().st_size))
