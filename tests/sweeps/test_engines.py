"""The tables are the same whatever computes them, in whatever order, and after whatever befell the sweep before."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
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
from microbench_ray.sweeps.shards import Shard
from tests.helpers.small_sweep import assert_same_tables, command, read_cells, run_cli

N_CELLS, N_SHARDS = 240, 8


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the shards that are evaluated in this process."""
    ids: list[str] = []
    evaluate = serial.evaluate_shard

    def counting(shard: Shard, benchmark: Benchmark):
        ids.append(shard.id)
        return evaluate(shard, benchmark)

    monkeypatch.setattr(serial, "evaluate_shard", counting)
    return ids


def sweep_of(arguments: Sequence[str], engine: Engine | None = None) -> SweepJob:
    _, sweep = Composer("sweep", arguments[1:]).sweep()
    return sweep if engine is None else dataclasses.replace(sweep, engine=engine)


def run(sweep: SweepJob) -> SweepOutcome:
    return run_sweep(sweep, sweep.plan(), lambda text: None)


class Shuffled(SerialEngine):
    """Computes the shards in another order."""

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        yield from super().run(benchmarks, [shards[k] for k in np.random.default_rng(3).permutation(len(shards))])


class Unusable(SerialEngine):
    """Must not be started."""

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
def test_two_ray_workers_give_the_same_tables(board: Path, tmp_path: Path, reference: Path, ray_session) -> None:
    assert main(command(board, tmp_path, "engine.workers=2", "sizes_apart=true", engine="local")) == 0
    assert ray_session.is_initialized(), "a Ray that was there before is left running"
    assert_same_tables(tmp_path, reference)


def test_a_finished_sweep_starts_no_engine(board: Path, tmp_path: Path, evaluated: list[str]) -> None:
    arguments = command(board, tmp_path)
    run(sweep_of(arguments))
    assert len(evaluated) == len(set(evaluated)) == N_SHARDS
    outcome = run(sweep_of(arguments, Unusable()))
    assert (outcome.computed, outcome.reused) == (0, N_CELLS)


class Mixed(SerialEngine):
    """Says that two kinds of machines computed, and that a worker was lost."""

    machines = frozenset({"old processor; OpenBLAS", "new processor; OpenBLAS"})
    lost: Mapping[str, int] = {"WorkerCrashedError": 2, "NodeDiedError": 1}


def test_machines_that_differ_and_attempts_that_were_lost_are_told_and_kept(board: Path, tmp_path: Path) -> None:
    told: list[str] = []
    sweep = sweep_of(command(board, tmp_path), Mixed())
    run_sweep(sweep, sweep.plan(), told.append)
    (mixed,) = [text for text in told if "last bits" in text]
    assert mixed.splitlines()[1:] == ["  new processor; OpenBLAS", "  old processor; OpenBLAS"]
    (lost,) = [text for text in told if "lost" in text]
    assert lost.startswith("3 attempts at shards were lost (1 by NodeDiedError, 2 by WorkerCrashedError)")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["machines"] == sorted(Mixed.machines)
    assert manifest["lost_attempts"] == Mixed.lost
    del told[:]
    run_sweep(sweep, sweep.plan(), told.append)
    assert not [text for text in told if "last bits" in text], "nothing was computed"


def test_only_what_is_missing_is_computed(board: Path, tmp_path: Path, reference: Path, evaluated: list[str]) -> None:
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


SLOW_SERIAL = """
import time
from microbench_ray.cli import main as cli
from microbench_ray.cli.settings import sweep as settings
from microbench_ray.sweeps.engine.serial import SerialEngine

class Slow(SerialEngine):
    def run(self, benchmarks, shards):
        for pair in super().run(benchmarks, shards):
            yield pair
            time.sleep(0.3)

settings.SerialEngine = Slow
cli.entry_point()
"""

SLOW_RAY = """
import time
from microbench_ray.cli import main as cli
from microbench_ray.sweeps.engine import ray_engine

work = ray_engine.work

def slow(*arguments):
    time.sleep(0.5)
    return work(*arguments)

ray_engine.work = slow
cli.entry_point()
"""


class Stopped:
    """A sweep in a process of its own, to be sent a signal half way, with all of its group."""

    def __init__(self, program: str, arguments: list[str], out: Path, number: int) -> None:
        self.out, self.number, self.sent = out, number, False
        self.log = out.with_name(out.name + ".log")  # no pipe: what Ray leaves behind for a moment would hold it
        with self.log.open("w") as log:
            words = [sys.executable, "-c", program, *arguments]
            self.process = subprocess.Popen(words, start_new_session=True, stdout=log, stderr=subprocess.STDOUT)

    def poll(self) -> bool:
        """Send the signal if it is time; whether it is sent."""
        if not self.sent and len(done_in(self.out)) >= 2:
            self.sent = True
            os.killpg(self.process.pid, self.number)
        assert self.sent or self.process.poll() is None, self.log.read_text()
        return self.sent

    def check(self) -> None:
        """See that it ended as it should, and half way."""
        code = self.process.wait(timeout=10)
        log = self.log.read_text()
        assert "Traceback" not in log
        assert 2 <= len(done_in(self.out)) < N_SHARDS
        assert not (self.out / "mdad.parquet").exists()
        if self.number == signal.SIGKILL:
            assert code == -signal.SIGKILL
        else:
            assert code == 130, log
            assert "the same command goes on from here" in log
            assert not list(self.out.rglob("*.tmp"))


def stop_half_way(sweep: Stopped) -> None:
    """Wait until it is sent its signal, and has ended."""
    deadline = time.monotonic() + 60
    try:
        while not sweep.poll():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        sweep.check()
    finally:
        if sweep.process.poll() is None:
            os.killpg(sweep.process.pid, signal.SIGKILL)


def done_in(out: Path) -> set[str]:
    return {path.stem for path in (out / "cells").glob("*.parquet")}


def test_a_killed_sweep_goes_on_where_it_was(board: Path, tmp_path: Path, reference: Path, evaluated: list[str]) -> None:
    out = tmp_path / "out"
    arguments = command(board, out)
    stop_half_way(Stopped(SLOW_SERIAL, arguments, out, signal.SIGKILL))
    done = done_in(out)
    assert main(arguments) == 0
    assert len(evaluated) == N_SHARDS - len(done)
    assert not done & set(evaluated)
    assert_same_tables(out, reference)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_says_so_and_goes_on_where_it_was(
    number: signal.Signals, board: Path, tmp_path: Path, reference: Path
) -> None:
    out = tmp_path / "out"
    arguments = command(board, out)
    stop_half_way(Stopped(SLOW_SERIAL, arguments, out, number))
    assert main(arguments) == 0
    assert_same_tables(out, reference)


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_sweep_on_one_ray_worker_goes_on_where_it_was(board: Path, tmp_path: Path, reference: Path) -> None:
    out = tmp_path / "out"
    arguments = command(board, out, "engine.workers=1", engine="local")
    stop_half_way(Stopped(SLOW_RAY, arguments, out, signal.SIGKILL))
    left = N_CELLS - 30 * len(done_in(out))
    resumed = run_cli(arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert "local Ray, 1 worker;" in resumed.stdout
    assert f"{N_CELLS - left} of 240 cells are done already" in resumed.stdout
    assert f"{left}/{left} cells" in resumed.stderr
    assert "Traceback" not in resumed.stderr
    assert_same_tables(out, reference)


def test_kept_estimates_are_those_that_the_cells_are_computed_from(board: Path, tmp_path: Path, reference: Path) -> None:
    assert main(command(board, tmp_path, "keep_estimates=true")) == 0
    assert_same_tables(tmp_path, reference)
    kept = ds.dataset(tmp_path / "estimates", format="parquet").to_table()
    assert len(kept) == N_CELLS * 15
    cells = read_cells(tmp_path).filter(pc.field("split") == "seen")
    key = ["method", "n_source", "size", "run"]
    error = pc.abs(pc.subtract(kept["accuracy_seen"], kept["estimate"]))
    means = kept.append_column("error", error).group_by(key).aggregate([("error", "mean"), ("error", "count")])
    joined = cells.select([*key, "mean_abs_error"]).join(means, key)
    assert len(joined) == N_CELLS
    assert set(joined["error_count"].to_pylist()) == {15}
    np.testing.assert_allclose(joined["mean_abs_error"], joined["error_mean"], rtol=1e-12)


def test_a_sweep_leaves_the_global_random_state_alone(board: Path, tmp_path: Path) -> None:
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = np.random.get_state()[1].copy(), np.random.get_state()[2:], random.getstate()  # noqa: NPY002
    assert main(command(board, tmp_path)) == 0
    after = np.random.get_state()[1], np.random.get_state()[2:], random.getstate()  # noqa: NPY002
    assert np.array_equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_the_global_random_state_changes_nothing(board: Path, tmp_path: Path, reference: Path) -> None:
    np.random.seed(77)  # noqa: NPY002
    random.seed(77)
    assert main(command(board, tmp_path)) == 0
    assert_same_tables(tmp_path, reference)
