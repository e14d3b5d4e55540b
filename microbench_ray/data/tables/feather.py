"""The size of a Feather (Arrow IPC) file in memory, from the lengths in front of its compressed buffers, before they are read."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

from microbench_ray.core.parquet import OversizedTable, memory_limit

MAGIC = b"ARROW1"


class _Table:
    """A table of the FlatBuffers format: a place in bytes, with fields found through a list of offsets."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - _integer(data, at, "<i")

    @classmethod
    def root(cls, data: memoryview) -> _Table:
        return cls(data, _integer(data, 0, "<I"))

    def _place(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot >= _integer(self._data, self._fields, "<H"):
            return None
        offset = _integer(self._data, self._fields + slot, "<H")
        return self._at + offset if offset else None

    def number(self, field: int, kind: str) -> int:
        place = self._place(field)
        return 0 if place is None else _integer(self._data, place, kind)

    def table(self, field: int) -> _Table | None:
        place = self._place(field)
        return None if place is None else _Table(self._data, place + _integer(self._data, place, "<I"))

    def structs(self, field: int, kind: str) -> Iterator[tuple[int, ...]]:
        """The elements of a list of structs."""
        place = self._place(field)
        if place is None:
            return
        start = place + _integer(self._data, place, "<I")
        width = struct.calcsize(kind)
        for position in range(_integer(self._data, start, "<I")):
            yield struct.unpack_from(kind, self._data, start + 4 + position * width)


def _integer(data: memoryview, at: int, kind: str) -> int:
    if at < 0:
        raise struct.error("a place before the start")
    return int(struct.unpack_from(kind, data, at)[0])


def check_feather(buffer: pa.Buffer) -> None:
    """Check the size of a file's buffers in memory.

    Parameters
    ----------
    buffer
        The content of the file, for example memory-mapped.

    Raises
    ------
    OversizedTable
        They would take more than `memory_limit`.
    pyarrow.ArrowInvalid
        The file is damaged.
    """
    data = memoryview(buffer)
    limit = memory_limit(len(data))
    total = 0
    try:
        for size in _sizes(data):
            total += size
            if total > limit:
                raise OversizedTable(f"more than {limit:,} bytes in memory, from a file of {len(data):,} bytes")
    except struct.error:
        raise pa.ArrowInvalid("the places in the file lie outside it") from None


def _sizes(data: memoryview) -> Iterator[int]:
    """Bytes in memory of every buffer of every batch, and of dictionaries, that the footer names."""
    if bytes(data[-6:]) != MAGIC:
        raise pa.ArrowInvalid("not an Arrow file")
    length = _integer(data, len(data) - 10, "<i")
    footer = _Table.root(data[len(data) - 10 - length : len(data) - 10])
    for field in (2, 3):  # dictionaries, recordBatches: of offset, length of the metadata, length of the body
        for offset, metadata_length, _, body_length in footer.structs(field, "<qiiq"):
            prefix = 8 if _integer(data, offset, "<I") == 0xFFFFFFFF else 4
            body = data[offset + metadata_length : offset + metadata_length + body_length]
            header = _Table.root(data[offset + prefix : offset + metadata_length]).table(2)
            batch = header if field == 3 or header is None else header.table(1)
            if batch is None:
                continue
            compressed = batch.table(3) is not None
            for start, size in batch.structs(2, "<qq"):
                known = _integer(body, start, "<q") if compressed and size >= 8 else -1
                yield size if known < 0 else known
