"""Gaps between the closed form of random sampling and simulation: `python -m studies.closed_form_gaps FILE... [--runs N]`.

Every FILE is a score table. The method `random` is swept by `evaluate_shard` on all items (no unseen half, 100 targets a run, ties
count as wrong). Its agreement is compared with the one that `plan` gives (a closed form; drawn samples where scores are graded) in
every bin of the true difference in which the leaderboard has at least 1,000 pairs. The exit code is 1 where a gap is above 0.01, 2
where a file cannot be read. All pairs of a run share its
items, so the simulation's noise falls with the number of runs, not of pairs: with 200 runs it is 0.025.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.core.schemas import SCHEMAS
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.methods import build_method
from microbench_ray.metrics import closed_form as cf
from microbench_ray.micro.sample_size import pairs_of
from microbench_ray.sweeps.evaluate import evaluate_shard
from microbench_ray.sweeps.grid import Grid, Targets
from microbench_ray.sweeps.reduce import groups
from microbench_ray.sweeps.shards import plan_sweep

SIZES = (10, 25, 50, 100, 250, 500, 1000)
MIN_PAIRS, MAX_GAP = 1000, 0.01


def largest_gaps(benchmark: Benchmark, sizes: Sequence[int] = SIZES, runs: int = 2500) -> dict[int, float]:
    """Largest |closed form − simulation| of agreement over bins of at least 1,000 pairs, by size up to n_items."""
    grid = Grid(sizes=tuple(n for n in sizes if n <= benchmark.n_items), n_source=(1,), n_target=100, runs=runs, unseen="none")
    plan = plan_sweep([benchmark], [build_method("random", {"name": "random"}, {"name": "mean"})], grid, Targets())
    pairs = pairs_of(benchmark)
    pooled: dict[int, np.ndarray] = {}
    for shard in plan.shards:
        tables = evaluate_shard(shard, benchmark)
        for rows, counts, _ in groups(tables["cells"], SCHEMAS["resamples"].empty_table()):
            size, total = rows.column("size")[0].as_py(), counts.total().padded()
            pooled[size] = pooled.get(size, 0) + np.stack([total.n_agree, total.n_pairs])
    gaps = {}
    for size, (agree, n) in pooled.items():
        expected = cf.expected_counts(pairs, size)
        many = expected.n_pairs >= MIN_PAIRS
        assert many.any(), f"no bin of {benchmark.name} has {MIN_PAIRS} pairs"
        gaps[size] = float(np.abs(agree[many] / n[many] - (expected.n_agree[many] / expected.n_pairs[many])).max())
    return gaps


def main(words: Sequence[str] | None = None) -> int:
    """Print the gaps of every file, by size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=2500)
    arguments = parser.parse_args(words)
    worst = 0.0
    for file in arguments.files:
        try:
            benchmark = read_scores(file, confidence=None)
        except MicrobenchError as error:
            print(error, file=sys.stderr)
            return 2
        gaps = largest_gaps(benchmark, runs=arguments.runs)
        worst = max(worst, *gaps.values())
        print(f"{benchmark.name}: " + ", ".join(f"{size} items {gap:.4f}" for size, gap in gaps.items()))
    return int(worst > MAX_GAP)


if __name__ == "__main__":
    sys.exit(main())
