"""Names from data and users do not become paths: nothing is written outside `out`."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import terminal
from microbench_ray.cli.settings.benchmark import ScoresConf
from microbench_ray.cli.settings.sweep import SweepConf
from microbench_ray.core.errors import DataError
from microbench_ray.core.storage.folders import MAX_NAME_BYTES, file_name
from microbench_ray.data import Benchmark, read_release
from microbench_ray.methods import build_method
from microbench_ray.report.results import show_results
from microbench_ray.sweeps.driver import SweepJob, run_sweep
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules
from tests.helpers.errors import refuses
from tests.helpers.small_sweep import columns

WORST = ["../../x", "/etc/x", "a\0b", "x" * 300, "a/b", ".."]
NAMES = [*WORST, "ü" * 300, ".", ".hidden", "C:\\x", "a\nb", "~", "$HOME", "-rf", "é" * 75]


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_becomes_one_safe_part_of_a_path(name: str, tmp_path: Path) -> None:
    part = file_name(name)
    assert part == Path(part).name
    assert part[0] != "."
    assert "\0" not in part
    assert len(part.encode()) <= MAX_NAME_BYTES
    (tmp_path / f"{part}.png").touch()
    assert everything(tmp_path) == [f"{part}.png"]


def test_long_names_with_a_common_prefix_stay_distinct() -> None:
    assert file_name("x" * 300) != file_name("x" * 301)
    assert file_name("mmlu_pro-2.1") == "mmlu_pro-2.1"


@pytest.mark.filterwarnings("ignore:Glyph", "ignore:constrained_layout")
@pytest.mark.parametrize(
    ("name", "drawn"), [*((name, False) for name in WORST), pytest.param("a\0b", True, marks=pytest.mark.slow, id="drawn")]
)
def test_nothing_is_written_outside_the_folder(name: str, drawn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not drawn:  # drawing takes seconds; the names of the files are the same
        for function in ("_png", "_svg"):
            monkeypatch.setattr(f"microbench_ray.report.figures.{function}", lambda figure: b"image")
    home = tmp_path / "home" / "deep" / "er"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    world = columns(30, 40)
    ids, subtasks = world.pop("item_id"), world.pop("subtask")
    board = Benchmark.from_arrays(
        name,
        np.stack(list(world.values())),
        [name, *ids[1:]],
        [name, *list(world)[1:]],
        subtasks=[name if subtask == "s0" else subtask for subtask in subtasks],
    )
    method = build_method(name, {"name": "random"}, {"name": "mean"})
    targets = Targets(name, names=tuple(board.model_ids[:6]))
    grid = Grid(sizes=(3, 5), n_source=(5,), runs=2, subtasks="separate")
    job = SweepJob(
        benchmarks=(board,),
        methods=(method,),
        grid=grid,
        targets=targets,
        rules=Rules(n_resamples=100),
        engine=SerialEngine(),
        out=home / "out",
        keep_estimates=True,
    )
    outcome = run_sweep(job, job.plan())
    assert outcome.failed == 0
    show_results(terminal(), outcome.tables, home / "out", figures=True)
    assert everything(home.parent)[:2] == ["er", "er/out"]
    assert everything(tmp_path)[:3] == ["home", "home/deep", "home/deep/er"]
    assert {path.split("/")[0] for path in everything(home / "out")} == {
        "agreement.parquet", "cells", "costs", "estimates", "failures.parquet", "figures", "manifest.json", "mdad.parquet",
        "resamples", "standings.parquet", "stops", "summary.parquet",
    }  # fmt: skip
    assert len(everything(home / "out" / "figures")) >= 4
    assert not [path for path in (home / "out").rglob("*") if path.name[0] == "."]
    assert set(pq.read_table(home / "out" / "mdad.parquet")["method"].to_pylist()) == {name}


@pytest.mark.parametrize("name", NAMES)
def test_the_default_folder_is_inside_results(name: str, tmp_path: Path) -> None:
    table = tmp_path / "board.parquet"
    pq.write_table(pa.table(columns(30, 40)), table)
    method = build_method("random", {"name": "random"}, {"name": "mean"})
    conf = SweepConf()
    conf.grid.sizes, conf.grid.n_source, conf.grid.n_target = [3], [5], 5
    conf.engine.name = "serial"
    for benchmarks in (
        [ScoresConf(path=str(table), name=name)],
        [ScoresConf(path=str(table), name=f"{name}{k}") for k in range(9)],
    ):
        out = Path(conf.job(benchmarks, [method], {}).out)
        assert out.parent == Path("results")
        assert out.name not in ("", ".", "..")
        assert len(out.name.encode()) <= 255


class Malicious:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("owned",)


def test_no_pickle_is_loaded_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Malicious()], dtype=object)
    for name in ("models-by-confidence_combined", "models-by-correctness_combined", "labels_combined"):
        np.save(tmp_path / f"x_{name}.npy", objects, allow_pickle=True)
    (tmp_path / "x_subtask-idx-ranges.json").write_text("[[0, 1]]")
    with refuses(DataError, ".npy", where="x_models-by-confidence_combined.npy"):
        read_release(tmp_path / "x")
    (tmp_path / "x_models-by-confidence_combined.npy").write_bytes(pickle.dumps(Malicious()))
    with refuses(DataError, ".npy", where="x_models-by-confidence_combined.npy"):
        read_release(tmp_path / "x")
    assert not (tmp_path / "owned").exists()
