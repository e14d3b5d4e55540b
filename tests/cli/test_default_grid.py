"""`microbench sweep` without keys of the grid: it fits the board, says so, and the manifest holds the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.sweeps.grid import Grid
from tests.helpers.small_sweep import columns, write_board

QUIET = ("engine=serial", "figures=false", "report=false", "n_resamples=100")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """12 models and 60 items."""
    rest = columns(12, 60)
    path = tmp_path / "small.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in [rest.keys(), *zip(*rest.values(), strict=True)]))
    return path


def test_a_small_board_needs_no_keys_of_the_grid(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = ["benchmark=scores", f"benchmark.path={small}"]
    assert main(["sweep", *board, "methods=[random]", f"out={tmp_path / 'out'}", *QUIET]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "grid." in line]
    assert line.startswith("small: 12 models, 60 items")
    assert "grid.sizes=[5,10,25] grid.n_source=[8] grid.n_target=4" in line
    mdad = pq.read_table(tmp_path / "out" / "mdad.parquet")
    assert set(mdad["size"].to_pylist()) == {5, 10, 25}
    grid = json.loads((tmp_path / "out" / "manifest.json").read_text())["config"]["grid"]
    assert (grid["sizes"], grid["n_source"], grid["n_target"], grid["runs"]) == ([5, 10, 25], [8], 4, 20)


@pytest.mark.slow
def test_every_default_method_works_on_a_small_board(small: Path, tmp_path: Path) -> None:
    board = ["benchmark=scores", f"benchmark.path={small}"]
    assert main(["sweep", *board, "grid.runs=2", f"out={tmp_path / 'out'}", *QUIET]) == 0


def test_the_synthetic_leaderboard_keeps_its_grid() -> None:
    _, job = Composer("sweep", []).sweep()
    assert job.grid == Grid(sizes=(10, 25, 50, 100, 250, 500), n_source=(100,), n_target=50, runs=20)
    assert job.benchmark_sizes == {}


def test_given_keys_stay_and_are_not_mentioned(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["grid.sizes=[7]", "grid.n_source=[6]", "grid.n_target=3", "plan_only=true", "methods=[random]"]
    assert main(["sweep", "benchmark=scores", f"benchmark.path={small}", *given]) == 0
    assert "grid." not in capsys.readouterr().err
    assert main(["sweep", "benchmark=scores", f"benchmark.path={small}", *given, "grid.n_source=[100]"]) == 1
    message = capsys.readouterr().err
    assert "100 source models" in message
    assert "n_source of at most 9" in message


def test_a_list_alone_needs_no_grid(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("i0\ni1\ni2\n")
    fixed = f"methods=[{{method: fixed, selector: {{path: {tmp_path / 'list.txt'}}}}}]"
    assert main(["sweep", "benchmark=scores", f"benchmark.path={small}", fixed, "plan_only=true"]) == 0
    assert "grid." not in capsys.readouterr().err


def test_sizes_of_a_benchmark_are_not_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = write_board(tmp_path / "board.parquet")
    arguments = [
        "sweep",
        "benchmark=scores",
        f"benchmark.path={board}",
        "benchmark.sizes=[4,8]",
        "methods=[random]",
        "plan_only=true",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "board: sizes 4, 8" in printed.err
    assert "grid.n_source=[27] grid.n_target=13" in printed.err
    assert "grid.sizes" not in printed.err
    assert "40 cells" in printed.out


def test_two_models_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "two.csv"
    table.write_text("item_id,org/a,org/b\n" + "".join(f"q{item},{item % 2},{item % 3 == 0:d}\n" for item in range(12)))
    assert main(["sweep", "benchmark=scores", f"benchmark.path={table}", "methods=[random]", "plan_only=true"]) == 1
    message = capsys.readouterr().err
    assert "at least 3 models" in message
    assert "2 models" in message
