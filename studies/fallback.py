"""What becomes of models better than all known ones: `python -m studies.fallback FILE... [--seeds N] [--sizes N...]`.

The best fifth of a leaderboard's models are held out together and scored by a micro-benchmark built on the others, by its readout
alone and as `microbench score` has it, which takes the plain mean of the reserve, as many random items, for those models that are
unlike the known ones, or whose reserve contradicts the readout. Beside these stand the reserve's mean for every model, which is
`random` of that size on the same draw, and random items as many as both lists together. Printed, over seeds: the share of pairs
1 to 4 points apart in the right order, the mean absolute error in points, and the share of models that the items alone tell to be
unlike. The exit code is 1 where what `score` says orders fewer pairs than `random` of that size, by more than the paired 95 %
interval over seeds; 2 where a file cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.metrics import compare
from microbench_ray.micro.build import build
from microbench_ray.sweeps.evaluate import true_accuracies
from studies.score_coverage import GUIDED, best_models, scored_twice, split_off

SIZES = (25, 50, 100, 250, 500, 1000)
NEAR = slice(2, 8)
"""Half-point bins of pairs 1 to 4 points apart."""


class Row(NamedTuple):
    """One seed: shares of near pairs in the right order, mean absolute errors in points, share of models told to be unlike."""

    alone: float
    told: float
    random: float
    twice: float
    error_alone: float
    error_told: float
    error_random: float
    error_twice: float
    unlike: float


def measured(board: Benchmark, size: int, seeds: int) -> list[Row]:
    """A row per seed; the board has at least twice as many items."""
    group = best_models(board)
    known, new, column = split_off(board, group)
    truth = true_accuracies(board, "seen", group, np.arange(board.n_items))

    def near(estimates: np.ndarray) -> float:
        counts = compare(truth.pairs, estimates).counts
        return float(counts.n_agree[NEAR].sum() / counts.n_pairs[NEAR].sum())

    def error(estimates: np.ndarray) -> float:
        return float(100 * np.nanmean(np.abs(estimates - truth.accuracy)))

    def rows() -> Iterator[Row]:
        for seed in range(seeds):
            made = build(known, GUIDED, size, seed)
            alone, told = scored_twice(made, new, column)
            drawn = np.random.default_rng(seed).choice(board.n_items, 2 * size, replace=False)
            readings = [np.array([each.estimate for each in found], np.float64) for found in (alone, told)] + [
                np.nanmean(new[:, items], axis=1) for items in ([column[item.id] for item in made.reserve], drawn)
            ]
            shares, errors = ([of(each) for each in readings] for of in (near, error))
            yield Row(*shares, *errors, float(np.mean([each.unlike for each in alone])))

    return list(rows())


def lost(rows: Sequence[Row]) -> tuple[float, float, float]:
    """By how much `random` of the size orders more near pairs than what `score` says, with a paired 95 % interval over seeds."""
    differences = np.array([row.random - row.told for row in rows])
    mean = float(differences.mean())
    half = float(student.ppf(0.975, len(rows) - 1) * differences.std(ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else np.inf
    return mean, mean - half, mean + half


def main(words: Sequence[str] | None = None) -> int:
    """Print a line per file and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    asked = parser.parse_args(words)
    print("              pairs 1-4 points apart in the right order       mean absolute error, points")
    print("board     items  alone  told  random  twice  random less told   alone  told  random  twice  unlike", flush=True)
    missed = False
    for file in asked.files:
        try:
            board = read_scores(file, confidence=None)
        except MicrobenchError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        for size in asked.sizes:
            if 2 * size > board.n_items:
                continue
            rows = measured(board, size, asked.seeds)
            mean = Row(*np.mean(rows, axis=0))
            difference, lo, hi = lost(rows)
            shares = f"{mean.alone:5.3f} {mean.told:5.3f}  {mean.random:6.3f}  {mean.twice:5.3f}"
            errors = f"{mean.error_alone:5.1f} {mean.error_told:5.1f}  {mean.error_random:6.1f}  {mean.error_twice:5.1f}"
            verdict = "  worse" if lo > 0 else ""
            paired = f"{difference:+.3f} [{lo:+.3f}, {hi:+.3f}]"
            print(f"{file.stem:9s} {size:5d}  {shares}  {paired}  {errors}  {mean.unlike:6.3f}{verdict}", flush=True)
            missed |= lo > 0
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
