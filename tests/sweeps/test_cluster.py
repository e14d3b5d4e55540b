"""On a cluster of three nodes the tables equal those of the serial engine, whatever fails during the sweep."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from tests.helpers.cluster import Driver, LoopbackCluster, faulty_command, inject
from tests.helpers.counts import Counted
from tests.helpers.processes import run_command
from tests.helpers.small_sweep import assert_same_tables, command

pytestmark = [pytest.mark.ray, pytest.mark.slow]
N_SHARDS = 2 * 3 * 4
"""Two methods without a common fit, three sizes, forty runs in blocks of ten."""


@pytest.fixture(scope="module")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the method's instructions; its path is part of the shards' ids, so all tests share it."""
    return tmp_path_factory.mktemp("fault") / "fault.json"


@pytest.fixture(scope="module")
def reference(board: Path, fault: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of an undisturbed serial sweep."""
    inject(fault)
    out = tmp_path_factory.mktemp("reference") / "out"
    assert Driver(faulty_command(board, out, fault, engine="serial"), out).exit_code() == 0
    return out


@pytest.fixture
def cluster(loopback_cluster: LoopbackCluster) -> LoopbackCluster:
    return loopback_cluster


def failures(out: Path) -> pa.Table:
    return pq.read_table(out / "failures.parquet")


def is_half_way(driver: Driver) -> bool:
    return 3 <= driver.done() < N_SHARDS - 6


def test_the_tables_are_those_of_the_serial_engine(
    cluster: LoopbackCluster, board: Path, fault: Path, reference: Path, tmp_path: Path
) -> None:
    inject(fault)
    out = tmp_path / "out"
    driver = Driver(faulty_command(board, out, fault), out, cluster)
    assert driver.exit_code() == 0, driver.log.read_text()
    assert_same_tables(out, reference)
    log = driver.log.read_text()
    assert f"Ray cluster at {cluster.address}" in log
    assert "Traceback" not in log
    manifest = json.loads((out / "manifest.json").read_text())
    assert len(manifest["machines"]) == 1
    assert os.environ["RAY_AUTH_TOKEN"] not in log + json.dumps(manifest)


def test_a_worker_that_is_killed(cluster: LoopbackCluster, board: Path, fault: Path, reference: Path, tmp_path: Path) -> None:
    inject(fault, sleep=0.1)
    out = tmp_path / "out"
    driver = Driver(faulty_command(board, out, fault), out, cluster)
    driver.wait_for(lambda: is_half_way(driver))
    victims = driver.wait_for(cluster.workers)
    for victim in victims:
        victim.kill()
    assert driver.exit_code() == 0, driver.log.read_text()
    assert json.loads((out / "manifest.json").read_text())["lost_attempts"] == {"WorkerCrashedError": len(victims)}
    assert f"{len(victims)} by WorkerCrashedError" in driver.log.read_text()
    assert_same_tables(out, reference)
    assert len(failures(out)) == 0


def test_a_node_that_is_killed_and_one_that_is_added(
    cluster: LoopbackCluster, board: Path, fault: Path, reference: Path, tmp_path: Path
) -> None:
    inject(fault, sleep=0.1)
    out = tmp_path / "out"
    driver = Driver(faulty_command(board, out, fault), out, cluster)
    driver.wait_for(lambda: is_half_way(driver) and cluster.workers(0))
    cluster.kill_node(0)
    cluster.add_node()
    driver.wait_for(lambda: cluster.workers(1))  # the new node is used
    assert driver.exit_code() == 0, driver.log.read_text()
    assert_same_tables(out, reference)
    assert len(failures(out)) == 0


def test_a_driver_that_is_killed_and_started_again(
    cluster: LoopbackCluster, board: Path, fault: Path, reference: Path, tmp_path: Path
) -> None:
    inject(fault, sleep=0.05)
    out = tmp_path / "out"
    arguments = faulty_command(board, out, fault)
    driver = Driver(arguments, out, cluster)
    driver.wait_for(lambda: is_half_way(driver))
    driver.kill()
    done = {path.name: path.stat().st_mtime_ns for path in (out / "cells").glob("*.parquet")}
    assert len(done) < N_SHARDS
    again = Driver(arguments, out, cluster)
    assert again.exit_code() == 0, again.log.read_text()
    assert f"of {N_SHARDS * 10} cells are already done" in again.log.read_text()
    assert {name: (out / "cells" / name).stat().st_mtime_ns for name in done} == done
    assert_same_tables(out, reference)


@pytest.mark.parametrize("how", ["hang", "hang in compiled code"])
def test_a_shard_that_hangs_once_and_one_that_always_does(
    how: str, cluster: LoopbackCluster, board: Path, fault: Path, reference: Path, tmp_path: Path
) -> None:
    limits = ["engine.deadline=1.5", "engine.max_retries=1", "grid.runs=10"]
    arguments = faulty_command(board, tmp_path / "out", fault, *limits)
    inject(fault, size=10, how=how, times=2)
    driver = Driver(arguments, tmp_path / "out", cluster)
    assert driver.exit_code() == 2, driver.log.read_text()
    (row,) = failures(tmp_path / "out").to_pylist()
    assert (row["methods"], row["sizes"], row["runs"]) == ("faulty", "10", "0-9")
    assert "(2 attempts)" in row["error"]
    if how == "hang":
        assert row["error"].startswith("DeadlineExceeded: ")
        assert "in fail" in row["traceback"], "the traceback shows where it hung"
    else:
        assert row["error"].startswith("WorkerCrashedError")
    again = Driver([*arguments, "grid.runs=40"], tmp_path / "out", cluster)  # the third attempt does not hang
    assert again.exit_code() == 0, again.log.read_text()
    assert_same_tables(tmp_path / "out", reference)
    assert len(failures(tmp_path / "out")) == 0


@pytest.mark.nightly
def test_a_shard_that_runs_out_of_memory(
    ray: Any, board: Path, fault: Path, reference: Path, tmp_path: Path, counted: Counted
) -> None:
    memory = psutil.virtual_memory()
    threshold = 1 - (memory.available - 3e9) / memory.total
    cluster = LoopbackCluster(nodes=2, RAY_memory_usage_threshold=f"{threshold:.4f}", RAY_memory_monitor_refresh_ms="100")
    try:
        out = tmp_path / "out"
        inject(fault, size=10, how="eat memory", times=4)
        arguments = faulty_command(board, out, fault, "grid.runs=10")
        driver = Driver(arguments, out, cluster)
        assert driver.exit_code() == 2, driver.log.read_text()
        (row,) = failures(out).to_pylist()
        assert (row["methods"], row["sizes"]) == ("faulty", "10")
        assert "OutOfMemoryError" in row["error"]
        assert "(4 attempts)" in row["error"]
        again = Driver([*arguments, "grid.runs=40"], out, cluster)
        assert again.exit_code() == 0, again.log.read_text()
        assert_same_tables(out, reference)
        counted(workers_out_of_memory=4, sweeps=2, differences=0)
    finally:
        cluster.close()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "127.0.0.1:99999", "nowhere", "ray://127.0.0.1:10001"],
    ids=["closed", "no port", "no host", "client"],
)
def test_an_address_without_a_cluster_is_one_message(address: str, board: Path, tmp_path: Path) -> None:
    arguments = [*command(board, tmp_path / "out", engine="cluster"), f"engine.address='{address}'"]
    ended = run_command(arguments)  # in a process that is not connected to a Ray
    assert ended.returncode == 1
    assert address in ended.stderr
    assert "engine.address=HOST:PORT" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_joining_a_cluster_that_does_not_respond_times_out(board: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        ended = run_command([*command(board, tmp_path / "out", engine="cluster"), f"engine.address={address}", "engine.timeout=3"])
    assert ended.returncode == 1
    assert f"where: {address}" in ended.stderr
    assert "within 3 s" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_process_connected_to_another_cluster_does_not_use_it(
    ray_session: Any, board: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command(board, tmp_path / "out", engine="cluster"), "engine.address=127.0.0.1:1"]) == 1
    error = capsys.readouterr().err
    assert "another cluster" in error
    assert ray_session.get_runtime_context().gcs_address in error
    assert not (tmp_path / "out").exists()
