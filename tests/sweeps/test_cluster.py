"""On a cluster of three nodes the tables are those of a for-loop, whatever befalls it half way."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from microbench_ray.cli.main import main
from tests.helpers.cluster import Driver, LoopbackCluster, tell, told_command
from tests.helpers.small_sweep import assert_same_tables, run_cli

pytestmark = [pytest.mark.ray, pytest.mark.slow]
N_SHARDS = 2 * 3 * 4
"""Two methods, which share no fit, three sizes apart, forty runs in tens."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("told") / "told.json"


@pytest.fixture(scope="module")
def reference(board: Path, told: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a serial sweep that nothing befell."""
    tell(told)
    out = tmp_path_factory.mktemp("reference") / "out"
    assert Driver(told_command(board, out, told, engine="serial"), out).end() == 0
    return out


@pytest.fixture(scope="module")
def cluster() -> Iterator[LoopbackCluster]:
    cluster = LoopbackCluster(nodes=2)
    yield cluster
    cluster.close()


def failures(out: Path) -> pa.Table:
    return pq.read_table(out / "failures.parquet")


def half_way(driver: Driver) -> bool:
    return 3 <= driver.done() < N_SHARDS - 6


def test_the_tables_are_those_of_a_for_loop(
    cluster: LoopbackCluster, board: Path, told: Path, reference: Path, tmp_path: Path
) -> None:
    tell(told)
    out = tmp_path / "out"
    driver = Driver(told_command(board, out, told), out, cluster)
    assert driver.end() == 0, driver.log.read_text()
    assert_same_tables(out, reference)
    said = driver.log.read_text()
    assert f"Ray cluster at {cluster.address}" in said
    assert "Traceback" not in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert len(manifest["machines"]) == 1
    assert os.environ["RAY_AUTH_TOKEN"] not in said + json.dumps(manifest)


def test_a_worker_that_is_killed(cluster: LoopbackCluster, board: Path, told: Path, reference: Path, tmp_path: Path) -> None:
    tell(told, sleep=0.05)
    out = tmp_path / "out"
    driver = Driver(told_command(board, out, told), out, cluster)
    driver.wait_for(lambda: half_way(driver))
    driver.wait_for(cluster.workers)
    victims = cluster.workers()
    for victim in victims:
        victim.kill()
    assert driver.end() == 0, driver.log.read_text()
    assert victims
    assert json.loads((out / "manifest.json").read_text())["lost_attempts"] == {"WorkerCrashedError": len(victims)}
    assert f"{len(victims)} attempts at shards were lost ({len(victims)} by WorkerCrashedError)" in driver.log.read_text()
    assert_same_tables(out, reference)
    assert len(failures(out)) == 0


def test_a_node_that_is_killed_and_one_that_is_added(
    cluster: LoopbackCluster, board: Path, told: Path, reference: Path, tmp_path: Path
) -> None:
    tell(told, sleep=0.1)
    out = tmp_path / "out"
    driver = Driver(told_command(board, out, told), out, cluster)
    driver.wait_for(lambda: half_way(driver) and cluster.workers(0))
    cluster.kill_node(0)
    cluster.add_node()
    driver.wait_for(lambda: cluster.workers(1))  # the new one is used
    assert driver.end() == 0, driver.log.read_text()
    assert_same_tables(out, reference)
    assert len(failures(out)) == 0


def test_a_driver_that_is_killed_and_started_again(
    cluster: LoopbackCluster, board: Path, told: Path, reference: Path, tmp_path: Path
) -> None:
    tell(told, sleep=0.05)
    out = tmp_path / "out"
    arguments = told_command(board, out, told)
    driver = Driver(arguments, out, cluster)
    driver.wait_for(lambda: half_way(driver))
    driver.kill()
    done = {path.name: path.stat().st_mtime_ns for path in (out / "cells").glob("*.parquet")}
    assert len(done) < N_SHARDS
    again = Driver(arguments, out, cluster)
    assert again.end() == 0, again.log.read_text()
    assert "cells are done already" in again.log.read_text()
    assert {name: (out / "cells" / name).stat().st_mtime_ns for name in done} == done
    assert_same_tables(out, reference)


@pytest.mark.parametrize("how", ["hang", "hang in compiled code"])
def test_a_shard_that_hangs_once_and_one_that_always_does(
    how: str, cluster: LoopbackCluster, board: Path, told: Path, reference: Path, tmp_path: Path
) -> None:
    limits = ["engine.deadline=1.5", "engine.max_retries=1", "grid.runs=10"]
    arguments = told_command(board, tmp_path / "out", told, *limits)
    tell(told, size=10, how=how, times=2)
    started = time.monotonic()
    driver = Driver(arguments, tmp_path / "out", cluster)
    assert driver.end() == 2, driver.log.read_text()
    assert time.monotonic() - started < 90
    (row,) = failures(tmp_path / "out").to_pylist()
    assert (row["methods"], row["sizes"], row["runs"]) == ("told", "10", "0-9")
    assert "(2 attempts)" in row["error"]
    if how == "hang":
        assert row["error"].startswith("DeadlineExceeded: not done after")
        assert "in befall" in row["traceback"], "where it hung is told"
    else:
        assert row["error"].startswith("WorkerCrashedError")
    again = Driver([*arguments, "grid.runs=40"], tmp_path / "out", cluster)  # what hung twice does not hang again
    assert again.end() == 0, again.log.read_text()
    assert_same_tables(tmp_path / "out", reference)
    assert len(failures(tmp_path / "out")) == 0


@pytest.mark.nightly
def test_a_shard_that_runs_out_of_memory(board: Path, told: Path, reference: Path, tmp_path: Path) -> None:
    memory = psutil.virtual_memory()
    threshold = 1 - (memory.available - 3e9) / memory.total
    cluster = LoopbackCluster(nodes=2, RAY_memory_usage_threshold=f"{threshold:.4f}", RAY_memory_monitor_refresh_ms="100")
    try:
        out = tmp_path / "out"
        tell(told, size=10, how="eat memory", times=4)
        arguments = told_command(board, out, told, "grid.runs=10")
        driver = Driver(arguments, out, cluster)
        assert driver.end() == 2, driver.log.read_text()
        (row,) = failures(out).to_pylist()
        assert (row["methods"], row["sizes"]) == ("told", "10")
        assert "OutOfMemoryError" in row["error"]
        assert "(4 attempts)" in row["error"]
        again = Driver([*arguments, "grid.runs=40"], out, cluster)
        assert again.end() == 0, again.log.read_text()
        assert_same_tables(out, reference)
    finally:
        cluster.close()


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1:1", "Nobody answers at the cluster's address"),
        ("127.0.0.1:99999", "Nobody answers at the cluster's address"),
        ("nowhere", "another form"),
        ("ray://127.0.0.1:10001", "another form"),
    ],
)
def test_an_address_where_no_cluster_is(address: str, word: str, board: Path, told: Path, tmp_path: Path) -> None:
    kept = [each for each in told_command(board, tmp_path / "out", told) if not each.startswith("methods")]
    ended = run_cli([*kept, f"engine.address='{address}'", "methods=[random]"])  # where no Ray is joined yet
    assert ended.returncode == 1
    assert word in ended.stderr
    assert "engine.address=HOST:PORT" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_is_silent_is_given_up(board: Path, told: Path, tmp_path: Path) -> None:
    kept = [each for each in told_command(board, tmp_path / "out", told) if not each.startswith("methods")]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        ended = run_cli([*kept, f"engine.address={address}", "engine.timeout=3", "methods=[random]"])
    assert ended.returncode == 1
    assert "The cluster cannot be joined" in ended.stderr
    assert "no answer in 3 s" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_a_process_that_has_joined_another_cluster_does_not_take_it_instead(
    ray_session, board: Path, told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [each for each in told_command(board, tmp_path / "out", told) if not each.startswith("methods")]
    assert main([*kept, "engine.address=127.0.0.1:1", "methods=[random]"]) == 1
    assert "has joined another cluster" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_address_at_all(
    board: Path, told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    kept = [each for each in told_command(board, tmp_path / "out", told) if not each.startswith("methods")]
    assert main([*kept, "methods=[random]"]) == 1
    assert "RAY_ADDRESS is not set" in capsys.readouterr().err
