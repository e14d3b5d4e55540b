"""Growth of the cost of one run with seen items and with source models: `python -m benchmarks.growth DATA_DIR`.

Uses a leaderboard simulated by DATA_DIR/make_leaderboard.py: 2,212 models, 12,032 items, all of them seen. Each figure is the
minimum CPU time of three runs on one core, with all seven sizes; the exponent is the slope of log seconds over log items (or
sources).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from microbench_ray.cli.compose import Composer
from microbench_ray.core.threads import one_thread
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.shards import plan_sweep

SIZES = (10, 25, 50, 100, 250, 500, 1000)
ITEMS = (1500, 3000, 6000, 12_000)
SOURCES = (100, 300, 1000, 2000)
METHODS = ("random", "stratified_confidence", "diversity", "anchor_points", "anchor_points_predictor", "tinybenchmarks")


def subset(benchmark: Benchmark, n_items: int) -> Benchmark:
    """`n_items` evenly spaced items of a benchmark, without metadata."""
    chosen = np.linspace(0, benchmark.n_items - 1, n_items).astype(int)
    assert benchmark.confidence is not None
    return Benchmark.from_arrays(
        benchmark.name,
        benchmark.scores[:, chosen],
        list(benchmark.item_ids[chosen]),
        list(benchmark.model_ids),
        confidence=benchmark.confidence[:, chosen],
    )


def seconds(benchmark: Benchmark, name: str, n_source: int, rounds: int) -> float:
    """Minimum CPU seconds of one run of a method; the first run, which also imports and compiles, is not counted."""
    method = Composer("sweep", []).method(name)
    grid = Grid(sizes=SIZES, n_source=(n_source,), n_target=50, runs=rounds + 1, unseen="none")
    shard = plan_sweep([benchmark], [method], grid, Targets()).shards[0]
    seconds_per_run = []
    with one_thread():
        for run in range(rounds + 1):
            started = time.process_time()
            evaluate_shard(replace(shard, runs=(run,)), benchmark)
            seconds_per_run.append(time.process_time() - started)
    return min(seconds_per_run[1:])


def table(title: str, values: tuple[int, ...], measured: dict[str, list[float]]) -> None:
    """Print a Markdown table of seconds, with the exponent of growth."""
    print(f"\n| {title} | " + " | ".join(f"{value:,}" for value in values) + " | exponent |")
    print("|---|" + "---|" * (len(values) + 1))
    for name, row in measured.items():
        slope = np.polyfit(np.log(values), np.log(row), 1)[0]
        print(f"| `{name}` | " + " | ".join(f"{value:.3f}" for value in row) + f" | {slope:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds make_leaderboard.py")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = args.data / "make_leaderboard.py"
        subprocess.run([sys.executable, script, "mmlu_pro", folder, "--models", "2212"], check=True)
        whole = read_scores(Path(folder) / "mmlu_pro.parquet")
    boards = {n_items: subset(whole, n_items) for n_items in ITEMS}
    by_items = {name: [seconds(boards[n], name, 300, args.rounds) for n in ITEMS] for name in args.methods}
    table("300 source models, seen items:", ITEMS, by_items)
    by_sources = {name: [seconds(boards[6000], name, n, args.rounds) for n in SOURCES] for name in args.methods}
    table("6,000 seen items, source models:", SOURCES, by_sources)


if __name__ == "__main__":
    main()
