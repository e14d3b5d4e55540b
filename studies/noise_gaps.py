"""The closed form of single runs against drawing them: `python -m studies.noise_gaps FILE [--draws N] [--sizes 10 25 ...]`.

FILE is a long Parquet table of repeated scores: model, item_id, sample, score. Models are read that have as many repeats of every
item as is most common; repeats are shuffled within each item. In every draw a micro-score is the mean over random items of one or
several repeats of each, and the truth is the mean over all items of the other repeats. Printed by number of items and of repeats:
the share of pairs that are ordered as by the truth, drawn and in closed form, the largest gap over bins of 2 points of the true
difference with at least 1,000 pairs, and both MDADs; and the same of the plan that takes the means of all repeats as scores. The
exit code is 1 where a gap of the closed form of single runs is above 0.01.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.closed_form import ExpectedCounts, expected_counts, expected_mdad
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS
from microbench_ray.metrics.pair_moments import PairMoments, pair_moments
from microbench_ray.metrics.run_noise import RunNoise, above, few_differ, half_step, with_noise
from studies.compare_coverage import read_samples

MIN_PAIRS, MAX_GAP = 1000, 0.01
WIDE = 4
"""Bins of 0.5 points that are looked at together."""


def against_measured(pairs: PairMoments, size: int, n_truth: int) -> ExpectedCounts:
    """Expected counts where the truth is the mean of `n_truth` repeats of all items, and not the models' expectations."""
    noise = pairs.noise
    assert noise is not None
    within = noise.components.within
    measured = (within[pairs.higher] + within[pairs.lower]) / (pairs.n_items * n_truth)
    share = noise.truth_share(pairs, measured)
    variance, half = noise.variance(pairs, size) + share * measured, half_step(pairs, size, noise)
    few = few_differ(pairs, size, noise)
    right, wrong = (
        above(sign * share * pairs.mean / pairs.units, half, variance) + extra for sign, extra in zip((1, -1), few, strict=True)
    )
    differ = pairs.difference > 0
    bins = pairs.bins[differ]
    return ExpectedCounts(
        *(np.bincount(bins, of, N_BINS).astype(float) for of in (None, right[differ], np.maximum(0, 1 - right - wrong)[differ]))
    )


class Gap(NamedTuple):
    """Drawn runs and a closed form."""

    drawn: float
    expected: float
    largest: float
    """Over bins."""
    drawn_mdad: float
    expected_mdad: float


def pairs_of_means(repeats: NDArray[np.float64]) -> PairMoments:
    """Pairs of (n_models, n_items, n_repeats) scores of 0 and 1, by the means of their repeats."""
    return pair_moments(np.rint(repeats.sum(axis=2)).astype(np.int64), None, repeats.shape[2])


def drawn_counts(repeats: NDArray[np.float64], size: int, n_repeats: int, draws: int, rng: np.random.Generator) -> ExpectedCounts:
    """Pairs by bin of the true difference, those ordered as by the other repeats, and ties, summed over draws."""
    n_models, n_items, n_all = repeats.shape
    first, second = np.triu_indices(n_models, 1)
    counts = [np.zeros(N_BINS) for _ in range(3)]
    for _ in range(draws):
        items = rng.permutation(n_items)[:size]
        shuffled = rng.permuted(repeats, axis=2)
        micro = shuffled[:, items, :n_repeats].sum(axis=(1, 2))
        truth = shuffled[:, :, n_repeats:].sum(axis=(1, 2)) / (n_items * (n_all - n_repeats))
        difference, seen = truth[first] - truth[second], micro[first] - micro[second]
        bins = np.floor(np.abs(difference) * BINS_PER_UNIT + 1e-9).astype(np.intp)
        for count, of in zip(counts, (difference != 0, difference * seen > 0, (seen == 0) & (difference != 0)), strict=True):
            count += np.bincount(bins, of, N_BINS)
    return ExpectedCounts(*counts)


def gap(drawn: ExpectedCounts, expected: ExpectedCounts, draws: int) -> Gap:
    """Compare agreement, ties counted as wrong, over all pairs, in wide bins, and by MDAD."""
    edges = np.arange(0, N_BINS, WIDE)
    sums = [np.add.reduceat(part, edges) for part in (drawn.n_agree, drawn.n_pairs, expected.n_agree, expected.n_pairs)]
    many = (sums[1] >= MIN_PAIRS) & (sums[1] >= 20 * draws) & (sums[3] > 0)
    return Gap(
        drawn=float(drawn.n_agree.sum() / drawn.n_pairs.sum()),
        expected=float(expected.n_agree.sum() / expected.n_pairs.sum()),
        largest=float(np.abs(sums[0][many] / sums[1][many] - sums[2][many] / sums[3][many]).max(initial=0.0)),
        drawn_mdad=expected_mdad(drawn),
        expected_mdad=expected_mdad(expected),
    )


def gaps(repeats: NDArray[np.float64], size: int, n_repeats: int, draws: int, seed: int = 0) -> tuple[Gap, Gap]:
    """Gaps of the closed form of single runs, and of the one that takes means of all repeats as scores."""
    pairs = pairs_of_means(repeats)
    drawn = drawn_counts(repeats, size, n_repeats, draws, np.random.default_rng([seed, size, n_repeats]))
    noisy = with_noise(pairs, RunNoise.of(repeats, n_repeats))
    expected = against_measured(noisy, size, repeats.shape[2] - n_repeats)
    return gap(drawn, expected, draws), gap(drawn, expected_counts(pairs, size), draws)


def main(words: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 25, 50, 100, 200, 400, 800])
    parser.add_argument("--repeats", type=int, nargs="+", default=[1, 3])
    given = parser.parse_args(words)
    repeats = read_samples(given.path)
    print(f"{repeats.shape[0]} models × {repeats.shape[1]} items × {repeats.shape[2]} repeats; {given.draws} draws\n")
    print("| items | repeats | ordered right: drawn | closed form | largest gap | MDAD, points: drawn | closed form |", end="")
    print(" means as scores: ordered right | largest gap | MDAD |\n|" + "---:|" * 10)
    worst = 0.0
    for n_repeats in given.repeats:
        for size in (each for each in given.sizes if each <= repeats.shape[1]):
            own, means = gaps(repeats, size, n_repeats, given.draws)
            worst = max(worst, own.largest)
            print(
                f"| {size} | {n_repeats} | {own.drawn:.3f} | {own.expected:.3f} | {own.largest:.3f} | {100 * own.drawn_mdad:.1f} "
                f"| {100 * own.expected_mdad:.1f} | {means.expected:.3f} | {means.largest:.3f} | {100 * means.expected_mdad:.1f} |",
                flush=True,
            )
    return int(worst > MAX_GAP)


if __name__ == "__main__":
    sys.exit(main())
