"""Speed-up of two workers over one: `python -m benchmarks.scaling DATA_DIR`, on an otherwise idle machine with two cores.

Uses a leaderboard of MMLU-Pro's size, simulated by DATA_DIR/make_leaderboard.py, and the six methods of `experiment=figure_2`,
with 300 source and 50 target models and seven sizes.

The first table compares, per method, the CPU seconds of a run that has the machine to itself with those of the same run beside
another one. Workers share memory bandwidth and the last-level cache, which costs CPU time. Rounds with one and with two workers
alternate, and medians are shown, so that other work on the machine affects both alike. If nothing else is lost, the speed-up is 2
× alone / beside.

The second table is the throughput of a sweep with one and with two workers, longest shards first as in a sweep. It covers the
steady part: from a quarter of the shards until as many shards are left as there are workers. The start of Ray and of the second
worker, and the end, when some workers are idle, are shown separately. The CPU share of Ray and the driver is counted from the
first finished shard on; their start takes some seconds once per sweep.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from microbench_ray.cli.compose import Composer
from microbench_ray.core.memory import keep_memory
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep

SIZES = (10, 25, 50, 100, 250, 500, 1000)
METHODS = ("random", "random_subtask_equal", "stratified_confidence", "diversity", "anchor_points", "tinybenchmarks")


class Usage(NamedTuple):
    """Resources that some runs used: CPU seconds in user and system mode, and page faults."""

    user: float
    system: float
    faults: int

    @property
    def seconds(self) -> float:
        return self.user + self.system


def grid(runs: int) -> Grid:
    return Grid(sizes=SIZES, n_source=(300,), n_target=50, runs=runs)


def work(folder: str, connection: Connection, start: Barrier, keep: bool) -> None:
    """Run a worker process: it receives requests for runs of a method, and returns the resources they used.

    A request is the method, the runs, and whether to wait until the other worker starts too; None ends the process.
    """
    if keep:
        keep_memory()
    benchmark = Benchmark.open(folder)
    shards = {
        name: plan_sweep([benchmark], [Composer("sweep", []).method(name)], grid(10_000), Targets()).shards[0] for name in METHODS
    }
    with one_thread():
        while (request := connection.recv()) is not None:
            name, runs, together = request
            if together:
                start.wait()
            before = resource.getrusage(resource.RUSAGE_SELF)
            evaluate_shard(replace(shards[name], runs=runs), benchmark)
            after = resource.getrusage(resource.RUSAGE_SELF)
            connection.send(
                Usage(after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, int(after.ru_minflt - before.ru_minflt))
            )


def compare(folder: Path, methods: list[str], rounds: int, *, keep: bool) -> dict[str, float]:
    """Print CPU seconds of every method alone and beside another worker, and return those alone."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    pipes, workers = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        workers.append(context.Process(target=work, args=(str(folder), theirs, start, keep), daemon=True))
        pipes.append(ours)
        workers[-1].start()
    print("\n| CPU seconds of a run | alone | beside another | in the system | page faults | beside / alone | speed-up of two |")
    print("|---|---|---|---|---|---|---|")
    alone_seconds: dict[str, float] = {}
    total = {"alone": 0.0, "beside": 0.0}
    for name in methods:
        length, run = 1, 0
        usages: dict[str, list[Usage]] = {"alone": [], "beside": []}
        for turn in range(-1, rounds):  # the first round warms up, and shows how long a run takes
            for how, chosen in (("alone", pipes[:1]), ("alone", pipes[1:]), ("beside", pipes)):
                for pipe in chosen:
                    pipe.send((name, tuple(range(run, run + length)), how == "beside"))
                run += length
                took = [pipe.recv() for pipe in chosen]
                if turn >= 0:
                    usages[how] += took
            if turn < 0:
                length = max(1, round(1.0 / took[0].seconds))
        seconds = {how: median(each.seconds for each in took) / length for how, took in usages.items()}
        system = median(each.system for each in usages["alone"]) / length
        faults = median(each.faults for each in usages["alone"]) / length
        ratio = median(
            (usages["beside"][2 * k].seconds + usages["beside"][2 * k + 1].seconds)
            / (usages["alone"][2 * k].seconds + usages["alone"][2 * k + 1].seconds)
            for k in range(rounds)
        )
        alone_seconds[name] = seconds["alone"]
        total = {how: total[how] + seconds[how] for how in total}
        print(
            f"| `{name}` | {seconds['alone']:.4f} | {seconds['beside']:.4f} | {system:.4f} | {faults:,.0f} | {ratio:.3f} "
            f"| {2 / ratio:.2f} |",
            flush=True,
        )
    for pipe, worker in zip(pipes, workers, strict=True):
        pipe.send(None)
        worker.join()
    ratio = total["beside"] / total["alone"]
    print(f"| all | {total['alone']:.3f} | {total['beside']:.3f} | | | {ratio:.3f} | {2 / ratio:.2f} |", flush=True)
    return alone_seconds


class Rate(NamedTuple):
    """Throughput of a sweep."""

    start: float
    """Seconds until the first finished shard."""
    per_second: float
    """Work per second in the steady part."""
    overhead: float
    """Share of all CPU seconds that Ray and the driver used from the first finished shard on."""
    start_cpu: float
    """CPU seconds that Ray and the driver used before."""
    tail: float
    """Seconds at the end in which some workers were idle."""


def throughput(folder: Path, workers: int, runs: int, alone_seconds: dict[str, float]) -> Rate:
    """Sweep all six methods on Ray; the unit of work is the CPU seconds that a method's run takes alone."""
    benchmark = Benchmark.open(folder)
    methods = [Composer("sweep", []).method(name) for name in METHODS]
    plan = plan_sweep([benchmark], methods, grid(runs), Targets())
    ends: list[float] = []
    done: list[float] = []
    spent: list[dict[str, float]] = []
    began, own = time.monotonic(), time.process_time()
    results = LocalRayEngine(workers).run({benchmark.name: benchmark}, sorted(plan.shards, key=lambda shard: -shard.seconds))
    for shard, result in results:
        assert isinstance(result, dict), result
        ends.append(time.monotonic() - began)
        done.append(len(shard.runs) * sum(alone_seconds[method.label] for method in shard.methods))
        if len(ends) in (1, len(plan.shards)):
            spent.append(cpu_by_part() | {"driver": time.process_time() - own})
    first_steady, last = len(ends) // 4, len(ends) - 1 - workers
    first, end = spent
    since = {part: end[part] - first[part] for part in end}
    overhead = 1 - since["workers"] / sum(since.values())
    start_cpu = first["ray"] + first["driver"]
    steady = sum(done[first_steady + 1 : last + 1]) / (ends[last] - ends[first_steady])
    return Rate(ends[0], steady, overhead, start_cpu, ends[-1] - ends[-workers])


def cpu_by_part() -> dict[str, float]:
    """CPU seconds so far of the workers, and of all other processes that Ray started."""
    seconds = {"workers": 0.0, "ray": 0.0}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            used = child.cpu_times()
            seconds["workers" if child.name().startswith("ray::") else "ray"] += used.user + used.system
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with make_leaderboard.py, or a saved benchmark")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the first table")
    parser.add_argument("--runs", type=int, default=20, help="runs of every method in a sweep; 0 skips the sweeps")
    parser.add_argument("--sweeps", type=int, default=3, help="number of sweeps with one worker and with two, in turn")
    parser.add_argument(
        "--fresh", action="store_true", help="workers return memory to the system, as the C library does by default"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        saved = args.data
        if not (saved / "models.arrow").exists():
            subprocess.run([sys.executable, args.data / "make_leaderboard.py", "mmlu_pro", folder], check=True)
            saved = Path(folder) / "saved"
            read_scores(Path(folder) / "mmlu_pro.parquet").save(saved)
        alone_seconds = compare(saved, args.methods, args.rounds, keep=not args.fresh)
        if not args.runs:
            return
        print("\n| sweep | first shard after | work per second | Ray and driver, share of CPU since | before | idle at the end |")
        print("|---|---|---|---|---|---|")
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(args.sweeps):
            for workers, measured in rates.items():
                rate = throughput(saved, workers, args.runs, alone_seconds)
                measured.append(rate.per_second)
                print(
                    f"| {workers} worker{'s' if workers > 1 else ''} | {rate.start:.1f} s | {rate.per_second:.3f} "
                    f"| {100 * rate.overhead:.1f} % | {rate.start_cpu:.1f} s | {rate.tail:.1f} s |",
                    flush=True,
                )
        print(f"\nThe throughput of two workers is {median(rates[2]) / median(rates[1]):.2f} × that of one.")


if __name__ == "__main__":
    main()
