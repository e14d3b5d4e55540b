"""Model of a sweep with 1,000 workers, from measurements on two cores: `python -m benchmarks.scaling_model`.

Measured: the CPU time of the driver and of a worker per empty shard on Ray (half of the driver's is attributed to submitting),
the store's median wall time per shard, and the throughput of sleeping shards with 1, 2 and more workers. Modelled: a
discrete-event simulation of the driver, which does one thing at a time, and of workers, which take shards in the order of
submission. The model is compared with the measurements first.

Not in the model: nodes that differ or fail, and the network, except for the bytes that every node fetches.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.cells import tiny
from benchmarks.nothing import nothing
from benchmarks.scaling import cpu_by_part
from microbench_ray.cli.compose import Composer
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.results import SweepStore
from microbench_ray.sweeps.shards import CHEAP_FIT_SECONDS, RUNS_PER_CHEAP_SHARD, SECONDS_PER_CELL, SECONDS_PER_RUN, plan_sweep

SIZES, SOURCES, RUNS = 7, (10, 50, 100, 150, 200, 250, 300), 50
METHODS = ("random", "random_subtask_equal", "stratified_confidence", "diversity", "anchor_points", "tinybenchmarks")
SHAPES = {"mmlu": (447, 14_042), "mmlu_pro": (447, 12_032), "bbh": (409, 5761), "gpqa": (420, 448)}
SHARDS_PER_WORKER = 4


class Constants(NamedTuple):
    """Seconds per shard."""

    submit: float
    """For the driver to submit a shard to Ray."""
    collect: float
    """For the driver to learn that a shard is finished, and to fetch its tables."""
    store: float
    """For the driver to write the tables and flush them to the disk."""
    overhead: float
    """For a worker besides the shard's own work: to fetch it, to count, and to return its tables."""


def simulate(shards: Sequence[float], workers: int, cost: Constants, *, window: int | None = None) -> float:
    """Simulate a sweep and return its wall seconds.

    Parameters
    ----------
    shards
        Seconds of work of each shard, in the order of submission.
    workers
        Number of workers.
    cost
        Overhead per shard.
    window
        Number of submitted shards at a time; default: four per worker.
    """
    window = SHARDS_PER_WORKER * workers if window is None else window
    now, under_way = 0.0, 0
    waiting = deque(shards)
    free = [0.0] * workers  # when each worker is free
    heapq.heapify(free)
    ends: list[float] = []
    while waiting or under_way:
        while waiting and under_way < window:
            now += cost.submit
            end = max(now, heapq.heappop(free)) + cost.overhead + waiting.popleft()
            heapq.heappush(free, end)
            heapq.heappush(ends, end)
            under_way += 1
        now = max(now, heapq.heappop(ends)) + cost.collect + cost.store
        under_way -= 1
    return now


def sleeping(workers: int, sleep: float, count: int) -> tuple[float, float, float]:
    """Measure shards that sleep in their fit, in steady state.

    Returns
    -------
    Shards per second, and CPU seconds per shard of the driver and of the workers.
    """
    method = nothing("sleeping", 1.0, sleep)
    board = tiny("a")
    grid = Grid(sizes=(1,), n_source=(4,), n_target=4, runs=count + 2 * workers)
    shards = plan_sweep([board], [method], grid, Targets()).shards
    ends: list[float] = []
    used: list[float] = []
    of_workers: list[float] = []
    # Not from the start, nor to the end, when some workers are idle.
    first, last = (count + 2 * workers) // 3, count + workers - 1
    for _, result in LocalRayEngine(workers).run({board.name: board}, shards):
        assert isinstance(result, dict), result
        ends.append(time.monotonic())
        used.append(time.process_time())
        if len(ends) - 1 in (first, last):
            of_workers.append(cpu_by_part()["workers"])
    done = last - first
    return done / (ends[last] - ends[first]), (used[last] - used[first]) / done, (of_workers[1] - of_workers[0]) / done


def storing(count: int = 100) -> float:
    """Median seconds to store a shard of seven cells."""
    from microbench_ray.sweeps.engine.serial import compute

    board = tiny("a")
    grid = Grid(sizes=tuple(range(1, 1 + SIZES)), n_source=(4,), n_target=10, runs=count)
    shards = plan_sweep([board], [nothing("stored", 1.0)], grid, Targets()).shards
    with tempfile.TemporaryDirectory() as folder:
        store = SweepStore(Path(folder))
        store.prepare()
        tables = [compute(shard, board) for shard in shards]
        took = []
        for shard, result in zip(shards, tables, strict=True):
            assert isinstance(result, dict), result
            started = time.monotonic()
            store.write_shard(shard, result)
            took.append(time.monotonic() - started)
        return median(took)


def grid_shards(n_benchmarks: int) -> list[float]:
    """Estimated seconds of each shard of the paper's grid on `n_benchmarks` benchmarks with the paper's four shapes."""
    methods = [Composer("sweep", []).method(name) for name in METHODS]
    shards: list[float] = []
    for _, (_, n_items) in zip(range(n_benchmarks), itertools.cycle(SHAPES.values()), strict=False):
        for n_source in SOURCES:
            cheap = 0.0
            for method in methods:
                fit = method.selector.fit_seconds(n_source, n_items // 2)
                run = SECONDS_PER_RUN + fit + SIZES * SECONDS_PER_CELL
                if fit <= CHEAP_FIT_SECONDS:
                    cheap += run * RUNS_PER_CHEAP_SHARD
                else:
                    shards += [run] * RUNS
            shards += [cheap] * (RUNS // RUNS_PER_CHEAP_SHARD)
    return shards


def grain(workers: int, cost: Constants, efficiency: float = 0.95) -> float | None:
    """Smallest shard, in seconds of work, with which `workers` workers reach an efficiency; None if over 1,000 seconds."""
    for seconds in np.geomspace(0.001, 1000, 241):
        shards = [float(seconds)] * (30 * workers)
        if sum(shards) / (workers * simulate(shards, workers, cost)) >= efficiency * 30 / 31:  # the last of 30 may wait
            return float(seconds)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=16, help="number of sleeping workers")
    parser.add_argument("--sleep", type=float, default=0.1)
    parser.add_argument("--constants", type=float, nargs=4, metavar=Constants._fields, help="milliseconds; skips the measurements")
    args = parser.parse_args()
    if args.constants:
        cost = Constants(*(value / 1000 for value in args.constants))
    else:
        rate, driver, overhead = sleeping(2, 0.0, 400)
        store = storing()
        cost = Constants(driver / 2, driver / 2, store, overhead)
        print(f"measured: {rate:.0f} empty shards/s with 2 workers; the driver's CPU {1000 * driver:.2f} ms per shard")
        print(f"measured: storing a shard of {SIZES} cells {1000 * store:.2f} ms; overhead of a worker {1000 * overhead:.2f} ms")
        print("\n| workers | shards of | measured, shards/s | modelled | ")
        print("|---|---|---|---|")
        for workers in (1, 2, args.many):
            found, _, _ = sleeping(workers, args.sleep, 60 + 10 * workers)
            unstored = cost._replace(store=0.0)
            modelled = 40 * workers / simulate([args.sleep] * (40 * workers), workers, unstored)
            print(f"| {workers} | {args.sleep:g} s | {found:.1f} | {modelled:.1f} |", flush=True)
    per_shard = cost.submit + cost.collect + cost.store
    print(f"\nmodelled: the driver needs {1000 * per_shard:.2f} ms per shard, and saturates at {1 / per_shard:,.0f} shards/s")
    print("\n| workers | 10 | 100 | 1,000 |\n|---|---|---|---|")
    for what, each in (("as it is", cost), ("if the driver did not store", cost._replace(store=0.0))):
        grains = [grain(workers, each) for workers in (10, 100, 1000)]
        print(f"| seconds per shard for 95 %, {what} | " + " | ".join("–" if g is None else f"{g:.2f}" for g in grains) + " |")
    shards = grid_shards(100)
    megabytes = sum(5 * models * items for models, items in SHAPES.values()) * 25 / 1e6
    work = sum(shards) / 3600
    print(f"\nthe paper's grid for 100 benchmarks: {len(shards):,} shards, {work:.1f} core-hours by the plan's estimates,")
    print(f"{megabytes:,.0f} MB of scores and confidences fetched by every node that gets shards of all of them\n")
    print("| workers | wall | cores used | longest shards first |\n|---|---|---|---|")
    for workers in (2, 64, 1000):
        took = simulate(shards, workers, cost)
        sorted_took = simulate(sorted(shards, reverse=True), workers, cost)
        print(
            f"| {workers:,} | {took / 60:,.1f} min | {100 * sum(shards) / (workers * took):.0f} % | {sorted_took / 60:,.1f} min |"
        )


if __name__ == "__main__":
    main()
