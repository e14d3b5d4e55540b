"""Cells that were edited by hand, as valid Parquet, are recognised by the digests of the manifest."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from microbench_ray.sweeps.driver import run_reduce
from microbench_ray.sweeps.reduce import Rules
from microbench_ray.sweeps.results import DamagedFiles
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import assert_same_tables, command


def edit(path: Path) -> None:
    """Write a cell file again, with another mean error in each row."""
    table = pq.read_table(path)
    place = table.column_names.index("mean_abs_error")
    other = pa.array([value / 2 for value in table["mean_abs_error"].to_pylist()])
    pq.write_table(table.set_column(place, table.schema.field(place), other), path)


@pytest.fixture
def swept(board: Path, reference: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """A finished sweep with an edited file, and its command."""
    out = tmp_path / "out"
    shutil.copytree(reference, out)
    digests = json.loads((out / "manifest.json").read_text())["cell_digests"]
    assert sorted(digests) == sorted(path.stem for path in (out / "cells").glob("*.parquet"))
    edit(sorted((out / "cells").glob("*.parquet"))[0])
    return out, command(board, out)


def test_edited_cells_are_set_aside_and_computed_again(
    swept: tuple[Path, list[str]], reference: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, arguments = swept
    before = json.loads((out / "manifest.json").read_text())["cell_digests"]
    assert main(arguments) == 0
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "manifest.json" in warning
    assert len(list((out / "set_aside").iterdir())) == 1
    assert_same_tables(out, reference)
    assert json.loads((out / "manifest.json").read_text())["cell_digests"] == before
    caplog.clear()
    assert main(arguments) == 0
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


def test_edited_cells_are_not_reduced(swept: tuple[Path, list[str]]) -> None:
    out, _ = swept
    with refuses(DamagedFiles, "cannot be read", where="cells", got="manifest.json", hint="rerun"):
        run_reduce(out, Rules())


@pytest.mark.parametrize(
    "digests", [None, {"another": 1}, pytest.param([], marks=pytest.mark.slow), pytest.param("x", marks=pytest.mark.slow)]
)
def test_a_manifest_without_digests_expects_none(swept: tuple[Path, list[str]], digests: object) -> None:
    out, arguments = swept
    manifest = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps(manifest | {"cell_digests": digests}))
    assert main(arguments) == 0
    assert not (out / "set_aside").exists()
