from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.helpers.table_files import write


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write columns, text or bytes to a file in a temporary folder."""

    def put(name: str, content: dict[str, Any] | str | bytes) -> Path:
        path = tmp_path / name
        if isinstance(content, dict):
            return write(pa.table(content), path)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return put


@pytest.fixture
def wide() -> dict[str, Any]:
    """A small valid wide table: 4 items in 2 subtasks, 3 models."""
    return {
        "item_id": ["q1", "q2", "q3", "q4"],
        "subtask": ["b", "b", "a", "a"],
        "ada": np.array([1, 0, 1, 1], np.uint8),
        "bob": np.array([0, 0, 1, 0], np.uint8),
        "cyd": np.array([1, 1, 1, 0], np.uint8),
    }
