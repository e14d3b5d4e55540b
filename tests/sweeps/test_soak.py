"""Sweeps under a seeded rain of kills: workers, nodes and drivers. `pytest -m nightly tests/test_soak.py -s` prints the counts."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.helpers.cluster import Driver, LoopbackCluster, tell, told_command
from tests.helpers.small_sweep import assert_same_tables, write_board

pytestmark = [pytest.mark.ray, pytest.mark.nightly]
SWEEPS = int(os.environ.get("MICROBENCH_SOAK_SWEEPS", "20"))
KILLS = int(os.environ.get("MICROBENCH_SOAK_KILLS", "200"))
SEED = int(os.environ.get("MICROBENCH_SOAK_SEED", "0"))
RUNS = 120
WORKER, NODE, DRIVER = "worker", "node", "driver"
ODDS = {WORKER: 8, NODE: 1, DRIVER: 1}
MAX_KILLS = 12
"""In one sweep; then it may come to its end."""
MAX_SECONDS = 600


@pytest.fixture
def cluster() -> Iterator[LoopbackCluster]:
    cluster = LoopbackCluster(nodes=2)
    yield cluster
    cluster.close()


def test_no_kill_changes_a_table(cluster: LoopbackCluster, tmp_path: Path) -> None:
    board, told = write_board(tmp_path / "board.parquet"), tmp_path / "told.json"
    tell(told)
    reference = tmp_path / "reference"
    assert Driver(told_command(board, reference, told, engine="serial", runs=RUNS), reference).end() == 0
    tell(told, sleep=0.06)
    kills: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    sweeps = 0
    while sweeps < SWEEPS or kills.total() < KILLS:
        started = time.monotonic()
        out = tmp_path / f"out{sweeps}"
        befell = one_sweep(cluster, told_command(board, out, told, "engine.max_retries=20", runs=RUNS), out, SEED + sweeps)
        assert_same_tables(out, reference)
        assert len(pq.read_table(out / "failures.parquet")) == 0
        ids = [path.stem for path in (out / "cells").glob("*.parquet")]
        assert len(ids) == 2 * 3 * RUNS // 10
        assert not list(out.rglob("*.tmp"))
        lost.update(json.loads((out / "manifest.json").read_text())["lost_attempts"])
        kills += befell
        sweeps += 1
        print(f"sweep {sweeps}: {dict(befell)} in {time.monotonic() - started:.0f} s; {kills.total()} kills so far", flush=True)
    print(
        f"{sweeps} sweeps, {kills.total()} kills ({dict(kills)}), attempts lost in the last drivers: {dict(lost)}; all tables equal"
    )


def one_sweep(cluster: LoopbackCluster, arguments: list[str], out: Path, seed: int) -> Counter[str]:
    """Run a sweep to its end, killing as the seed says; what was killed."""
    rng = random.Random(seed)
    kills: Counter[str] = Counter()
    driver = Driver(arguments, out, cluster)
    until = time.monotonic() + MAX_SECONDS
    while True:
        if kills.total() == MAX_KILLS:
            assert driver.end(MAX_SECONDS) == 0, driver.log.read_text()
            return kills
        wait = rng.uniform(0.5, 2.0)
        what = rng.choices(list(ODDS), list(ODDS.values()))[0]
        while not cluster.workers() and driver.process.poll() is None:  # kills begin once there is work
            assert time.monotonic() < until, driver.log.read_text()
            time.sleep(0.05)
        time.sleep(wait)
        if driver.process.poll() is not None:
            assert driver.process.returncode == 0, driver.log.read_text()
            return kills
        assert time.monotonic() < until, driver.log.read_text()
        if what == WORKER:
            victims = cluster.workers()
            if not victims:
                continue
            rng.choice(victims).kill()
        elif what == NODE:
            cluster.kill_node(rng.randrange(len(cluster.nodes)))
            cluster.add_node()
        else:
            driver.kill()
            driver = Driver(arguments, out, cluster)
        kills[what] += 1
