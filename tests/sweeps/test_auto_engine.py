"""engine=auto: in this process or by Ray, whichever finishes first; the same tables; and on without Ray where it does not start."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from microbench_ray.cli.main import main
from microbench_ray.cli.settings.sweep import EngineConf
from microbench_ray.core.errors import ConfigError
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.engine import auto, serial
from microbench_ray.sweeps.engine.auto import AutoEngine
from microbench_ray.sweeps.engine.base import Failure, Result
from microbench_ray.sweeps.engine.dispatch import Limits
from microbench_ray.sweeps.engine.ray_engine import ClusterRayEngine, LocalRayEngine
from microbench_ray.sweeps.engine.ray_start import RayStartError
from microbench_ray.sweeps.engine.serial import SerialEngine
from microbench_ray.sweeps.shards import Shard
from tests.helpers.errors import refuses
from tests.helpers.shards import leaderboard, shards_of
from tests.helpers.small_sweep import assert_same_tables, command


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(auto, "ray_is_running", lambda: False)


def engine_for(workers: int) -> AutoEngine:
    return AutoEngine(by_ray=LocalRayEngine(workers=workers), in_process=SerialEngine())


# With two workers, Ray is done after 7 + seconds / 2: sooner than one process from 14 seconds on; with eight, from 8 on.
@pytest.mark.parametrize(
    ("workers", "seconds", "in_process"),
    [(2, 0.3, True), (2, 13.9, True), (2, 14.1, False), (8, 7.9, True), (8, 8.1, False), (1, 1e6, True)],
)
def test_the_engine_that_finishes_first_is_chosen(
    workers: int, seconds: float, in_process: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine = engine_for(workers)
    assert engine._choose(seconds) is (engine.in_process if in_process else engine.by_ray)
    (record,) = caplog.records
    assert record.getMessage().startswith("engine=auto: in this process" if in_process else "engine=auto: local Ray")


def test_a_ray_that_runs_already_is_used_for_shorter_work(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for(2)
    monkeypatch.setattr(auto, "ray_is_running", lambda: True)
    assert engine._choose(1.9) is engine.in_process
    assert engine._choose(2.1) is engine.by_ray


def test_a_cluster_is_used_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(EngineConf(name="auto").engine(), AutoEngine)
    assert EngineConf(name="auto", address="head:6379").engine() == ClusterRayEngine(address="head:6379", limits=Limits())
    monkeypatch.setenv("RAY_ADDRESS", "other:6379")
    assert isinstance(EngineConf(name="auto").engine(), ClusterRayEngine)
    assert isinstance(EngineConf(name="local").engine(), LocalRayEngine)
    with refuses(ConfigError, "workers", where="engine.workers"):
        EngineConf(name="auto", workers=2).engine()


def test_the_tables_are_those_of_the_serial_engine_and_the_manifest_names_the_engine(
    board: Path, tmp_path: Path, reference: Path
) -> None:
    assert main(command(board, tmp_path, engine="auto")) == 0
    assert_same_tables(tmp_path, reference)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["engine"] == SerialEngine.description
    assert len(manifest["machines"]) == 1


class UnstartableRay(LocalRayEngine):
    """Ray that does not start."""

    def run(self, benchmarks: Mapping[str, Benchmark], shards: Sequence[Shard]) -> Generator[tuple[Shard, Result], None, None]:
        raise RayStartError("Ray could not be started on this machine.", got="TimeoutError: its node did not come up")
        yield


def test_a_sweep_goes_on_without_ray_where_it_does_not_start(
    board: Path, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(auto, "RAY_START_SECONDS", -1e9)  # Ray is chosen
    monkeypatch.setattr(EngineConf, "engine", lambda *_: AutoEngine(by_ray=UnstartableRay(workers=2), in_process=SerialEngine()))
    assert main(command(board, tmp_path, engine="auto")) == 0
    assert_same_tables(tmp_path, reference)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "its node did not come up" in warning
    assert json.loads((tmp_path / "manifest.json").read_text())["engine"] == SerialEngine.description


@pytest.mark.ray
@pytest.mark.slow
def test_ray_is_chosen_for_longer_work(
    board: Path, tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch, ray_session: Any
) -> None:
    monkeypatch.setattr(auto, "RAY_START_SECONDS", -1e9)
    assert main(command(board, tmp_path, "engine.workers=2", engine="auto")) == 0
    assert_same_tables(tmp_path, reference)
    assert json.loads((tmp_path / "manifest.json").read_text())["engine"] == "local Ray, 2 workers"


def test_a_shard_past_its_deadline_fails_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    board = leaderboard()
    late, fine = shards_of(["random", "stratified_confidence"], [board])[:2]

    def evaluate(shard: Shard, benchmark: Benchmark) -> Mapping[str, pa.Table]:
        if shard is late:
            time.sleep(30)
        return {}

    monkeypatch.setattr(serial, "evaluate_shard", evaluate)
    engine = SerialEngine(Limits(deadline=0.2, slack=0.0))
    (_, failed), (_, done) = engine.run({board.name: board}, [late, fine])
    assert isinstance(failed, Failure)
    assert "DeadlineExceeded" in failed.error
    assert done == {}
