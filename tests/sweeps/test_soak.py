"""Sweeps while workers, nodes and drivers are killed at random, with a seed."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.helpers.cluster import Driver, LoopbackCluster, faulty_command, inject
from tests.helpers.counts import Counted
from tests.helpers.small_sweep import assert_same_tables, write_board

pytestmark = [pytest.mark.ray, pytest.mark.nightly]
SWEEPS = int(os.environ.get("MICROBENCH_SOAK_SWEEPS", "20"))
KILLS = int(os.environ.get("MICROBENCH_SOAK_KILLS", "200"))
SEED = int(os.environ.get("MICROBENCH_SOAK_SEED", "0"))
RUNS = 120
WORKER, NODE, DRIVER = "worker", "node", "driver"
ODDS = {WORKER: 8, NODE: 1, DRIVER: 1}
MAX_KILLS = 12
"""Kills per sweep, after which it may finish."""
MAX_SECONDS = 600


def test_no_kill_changes_a_table(loopback_cluster: LoopbackCluster, tmp_path: Path, counted: Counted) -> None:
    board, fault = write_board(tmp_path / "board.parquet"), tmp_path / "fault.json"
    inject(fault)
    reference = tmp_path / "reference"
    assert Driver(faulty_command(board, reference, fault, engine="serial", runs=RUNS), reference).exit_code() == 0
    inject(fault, sleep=0.06)
    kills: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    sweeps = 0
    while sweeps < SWEEPS or kills.total() < KILLS:
        started = time.monotonic()
        out = tmp_path / f"out{sweeps}"
        arguments = faulty_command(board, out, fault, "engine.max_retries=20", runs=RUNS)
        sweep_kills = sweep_with_kills(loopback_cluster, arguments, out, SEED + sweeps)
        assert_same_tables(out, reference)
        assert len(pq.read_table(out / "failures.parquet")) == 0
        ids = [path.stem for path in (out / "cells").glob("*.parquet")]
        assert len(ids) == 2 * 3 * RUNS // 10
        assert not list(out.rglob("*.tmp"))
        lost.update(json.loads((out / "manifest.json").read_text())["lost_attempts"])
        kills += sweep_kills
        sweeps += 1
        print(
            f"sweep {sweeps}: {dict(sweep_kills)} in {time.monotonic() - started:.0f} s; {kills.total()} kills so far", flush=True
        )
    print(f"kills: {dict(kills)}; attempts lost in the last drivers: {dict(lost)}")
    counted(kills=kills.total(), sweeps=sweeps, differences=0)


def sweep_with_kills(cluster: LoopbackCluster, arguments: list[str], out: Path, seed: int) -> Counter[str]:
    """Run a sweep to its end while killing at random; return the number of kills by kind."""
    rng = random.Random(seed)
    kills: Counter[str] = Counter()
    driver = Driver(arguments, out, cluster)
    deadline = time.monotonic() + MAX_SECONDS
    while True:
        if kills.total() == MAX_KILLS:
            assert driver.exit_code(MAX_SECONDS) == 0, driver.log.read_text()
            return kills
        wait = rng.uniform(0.5, 2.0)
        victim = rng.choices(list(ODDS), list(ODDS.values()))[0]
        while not cluster.workers() and driver.child.poll() is None:  # kills start when there is work
            assert time.monotonic() < deadline, driver.log.read_text()
            time.sleep(0.05)
        time.sleep(wait)
        if driver.child.poll() is not None:
            assert driver.child.poll() == 0, driver.log.read_text()
            return kills
        assert time.monotonic() < deadline, driver.log.read_text()
        if victim == WORKER:
            workers = cluster.workers()
            if not workers:
                continue
            rng.choice(workers).kill()
        elif victim == NODE:
            cluster.kill_node(rng.randrange(len(cluster.nodes)))
            cluster.add_node()
        else:
            driver.kill()
            driver = Driver(arguments, out, cluster)
        kills[victim] += 1
