"""Whether two micro-scores are in the right order as often as said: `python -m studies.order_calibration FILE... [--pairs N]`.

Every FILE is a score table. Its models are split into known and new ones, several times; pairs of new models are scored on random
items, and `posterior_ranking_probability` is asked, on the known models alone, how probable their order is. It prints,
by size, the mean of these probabilities and the share of pairs in the right order: among the best models (both in the best tenth,
or both in the best fifth, of the board) and among all models. It also prints the probabilities from a prior of all pairs of the
board instead of the pairs at the level of the scores. Pairs with equal scores or equal accuracies are left out.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from microbench_ray.core.errors import MicrobenchError
from microbench_ray.data import Benchmark, read_scores
from microbench_ray.metrics.pair_moments import PairMoments
from microbench_ray.micro.posterior import LEVEL_WIDTH, posterior_ranking_probability
from microbench_ray.micro.sample_size import pairs_of

SIZES = (25, 50, 100, 200)
SPLITS = 5
MIN_SIDE = 4
"""New models on one side of a comparison at least."""


class Calibration(NamedTuple):
    """Mean probability that was said, with the prior at the level of the scores and with all pairs, and the share that is right."""

    group: str
    size: int
    n_pairs: int
    said: float
    said_by_all: float
    right: float


def calibrations(board: Benchmark, sizes: Sequence[int] = SIZES, n_pairs: int = 300, seed: int = 0) -> list[Calibration]:
    """Calibrations of a board without missing responses, by size and group of pairs."""
    rng = np.random.default_rng(seed)
    values = np.asarray(board.scores / board.units)
    accuracy = values.mean(axis=1)
    best_first = np.argsort(-accuracy, kind="stable")
    groups = {
        "best tenth": best_first[: max(2 * MIN_SIDE, board.n_models // 10)],
        "best fifth": best_first[: max(2 * MIN_SIDE, board.n_models // 5)],
        "all": best_first,
    }
    said: dict[tuple[str, int], list[tuple[float, float, bool]]] = {}
    for _ in range(SPLITS):
        is_new = np.zeros(board.n_models, bool)
        is_new[best_first[rng.permutation(board.n_models)[: board.n_models // 2]]] = True
        known = pairs_of(_models(board, np.flatnonzero(~is_new)))
        for group, members in groups.items():
            new = members[is_new[members]]
            if new.size < 2:
                continue
            for size in (each for each in sizes if each < board.n_items):
                rows = said.setdefault((group, size), [])
                for _ in range(n_pairs // SPLITS):
                    one, other = rng.choice(new, 2, replace=False)
                    scores = values[[one, other]][:, rng.permutation(board.n_items)[:size]].mean(axis=1)
                    if scores[0] == scores[1] or accuracy[one] == accuracy[other]:
                        continue
                    answers = _asked(known, scores.tolist(), size)
                    if answers is not None:
                        rows.append((*answers, bool((scores[0] > scores[1]) == (accuracy[one] > accuracy[other]))))
    means = {key: np.array(rows, np.float64).mean(axis=0) for key, rows in said.items() if rows}
    return [
        Calibration(group=group, size=size, n_pairs=len(said[group, size]), said=mean[0], said_by_all=mean[1], right=mean[2])
        for (group, size), mean in means.items()
    ]


def _asked(known: PairMoments, scores: list[float], size: int) -> tuple[float, float] | None:
    """Probability of the right order, from the pairs at the level of the scores and from all pairs; None without such pairs."""
    try:
        level, everything = (
            posterior_ranking_probability(known, scores, size, level_width=width).right for width in (LEVEL_WIDTH, math.inf)
        )
    except MicrobenchError:
        return None
    return None if level is None or everything is None else (level, everything)


def _models(board: Benchmark, rows: np.ndarray) -> Benchmark:
    return Benchmark(board.name, board.models.take(pa.array(rows)), board.items, board.units)


def main(words: Sequence[str] | None = None) -> int:
    """Print the calibrations of every file; the exit code is 2 where a file cannot be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--pairs", type=int, default=300)
    arguments = parser.parse_args(words)
    print("| board | pairs of | items | pairs | said | said by all pairs | right |\n|---|---|---|---|---|---|---|")
    for file in arguments.files:
        try:
            board = read_scores(file, confidence=None)
        except MicrobenchError as error:
            print(error, file=sys.stderr)
            return 2
        if board.has_missing:
            print(f"{board.name}: responses are missing, left out", file=sys.stderr)
            continue
        for row in calibrations(board, n_pairs=arguments.pairs):
            numbers = f"{row.n_pairs} | {row.said:.3f} | {row.said_by_all:.3f} | {row.right:.3f}"
            print(f"| {board.name} | {row.group} | {row.size} | {numbers} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
