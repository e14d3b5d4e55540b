"""The tables do not depend on the engine, the order of the shards, or interruptions of the sweep."""

from __future__ import annotations

import dataclasses
import json
import logging
import random
import signal
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from microbench_ray.cli.compose import Composer
from microbench_ray.cli.main import main
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.driver import SweepJob, SweepOutcome, run_sweep
from microbench_ray.sweeps.engine import serial
from microbench_ray.sweeps.engine.base import Engine, Result
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.shards import Shard
from tests.helpers.drivers import SHARDS_BEFORE_GATE, PausedDriver, ray_driver, serial_driver
from tests.helpers.processes import run_command
from tests.helpers.small_sweep import assert_same_tables, command, read_cells

N_CELLS, N_SHARDS = 240, 8


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the shards evaluated in this process."""
    ids: list[str] = []

    def recording(shard: Shard, benchmark: Benchmark) -> Mapping[str, pa.Table]:
        ids.append(shard.id)
        return evaluate_shard(shard, benchmark)

    monkeypatch.setattr(serial, "evaluate_shard", recording)
    return ids


def sweep_of(arguments: Sequence[str], engine: Engine | None = None) -> SweepJob:
    _, sweep = Composer("sweep", arguments[1:]).sweep()
    return sweep if engine is None else dataclasses.replace(sweep, engine=engine)


def run(sweep: SweepJob) -> SweepOutcome:
    return run_sweep(sweep, sweep.plan())


class Shuffled(SerialEngine):
    """Computes the shards in another order."""

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        yield from super().run(benchmarks, [shards[k] for k in np.random.default_rng(3).permutation(len(shards))])


class Unusable(SerialEngine):
    """Fails if it is started."""

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        raise AssertionError("an engine was started")


def test_the_configured_engine_gives_the_tables_of_the_serial_one(
    board: Path, tmp_path: Path, reference: Path, engine: Engine
) -> None:
    outcome = run(sweep_of(command(board, tmp_path), engine))
    assert (outcome.computed, outcome.reused, outcome.failed) == (N_CELLS, 0, 0)
    assert_same_tables(tmp_path, reference)


def test_the_order_of_the_shards_changes_nothing(board: Path, tmp_path: Path, reference: Path) -> None:
    run(sweep_of(command(board, tmp_path), Shuffled()))
    assert_same_tables(tmp_path, reference)


def test_one_size_per_shard_changes_nothing(board: Path, tmp_path: Path, reference: Path) -> None:
    assert main(command(board, tmp_path, "sizes_apart=true")) == 0
    assert len(list((tmp_path / "cells").glob("*.parquet"))) == 3 * N_SHARDS
    assert_same_tables(tmp_path, reference)


def test_the_order_in_the_configuration_changes_nothing(board: Path, tmp_path: Path, reference: Path) -> None:
    other = ["grid.sizes=[20,5,10]", "grid.n_source=[20,10]", "methods=[stratified_confidence,random]"]
    kept = [each for each in command(board, tmp_path) if not each.startswith(("grid.sizes", "grid.n_source", "methods"))]
    assert main([*kept, *other]) == 0
    assert_same_tables(tmp_path, reference)


@pytest.mark.ray
def test_two_ray_workers_give_the_same_tables(board: Path, tmp_path: Path, reference: Path, ray_session: Any) -> None:
    assert main(command(board, tmp_path, "engine.workers=2", engine="local")) == 0
    assert ray_session.is_initialized(), "a Ray that was already running is left running"
    assert_same_tables(tmp_path, reference)


def test_a_finished_sweep_starts_no_engine(board: Path, tmp_path: Path, evaluated: list[str]) -> None:
    arguments = command(board, tmp_path)
    run(sweep_of(arguments))
    assert len(evaluated) == len(set(evaluated)) == N_SHARDS
    outcome = run(sweep_of(arguments, Unusable()))
    assert (outcome.computed, outcome.reused) == (0, N_CELLS)


class Mixed(SerialEngine):
    """Reports two kinds of machines and lost attempts."""

    machines = frozenset({"old processor; OpenBLAS", "new processor; OpenBLAS"})
    lost: ClassVar[Mapping[str, int]] = {"WorkerCrashedError": 2, "NodeDiedError": 1}


def test_different_machines_and_lost_attempts_are_logged_and_recorded(
    board: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sweep = sweep_of(command(board, tmp_path), Mixed())
    run(sweep)
    mixed, lost = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert mixed.splitlines()[1:] == ["  new processor; OpenBLAS", "  old processor; OpenBLAS"]
    assert lost.startswith("3 attempts")
    assert "(1 by NodeDiedError, 2 by WorkerCrashedError)" in lost
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["machines"] == sorted(Mixed.machines)
    assert manifest["lost_attempts"] == Mixed.lost
    caplog.clear()
    run(sweep)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING], "nothing was computed"


def test_only_missing_cells_are_computed(board: Path, tmp_path: Path, reference: Path, evaluated: list[str]) -> None:
    arguments = command(board, tmp_path)
    run(sweep_of([*arguments, "grid.runs=10"]))
    assert len(evaluated) == N_SHARDS / 2
    lost = sorted((tmp_path / "cells").glob("*.parquet"))[0]
    lost.unlink()
    (tmp_path / "cells" / f".{lost.name}.4711.tmp").write_bytes(b"PAR1 and not much more")
    (tmp_path / ".manifest.json.4711.tmp").write_text("{")
    del evaluated[:]
    outcome = run(sweep_of(arguments))
    assert len(evaluated) == N_SHARDS / 2 + 1
    assert lost.stem in evaluated
    assert outcome.computed + outcome.reused == N_CELLS
    assert_same_tables(tmp_path, reference)


def done_in(out: Path) -> set[str]:
    return {path.stem for path in (out / "cells").glob("*.parquet")}


def stop_half_way(driver: PausedDriver, out: Path, number: signal.Signals) -> None:
    """Send a signal to a paused driver and check how it ends."""
    try:
        driver.child.send_signal(number)
        code = driver.child.wait(30)
    finally:
        driver.close()
    log = driver.log.read_text()
    assert "Traceback" not in log
    assert len(done_in(out)) == SHARDS_BEFORE_GATE
    assert not (out / "mdad.parquet").exists()
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
    else:
        assert code == 130, log
        assert "rerun" in log
        assert not list(out.rglob("*.tmp"))


def test_a_killed_sweep_resumes(board: Path, tmp_path: Path, reference: Path, evaluated: list[str]) -> None:
    out = tmp_path / "out"
    arguments = command(board, out)
    stop_half_way(PausedDriver(serial_driver, arguments, tmp_path), out, signal.SIGKILL)
    done = done_in(out)
    assert main(arguments) == 0
    assert len(evaluated) == N_SHARDS - len(done)
    assert not done & set(evaluated)
    assert_same_tables(out, reference)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_reports_how_to_resume_and_resumes(
    number: signal.Signals, board: Path, tmp_path: Path, reference: Path
) -> None:
    out = tmp_path / "out"
    arguments = command(board, out)
    stop_half_way(PausedDriver(serial_driver, arguments, tmp_path), out, number)
    assert main(arguments) == 0
    assert_same_tables(out, reference)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(("killed", "resumed"), [("local", "auto"), ("auto", "local")])
def test_a_sweep_killed_on_one_engine_resumes_on_another(
    killed: str, resumed: str, board: Path, tmp_path: Path, reference: Path
) -> None:
    out = tmp_path / "out"
    driver = ray_driver if killed == "local" else serial_driver
    stop_half_way(PausedDriver(driver, command(board, out, "engine.workers=1", engine=killed), tmp_path), out, signal.SIGKILL)
    n_missing = N_CELLS - 30 * len(done_in(out))
    done = run_command(command(board, out, "engine.workers=1", engine=resumed), seconds=180)
    assert done.returncode == 0, done.stderr
    assert ("in this process" if resumed == "auto" else "local Ray, 1 worker;") in done.stderr
    assert f"{N_CELLS - n_missing} of {N_CELLS} cells" in done.stderr
    assert f"{n_missing}/{n_missing} cells" in done.stderr
    assert "Traceback" not in done.stderr
    assert_same_tables(out, reference)


def test_kept_estimates_are_those_of_the_cells(board: Path, tmp_path: Path, reference: Path) -> None:
    assert main(command(board, tmp_path, "keep_estimates=true")) == 0
    assert_same_tables(tmp_path, reference)
    estimates = ds.dataset(tmp_path / "estimates", format="parquet").to_table()
    assert len(estimates) == N_CELLS * 15
    cells = read_cells(tmp_path).filter(pc.field("split") == "seen")
    key = ["method", "n_source", "size", "run"]
    error = pc.abs(pc.subtract(estimates["accuracy_seen"], estimates["estimate"]))
    means = estimates.append_column("error", error).group_by(key).aggregate([("error", "mean"), ("error", "count")])
    joined = cells.select([*key, "mean_abs_error"]).join(means, key)
    assert len(joined) == N_CELLS
    assert set(joined["error_count"].to_pylist()) == {15}
    np.testing.assert_allclose(joined["mean_abs_error"], joined["error_mean"], rtol=1e-12)


def test_a_sweep_does_not_change_the_global_random_state(board: Path, tmp_path: Path) -> None:
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before: tuple[Any, ...] = (*np.random.get_state(), random.getstate())  # noqa: NPY002
    assert main(command(board, tmp_path)) == 0
    after: tuple[Any, ...] = (*np.random.get_state(), random.getstate())  # noqa: NPY002
    assert np.array_equal(before[1], after[1])
    assert (before[0], before[2:]) == (after[0], after[2:])


def test_the_global_random_state_changes_nothing(board: Path, tmp_path: Path, reference: Path) -> None:
    np.random.seed(77)  # noqa: NPY002
    random.seed(77)
    assert main(command(board, tmp_path)) == 0
    assert_same_tables(tmp_path, reference)
