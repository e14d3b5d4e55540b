"""Scores of models better than all known ones: `python -m studies.fallback FILE... [--method NAME] [--seeds N] [--sizes N...]`.

The best fifth of a leaderboard's models are held out together and scored by a micro-benchmark built on the others. Four estimates
are compared on the same draws: `alone`, by the items' readout; `scored`, as `microbench score` reports it with the reserve, whose
plain mean replaces the readout for models unlike the known ones and models that the reserve contradicts; `random`, the reserve's
mean for every model, which is the method `random` of that size; and `twice`, as many random items as both lists together. Printed,
as means over seeds: the share of pairs 1 to 4 points apart in the right order, the mean absolute error in points, and the share of
models that are flagged as unlike the known ones by the items alone. The exit code is 1 where `random` orders more pairs than
`scored` by more than the paired 95 % interval over seeds, 2 where a file cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.methods import Method
from microbench_ray.metrics import compare
from microbench_ray.micro.build import build
from microbench_ray.sweeps.evaluate import true_accuracies
from studies.score_coverage import GUIDED, METHODS, best_models, fitting_once, scored_twice, split_off

SIZES = (25, 50, 100, 250, 500, 1000)
NEAR = slice(2, 8)
"""Half-point bins of pairs 1 to 4 points apart."""


class Measures(NamedTuple):
    """Of one seed: shares of near pairs in the right order, mean absolute errors in points, share of models flagged as unlike."""

    alone: float
    scored: float
    random: float
    twice: float
    error_alone: float
    error_scored: float
    error_random: float
    error_twice: float
    unlike: float


def measured(board: Benchmark, size: int, seeds: int, method: Method = GUIDED) -> list[Measures]:
    """The measures of every seed, for a board of at least 2 × `size` items."""
    group = best_models(board)
    known, new, column_of = split_off(board, group)
    truth = true_accuracies(board, "seen", group, np.arange(board.n_items))

    def right_order(estimates: np.ndarray) -> float:
        counts = compare(truth.pairs, estimates).counts
        return float(counts.n_agree[NEAR].sum() / counts.n_pairs[NEAR].sum())

    def error(estimates: np.ndarray) -> float:
        return float(100 * np.nanmean(np.abs(estimates - truth.accuracy)))

    def measures(seed: int) -> Measures:
        micro = build(known, method, size, seed)
        by_items, with_reserve = scored_twice(micro, new, column_of)
        alone, scored = (np.array([model.estimate for model in models], np.float64) for models in (by_items, with_reserve))
        both_lists = np.random.default_rng(seed).choice(board.n_items, 2 * size, replace=False)
        random_items = [column_of[item.id] for item in micro.reserve or micro.items]
        random, twice = (np.nanmean(new[:, columns], axis=1) for columns in (random_items, both_lists))
        return Measures(
            alone=right_order(alone),
            scored=right_order(scored),
            random=right_order(random),
            twice=right_order(twice),
            error_alone=error(alone),
            error_scored=error(scored),
            error_random=error(random),
            error_twice=error(twice),
            unlike=float(np.mean([model.unlike for model in by_items])),
        )

    return [measures(seed) for seed in range(seeds)]


def paired_loss(seeds: Sequence[Measures]) -> tuple[float, float, float]:
    """By how much `random` orders more near pairs than `scored`: mean over seeds, and a paired 95 % interval (Student's t)."""
    differences = np.array([each.random - each.scored for each in seeds])
    mean = float(differences.mean())
    if len(seeds) == 1:
        return mean, -np.inf, np.inf
    half_width = float(student.ppf(0.975, len(seeds) - 1) * differences.std(ddof=1) / np.sqrt(len(seeds)))
    return mean, mean - half_width, mean + half_width


def main(words: Sequence[str] | None = None) -> int:
    """Print a line per file and size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--method", choices=METHODS, default=GUIDED.label)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args(words)
    print("              pairs 1-4 points apart in the right order             mean absolute error, points")
    print("board     items  alone  scored  random  twice  random less scored   alone  scored  random  twice  unlike", flush=True)
    any_worse = False
    for file in arguments.files:
        try:
            board = read_scores(file, confidence=None)
        except MicrobenchError as error:
            sys.stderr.write(f"{error}\n")
            return 2
        method = fitting_once(METHODS[arguments.method])
        for size in arguments.sizes:
            if 2 * size > board.n_items:
                continue
            seeds = measured(board, size, arguments.seeds, method)
            mean = Measures(*np.mean(seeds, axis=0))
            loss, low, high = paired_loss(seeds)
            worse = low > 0
            shares = f"{mean.alone:5.3f}  {mean.scored:6.3f}  {mean.random:6.3f}  {mean.twice:5.3f}"
            errors = f"{mean.error_alone:5.1f}  {mean.error_scored:6.1f}  {mean.error_random:6.1f}  {mean.error_twice:5.1f}"
            paired = f"{loss:+.3f} [{low:+.3f}, {high:+.3f}]"
            mark = "  worse" if worse else ""
            print(f"{file.stem:9s} {size:5d}  {shares}  {paired}  {errors}  {mean.unlike:6.3f}{mark}", flush=True)
            any_worse |= worse
    return int(any_worse)


if __name__ == "__main__":
    sys.exit(main())
