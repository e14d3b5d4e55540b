"""What thirty runs of ten models say of single runs: `python -m studies.many_runs [--draws N] [--seed N]`.

A board is drawn of ten models, 500 items and 30 runs. Models are 2 points apart; between 5 and 45 % of the variance of an answer is
between runs; runs of three models have an effect that is common to all items, with a standard deviation of 2.7 points. Printed are
the shares that `mb.noise` finds, and the standard deviation of a run of all items with and without such effects; then, what `plan`
says for single runs, what it says if the means of the 30 runs are taken for the scores of one, and what new single runs of random
items do: the share of all pairs that are ordered right, the MDAD, and a pair of neighbours. Truth are the models' expectations.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import microbench_ray as mb
from microbench_ray.metrics.closed_form import ExpectedCounts, expected_mdad
from microbench_ray.metrics.counts import BINS_PER_UNIT, N_BINS

N_MODELS, N_ITEMS, N_RUNS = 10, 500, 30
STEP, EFFECT = 0.02, 0.027
SHIFTING = (1, 4, 7)
"""Models whose runs have effects."""
NEIGHBOURS = (5, 6)


class Models:
    """Ten models: a model knows some items, not others, and answers the rest by chance."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        level = 0.5 + STEP * (np.arange(N_MODELS) - (N_MODELS - 1) / 2)
        unsure = rng.permutation(np.linspace(0.03, 0.45, N_MODELS))
        known = rng.random((N_MODELS, N_ITEMS))
        chances = rng.uniform(0.15, 0.85, (N_MODELS, N_ITEMS))
        sure = (rng.random((N_MODELS, N_ITEMS)) < level[:, None]).astype(float)
        chances = np.where(known < unsure[:, None], chances, np.clip(sure, 0.01, 0.99))
        self.chances = np.clip(chances + level[:, None] - chances.mean(axis=1, keepdims=True), 0.0, 1.0)

    def runs(self, number: int) -> NDArray[np.float64]:
        """(n_models, n_items, number) answers."""
        effect = np.zeros((N_MODELS, 1, number))
        effect[list(SHIFTING)] = self.rng.normal(0, EFFECT, (len(SHIFTING), 1, number))
        return (self.rng.random((N_MODELS, N_ITEMS, number)) < self.chances[:, :, None] + effect).astype(float)


def drawn(models: Models, sizes: Sequence[int], draws: int) -> tuple[dict[int, ExpectedCounts], dict[int, float]]:
    """By size: pairs that new single runs of random items order as the expectations, and how often they order the neighbours so."""
    truth = models.chances.mean(axis=1)
    first, second = np.triu_indices(N_MODELS, 1)
    difference = truth[second] - truth[first]
    bins = np.floor(np.abs(difference) * BINS_PER_UNIT + 1e-9).astype(np.intp)
    counts = {size: np.zeros((3, N_BINS)) for size in sizes}
    pair = dict.fromkeys(sizes, 0.0)
    worse, better = NEIGHBOURS
    for _ in range(draws):
        run, order = models.runs(1)[:, :, 0], models.rng.permutation(N_ITEMS)
        for size in sizes:
            micro = run[:, order[:size]].sum(axis=1)
            seen = (micro[second] - micro[first]) * np.sign(difference)
            for row, of in enumerate((np.ones(seen.size), seen > 0, seen == 0)):
                counts[size][row] += np.bincount(bins, of, N_BINS)
            pair[size] += (micro[better] > micro[worse]) / draws
    return {size: ExpectedCounts(*rows) for size, rows in counts.items()}, pair


def main(words: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25, 50, 100, 250])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    models = Models(np.random.default_rng(given.seed))
    board = mb.benchmark(models.runs(N_RUNS), name="thirty runs")
    means = board.without_repeats()
    noise = mb.noise(board)
    within = [100 * (row.share_within_items + row.share_runs) for row in noise.found.models]
    print(f"between runs: {min(within):.0f} to {max(within):.0f} % of the variance of an answer")
    print("standard deviation of one run of all items, points, and without effects of runs:")
    for row in noise.found.models:
        print(f"  {row.model}: {100 * row.run_deviation:.1f}, {100 * row.run_deviation_without_effect:.1f}")
    print(f"noise floor: {100 * noise.floor:.1f} points; without effects of runs: {100 * noise.floor_without_effect:.1f}\n")
    counts, pair = drawn(models, given.sizes, given.draws)
    names = [str(board.model_ids[k]) for k in NEIGHBOURS]
    print("| items | ordered right: means | single runs | drawn | MDAD: means | single runs | drawn ", end="")
    print("| a pair: means | single runs | drawn |\n|" + "---:|" * 10)
    for size in given.sizes:
        answers = [mb.detectable_difference(each, size) for each in (means, board)]
        rights = [mb.ranking_probability(each, names, size)["right"] for each in (means, board)]
        agreement = [each["mean_agreement"] for each in answers] + [counts[size].n_agree.sum() / counts[size].n_pairs.sum()]
        mdads = [each["mdad"] for each in answers] + [expected_mdad(counts[size])]
        cells = [f"{each:.3f}" for each in agreement]
        cells += ["none" if each is None or np.isnan(each) else f"{100 * each:.1f}" for each in mdads]
        cells += [f"{each:.3f}" for each in (*rights, pair[size])]
        print(f"| {size} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
