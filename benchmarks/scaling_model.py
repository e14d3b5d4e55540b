"""What 1,000 workers would do, from what a few do: `python -m benchmarks.scaling_model`, on a machine with two cores.

Measured here: the CPU time of the driver and of a worker per empty shard on Ray (half of the driver's is taken to be for
submitting), the store's wall time per shard (median), and how many sleeping shards per second go through at 1, 2 and more workers.
Modelled: a sweep as a discrete-event simulation of the driver, which does one thing at a time, and of workers, which take
shards in the order they were submitted. The model is set beside the measurements first.

Not in the model: nodes that differ or fail, and the network, but for the bytes that every node fetches.
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
from microbench_ray.core.storage.store import Store
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import LIGHT_FIT_SECONDS, RUNS_PER_LIGHT_SHARD, SECONDS_PER_CELL, SECONDS_PER_RUN, plan_sweep

SIZES, SOURCES, RUNS = 7, (10, 50, 100, 150, 200, 250, 300), 50
METHODS = ("random", "random_subtask_equal", "stratified_confidence", "diversity", "anchor_points", "tinybenchmarks")
SHAPES = {"mmlu": (447, 14_042), "mmlu_pro": (447, 12_032), "bbh": (409, 5761), "gpqa": (420, 448)}
SHARDS_PER_WORKER = 4


class Constants(NamedTuple):
    """Seconds per shard."""

    submit: float
    """Of the driver, to hand a shard to Ray."""
    collect: float
    """Of the driver, to learn that it is done and to fetch its tables."""
    store: float
    """Of the driver, to write the tables and flush them to the disk."""
    around: float
    """Of a worker, beside the shard's own work: to fetch it, to count, and to hand over its tables."""


def simulate(shards: Sequence[float], workers: int, cost: Constants, *, window: int | None = None) -> float:
    """Wall seconds of a sweep.

    Parameters
    ----------
    shards
        Seconds of work of each, in the order of submission.
    workers, cost
        How many shards are computed at a time, and what each costs besides.
    window
        Shards under way at a time; four per worker by default.
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
            end = max(now, heapq.heappop(free)) + cost.around + waiting.popleft()
            heapq.heappush(free, end)
            heapq.heappush(ends, end)
            under_way += 1
        now = max(now, heapq.heappop(ends)) + cost.collect + cost.store
        under_way -= 1
    return now


def sleeping(workers: int, sleep: float, count: int) -> tuple[float, float, float]:
    """In steady state, of shards that sleep in their fit: shards per second; CPU seconds per shard of the driver and of workers."""
    method = nothing("sleeping", 1.0, sleep)
    board = tiny("a")
    grid = Grid(sizes=(1,), n_source=(4,), n_target=4, runs=count + 2 * workers)
    shards = plan_sweep([board], [method], grid, Targets()).shards
    ends: list[float] = []
    used: list[float] = []
    theirs: list[float] = []
    first, last = (count + 2 * workers) // 3, count + workers - 1  # without the start, and the end, when not all have work
    for _, result in LocalRayEngine(workers).run({board.name: board}, shards):
        assert isinstance(result, dict), result
        ends.append(time.monotonic())
        used.append(time.process_time())
        if len(ends) - 1 in (first, last):
            theirs.append(cpu_by_part()["workers"])
    done = last - first
    return done / (ends[last] - ends[first]), (used[last] - used[first]) / done, (theirs[1] - theirs[0]) / done


def storing(count: int = 100) -> float:
    """Seconds to store a shard of seven cells."""
    from microbench_ray.sweeps.engine.serial import compute

    board = tiny("a")
    grid = Grid(sizes=range(1, 1 + SIZES), n_source=(4,), n_target=10, runs=count)
    shards = plan_sweep([board], [nothing("stored", 1.0)], grid, Targets()).shards
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
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
    """Seconds of the shards of the paper's grid on so many benchmarks of its four shapes, by the plan's estimates."""
    methods = [Composer("sweep", []).method(name) for name in METHODS]
    shards: list[float] = []
    for _, (_, n_items) in zip(range(n_benchmarks), itertools.cycle(SHAPES.values()), strict=False):
        for n_source in SOURCES:
            light = 0.0
            for method in methods:
                fit = method.selector.fit_seconds(n_source, n_items // 2)
                run = SECONDS_PER_RUN + fit + SIZES * SECONDS_PER_CELL
                if fit <= LIGHT_FIT_SECONDS:
                    light += run * RUNS_PER_LIGHT_SHARD
                else:
                    shards += [run] * RUNS
            shards += [light] * (RUNS // RUNS_PER_LIGHT_SHARD)
    return shards


def grain(workers: int, cost: Constants, efficiency: float = 0.95) -> float | None:
    """Seconds of work that shards must have at least for so many workers to be so well used; None where over 1,000."""
    for seconds in np.geomspace(0.001, 1000, 241):
        shards = [float(seconds)] * (30 * workers)
        if sum(shards) / (workers * simulate(shards, workers, cost)) >= efficiency * 30 / 31:  # the last of 30 may wait
            return float(seconds)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--many", type=int, default=16, help="workers that sleep")
    parser.add_argument("--sleep", type=float, default=0.1)
    parser.add_argument("--constants", type=float, nargs=4, metavar=Constants._fields, help="milliseconds; not measured then")
    args = parser.parse_args()
    if args.constants:
        cost = Constants(*(value / 1000 for value in args.constants))
    else:
        rate, driver, around = sleeping(2, 0.0, 400)
        store = storing()
        cost = Constants(driver / 2, driver / 2, store, around)
        print(f"measured: {rate:.0f} empty shards/s with 2 workers; the driver's CPU {1000 * driver:.2f} ms per shard")
        print(f"measured: storing a shard of {SIZES} cells {1000 * store:.2f} ms; a worker's own {1000 * around:.2f} ms per shard")
        print("\n| workers | shards of | measured, shards/s | modelled | ")
        print("|---|---|---|---|")
        for workers in (1, 2, args.many):
            found, _, _ = sleeping(workers, args.sleep, 60 + 10 * workers)
            unstored = cost._replace(store=0.0)
            modelled = 40 * workers / simulate([args.sleep] * (40 * workers), workers, unstored)
            print(f"| {workers} | {args.sleep:g} s | {found:.1f} | {modelled:.1f} |", flush=True)
    per_shard = cost.submit + cost.collect + cost.store
    print(f"\nmodelled: the driver is busy {1000 * per_shard:.2f} ms per shard, and saturates at {1 / per_shard:,.0f} shards/s")
    print("\n| workers | 10 | 100 | 1,000 |\n|---|---|---|---|")
    for what, each in (("as it is", cost), ("if storing were elsewhere", cost._replace(store=0.0))):
        grains = [grain(workers, each) for workers in (10, 100, 1000)]
        print(f"| seconds per shard for 95 %, {what} | " + " | ".join("–" if g is None else f"{g:.2f}" for g in grains) + " |")
    shards = grid_shards(100)
    megabytes = sum(5 * models * items for models, items in SHAPES.values()) * 25 / 1e6
    work = sum(shards) / 3600
    print(f"\nthe paper's grid for 100 benchmarks: {len(shards):,} shards, {work:.1f} core-hours by the plan's estimates,")
    print(f"{megabytes:,.0f} MB of scores and confidences fetched by every node that gets shards of all of them\n")
    print("| workers | wall | of the cores used | longest shards first |\n|---|---|---|---|")
    for workers in (2, 64, 1000):
        took = simulate(shards, workers, cost)
        sorted_took = simulate(sorted(shards, reverse=True), workers, cost)
        print(
            f"| {workers:,} | {took / 60:,.1f} min | {100 * sum(shards) / (workers * took):.0f} % | {sorted_took / 60:,.1f} min |"
        )


if __name__ == "__main__":
    main()
