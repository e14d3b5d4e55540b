"""Are two workers worth two? `python -m benchmarks.scaling DATA_DIR`, on a machine with two cores that are otherwise idle.

On a leaderboard of MMLU-Pro's size, drawn by DATA_DIR/make_leaderboard.py, with the six methods of `experiment=figure_2`: 300
source and 50 target models, seven sizes.

The first table compares, per method, the CPU seconds of a run that has the machine for itself with those of the same run beside
another: workers share the memory's bandwidth and the last level of cache, and what that costs is CPU time. Rounds of one and of
two workers alternate, and medians are shown, so that other work on the machine disturbs both alike. Two workers are worth
2 × alone / beside, if nothing else is lost.

The second table is a sweep's throughput with one and with two workers, longest shards first as in a sweep, from a quarter of the
shards to the last but as many as there are workers: neither the start of Ray and of the second worker nor the end, when some have
no more work, is in it. Both ends are shown apart. What Ray and the driver take of the CPU is counted from the first finished shard
on; their start takes some seconds once per sweep.
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
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
from threadpoolctl import threadpool_limits

from microbench_ray.cli.compose import Composer
from microbench_ray.core.memory import keep_memory
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.sweeps.engine.ray_engine import LocalRayEngine
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep

SIZES = (10, 25, 50, 100, 250, 500, 1000)
METHODS = ("random", "random_subtask_equal", "stratified_confidence", "diversity", "anchor_points", "tinybenchmarks")


class Used(NamedTuple):
    """What some runs took: CPU seconds in the program and in the system, page faults."""

    user: float
    system: float
    faults: int

    @property
    def seconds(self) -> float:
        return self.user + self.system


def grid(runs: int) -> Grid:
    return Grid(sizes=SIZES, n_source=(300,), n_target=50, runs=runs)


def work(folder: str, connection, start, keep: bool) -> None:
    """A worker: computes a method's runs when it is told to, both together, and says what they took."""
    if keep:
        keep_memory()
    benchmark = Benchmark.open(folder)
    shards = {
        name: plan_sweep([benchmark], [Composer("sweep", []).method(name)], grid(10_000), Targets()).shards[0] for name in METHODS
    }
    with threadpool_limits(1):
        while (asked := connection.recv()) is not None:
            name, runs, together = asked
            if together:
                start.wait()
            before = resource.getrusage(resource.RUSAGE_SELF)
            evaluate_shard(replace(shards[name], runs=runs), benchmark)
            after = resource.getrusage(resource.RUSAGE_SELF)
            connection.send(
                Used(after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, int(after.ru_minflt - before.ru_minflt))
            )


def compare(folder: Path, methods: list[str], rounds: int, *, keep: bool) -> dict[str, float]:
    """CPU seconds alone and beside another worker; returns the first, per method."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    pipes, workers = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        workers.append(context.Process(target=work, args=(str(folder), theirs, start, keep), daemon=True))
        pipes.append(ours)
        workers[-1].start()
    print("\n| CPU seconds of a run | alone | beside another | in the system | page faults | beside / alone | two are worth |")
    print("|---|---|---|---|---|---|---|")
    worth: dict[str, float] = {}
    total = {"alone": 0.0, "beside": 0.0}
    for name in methods:
        length, run = 1, 0
        found: dict[str, list[Used]] = {"alone": [], "beside": []}
        for turn in range(-1, rounds):  # the first to warm up, and to see how long it takes
            for how, chosen in (("alone", pipes[:1]), ("alone", pipes[1:]), ("beside", pipes)):
                for pipe in chosen:
                    pipe.send((name, tuple(range(run, run + length)), how == "beside"))
                run += length
                took = [pipe.recv() for pipe in chosen]
                if turn >= 0:
                    found[how] += took
            if turn < 0:
                length = max(1, round(1.0 / took[0].seconds))
        seconds = {how: median(each.seconds for each in took) / length for how, took in found.items()}
        system = median(each.system for each in found["alone"]) / length
        faults = median(each.faults for each in found["alone"]) / length
        ratio = median(
            (found["beside"][2 * k].seconds + found["beside"][2 * k + 1].seconds)
            / (found["alone"][2 * k].seconds + found["alone"][2 * k + 1].seconds)
            for k in range(rounds)
        )
        worth[name] = seconds["alone"]
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
    return worth


class Rate(NamedTuple):
    """How a sweep went: seconds to the first finished shard, work done per second in its steady part, the share of all CPU that
    Ray and the driver took from the first shard on, the CPU seconds that they took before, and seconds in which not all workers had
    a shard.
    """

    start: float
    per_second: float
    overhead: float
    start_cpu: float
    tail: float


def throughput(folder: Path, workers: int, runs: int, worth: dict[str, float]) -> Rate:
    """Sweep all six methods on Ray; work is counted in the CPU seconds that a method's run takes alone."""
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
        done.append(len(shard.runs) * sum(worth[method.label] for method in shard.methods))
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
    """CPU seconds so far of the workers, and of everything else that Ray started."""
    found = {"workers": 0.0, "ray": 0.0}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            used = child.cpu_times()
            found["workers" if child.name().startswith("ray::") else "ray"] += used.user + used.system
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds make_leaderboard.py, or a benchmark that was saved")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--rounds", type=int, default=7, help="of the first table")
    parser.add_argument("--runs", type=int, default=20, help="of every method in a sweep; 0 for no sweep")
    parser.add_argument("--sweeps", type=int, default=3, help="with one worker and with two, in turn")
    parser.add_argument("--fresh", action="store_true", help="workers give memory back, as the C library does by default")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        saved = args.data
        if not (saved / "models.arrow").exists():
            subprocess.run([sys.executable, args.data / "make_leaderboard.py", "mmlu_pro", folder], check=True)
            saved = Path(folder) / "saved"
            read_scores(Path(folder) / "mmlu_pro.parquet").save(saved)
        worth = compare(saved, args.methods, args.rounds, keep=not args.fresh)
        if not args.runs:
            return
        print("\n| sweep | first shard after | work per second | Ray and driver, of all CPU since | before | the end |")
        print("|---|---|---|---|---|---|")
        rates: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(args.sweeps):
            for workers, found in rates.items():
                rate = throughput(saved, workers, args.runs, worth)
                found.append(rate.per_second)
                print(
                    f"| {workers} worker{'s' if workers > 1 else ''} | {rate.start:.1f} s | {rate.per_second:.3f} "
                    f"| {100 * rate.overhead:.1f} % | {rate.start_cpu:.1f} s | {rate.tail:.1f} s |",
                    flush=True,
                )
        print(f"\nTwo workers do {median(rates[2]) / median(rates[1]):.2f} × the work of one.")


if __name__ == "__main__":
    main()
