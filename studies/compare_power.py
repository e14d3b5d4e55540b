"""Does `compare` find as much as `plan` says? `python -m studies.compare_power FILE [--draws N] [--sizes 50 100]`.

FILE is a long Parquet table of repeated scores: model, item_id, sample, score (`studies.compare_coverage`). Half of the repeats are
the board that is planned with: what `plan models=` says about every pair of models is taken from it. From the other half, runs of
random items are drawn, and compared. Printed by number of items and of repeats: the mean of the claimed probabilities that the 95 %
interval lies above 0 on the side of the better model, the share of comparisons in which it does, and the same for fifths of the
comparisons by what was claimed; then the largest gap of these.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.comparison_power import comparison_power
from microbench_ray.metrics.run_difference import run_difference
from microbench_ray.metrics.run_noise import RunNoise, with_noise
from studies.compare_coverage import independent, read_samples
from studies.noise_gaps import pairs_of_means

PARTS = 5


def claimed_and_found(
    scores: NDArray[np.float64], size: int, n_repeats: int, draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(draws,) what was claimed for a random pair, and whether a comparison of its runs found it."""
    half = scores.shape[2] // 2
    board, rest = scores[:, :, :half], scores[:, :, half:]
    pairs = with_noise(pairs_of_means(board), RunNoise.of(board, n_repeats))
    power = comparison_power(pairs, size)
    picked = rng.integers(0, pairs.n_pairs, draws)
    found = np.zeros(draws, bool)
    for k, pair in enumerate(picked):
        items = rng.choice(scores.shape[1], size, replace=False)
        worse, better = (
            rest[model][items[:, None], rng.permutation(rest.shape[2])[:n_repeats]]
            for model in (pairs.lower[pair], pairs.higher[pair])
        )
        found[k] = run_difference(independent(worse, better)).low > 0
    return power[picked], found


def gaps(claimed: NDArray[np.float64], found: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Mean claim and share found, for fifths of the comparisons by what was claimed."""
    parts = np.array_split(np.argsort(claimed, kind="stable"), PARTS)
    return [(float(claimed[part].mean()), float(found[part].mean())) for part in parts]


def main(words: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 100, 400])
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    scores = read_samples(given.path)
    print(f"{scores.shape[0]} models × {scores.shape[1]} items × {scores.shape[2]} repeats; {given.draws} draws\n")
    print("| items | repeats | claimed | found | by fifths: claimed → found | largest gap |\n|---:|---:|---:|---:|---|---:|")
    for n_repeats in given.repeats:
        for size in given.sizes:
            rng = np.random.default_rng([given.seed, size, n_repeats])
            claimed, found = claimed_and_found(scores, size, n_repeats, given.draws, rng)
            parts = gaps(claimed, found)
            shown = ", ".join(f"{own:.2f} → {seen:.2f}" for own, seen in parts)
            largest = max(abs(own - seen) for own, seen in parts)
            row = (size, n_repeats, f"{claimed.mean():.3f}", f"{found.mean():.3f}", shown, f"{largest:.3f}")
            print("| " + " | ".join(map(str, row)) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
