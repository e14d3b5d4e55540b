"""Workbooks with several sheets: never guessed, all named, one chosen by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import microbench_ray as mb
from microbench_ray.core.errors import DataError
from microbench_ray.data import read_ingested, read_scores
from microbench_ray.data.tables.keys import table_keys
from microbench_ray.ingest.base import Options
from microbench_ray.ingest.run import IngestJob, run_ingest
from tests.helpers.errors import refuses

SCORES = pd.DataFrame({"item_id": ["q1", "q2", "q3"], "ada": [1, 0, 1], "bob": [0, 0, 1]})
OTHERS = SCORES.assign(ada=[0, 0, 0])


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    with pd.ExcelWriter(tmp_path / "t.xlsx") as writer:
        for name, frame in (("main scores", SCORES), ("2025", OTHERS), ("empty", pd.DataFrame())):
            frame.to_excel(writer, sheet_name=name, index=False)
    return tmp_path / "t.xlsx"


def test_the_sheet_is_named(workbook: Path, tmp_path: Path) -> None:
    with refuses(DataError, "several sheets", where="t.xlsx", got="'main scores', '2025'", hint="'sheet=\"main scores\"'"):
        read_scores(workbook)
    assert read_scores(workbook, sheet="main scores").scores.tolist() == [[1, 0, 1], [0, 0, 1]]
    assert mb.benchmark(str(workbook), sheet="2025").scores.tolist() == [[0, 0, 0], [0, 0, 1]]
    options = Options(table=table_keys(sheet="2025"))
    run_ingest(IngestJob(source="table", path=str(workbook), out=tmp_path / "out", options=options))
    assert read_ingested(tmp_path / "out").scores.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert table_keys(**options.table.settings()) == options.table


@pytest.mark.parametrize(
    ("sheet", "word", "hint"), [("scores", "no sheet", "did you mean main scores?"), ("empty", "no cells", "valid: 2025")]
)
def test_a_sheet_that_holds_nothing(workbook: Path, sheet: str, word: str, hint: str) -> None:
    with refuses(DataError, word, where="t.xlsx", got="'main scores', '2025'", hint=hint):
        read_scores(workbook, sheet=sheet)


@pytest.mark.parametrize("given", [SCORES, "t.csv"])
def test_tables_without_sheets(given: Any, tmp_path: Path) -> None:
    SCORES.to_csv(tmp_path / "t.csv", index=False)
    with refuses(DataError, "workbooks", hint="leave out sheet="):
        mb.benchmark(tmp_path / given if isinstance(given, str) else given, sheet="x")
