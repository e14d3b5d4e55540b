"""Overhead of 70,000 cells whose methods do nothing: `python -m benchmarks.cells`.

Runs the real driver, store and Ray engine on tiny benchmarks: 4 benchmarks × 10 methods × 7 sizes × 5 numbers of source models ×
50 runs. With `--grain run` a shard is one run of a method (10,000 shards of 7 cells, as for methods with a heavy fit); with
`--grain block` it is ten runs (1,000 shards of 70 cells). The driver's own memory (USS) is sampled every 3 seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import os
import pstats
import resource
import tempfile
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.large import own_memory
from benchmarks.nothing import nothing
from benchmarks.scaling import cpu_by_part
from microbench_ray.data import Benchmark
from microbench_ray.sweeps.driver import SweepJob, run_sweep
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import Rules

SIZES, SOURCES = (1, 2, 3, 4, 5, 6, 7), (4, 5, 6, 7, 8)
FLAT_AFTER, FLAT_MB = 5000, 30


def tiny(name: str) -> Benchmark:
    """A benchmark of 20 models × 40 items."""
    rng = np.random.default_rng(len(name))
    scores = rng.random((20, 40)) < rng.random((20, 1))
    return Benchmark.from_arrays(name, scores, [f"i{k}" for k in range(40)], [f"m{k}" for k in range(20)])


class MeasuredEngine:
    """An engine that counts the cells it has computed, and records the CPU seconds of all processes at the end."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.cells, self.first, self.last = 0, 0.0, 0.0
        self.cpu: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def run(self, benchmarks: Any, shards: Any, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        cells = {shard.id: shard.n_cells for shard in shards}
        for shard, result in self.engine.run(benchmarks, shards, *args, **kwargs):
            self.first = self.first or time.monotonic()
            self.cells += cells[shard.id]
            yield shard, result
            self.last = time.monotonic()
            if self.cells == sum(cells.values()):
                self.cpu = cpu_by_part()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grain", choices=["run", "block"], default="run")
    parser.add_argument("--runs", type=int, default=50, help="1,400 cells each")
    parser.add_argument("--profile", action="store_true", help="profile the driver, which slows it down")
    args = parser.parse_args()
    methods = tuple(nothing(f"nothing{k}", 1.0 if args.grain == "run" else 0.0) for k in range(10))
    benchmarks = tuple(tiny(name) for name in ("a", "bb", "ccc", "dddd"))
    grid = Grid(sizes=SIZES, n_source=SOURCES, n_target=10, runs=args.runs)
    engine = MeasuredEngine(LocalRayEngine(2))
    with tempfile.TemporaryDirectory() as out:
        sweep = SweepJob(benchmarks, methods, grid, Targets(), Rules(), engine, Path(out))
        before = time.process_time()
        plan = sweep.plan()
        ids = [shard.id for shard in plan.shards]
        print(f"{plan.n_cells:,} cells in {len(ids):,} shards; planned and named in {time.process_time() - before:.1f} CPU seconds")
        samples: list[tuple[int, float]] = []
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(3):
                samples.append((engine.cells, own_memory(os.getpid())[0] / 1e6))

        thread = threading.Thread(target=sample, daemon=True)
        thread.start()
        profile = cProfile.Profile()
        began, own = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        with profile if args.profile else contextlib.nullcontext():
            outcome = run_sweep(sweep, plan)
        took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
        stop.set()
        thread.join()
        files = sum(path.stat().st_size for path in Path(out).rglob("*.parquet"))
    driver = after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime
    computing = engine.last - engine.first
    print(f"from the first shard to the last: {computing:.1f} s, {outcome.computed / computing:,.0f} cells/s")
    print(f"total {took:.1f} s, reducing {outcome.seconds['reduce']:.1f} s; {files / 1e6:.1f} MB of files")
    print(f"CPU seconds: driver {driver:.1f}, workers {engine.cpu['workers']:.1f}, Ray {engine.cpu['ray']:.1f}")
    per_shard = {"driver": driver - outcome.seconds["reduce"], "Ray": engine.cpu["ray"]}
    print("  per shard: " + ", ".join(f"{part} {1000 * seconds / len(ids):.2f} ms" for part, seconds in per_shard.items()))
    flat = [mb for cells, mb in samples if cells >= FLAT_AFTER and cells < plan.n_cells]
    print("driver's own memory: " + ", ".join(f"{cells:,}: {mb:.0f} MB" for cells, mb in samples))
    if flat:
        print(f"from the {FLAT_AFTER:,}th cell on it varies by {max(flat) - min(flat):.0f} MB (budget ±{FLAT_MB})")
    if args.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
