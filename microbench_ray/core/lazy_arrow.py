"""`pyarrow.compute` and `pyarrow.parquet`, imported on first use: they take longer to import than a small table to read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
else:

    class _Module:
        """A module that is imported when one of its names is first used."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(self._name), name)

    pc = _Module("pyarrow.compute")
    pq = _Module("pyarrow.parquet")

__all__ = ["pc", "pq"]
