"""From the logs of each further tool to a table of MDADs with two commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microbench_ray.data import read_ingested
from tests.helpers import further_logs, tool_logs
from tests.ingest.test_end_to_end import assert_all_cells, two_commands

WRITERS = tool_logs.WRITERS | further_logs.WRITERS


@pytest.mark.slow
@pytest.mark.parametrize("layout", sorted(WRITERS))
def test_two_commands(layout: str, tmp_path: Path) -> None:
    source, write = WRITERS[layout]
    truth = write(tmp_path / "logs", n_items=20)
    assert_all_cells(two_commands(source, tmp_path / "logs", tmp_path))
    benchmark = read_ingested(tmp_path / "board")
    accuracy = dict(zip(benchmark.model_ids, (benchmark.scores / benchmark.units).mean(axis=1), strict=True))
    assert accuracy == pytest.approx({model: float(np.mean(values)) for model, values in truth.items()}, abs=1e-9)
