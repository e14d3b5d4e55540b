"""Intervals of a difference on the population of items, where items come in clusters: `python -m studies.clustered_items [BOARDS]`.

Two models of one true accuracy answer questions about passages, on each of which one of them has an advantage. Prints how many
95 % intervals hold 0, and how often the order on the board is said to be that of the population with more than 95 %, which chance
does in one of ten boards: without the clusters, and with them (`columns.cluster`).
"""

from __future__ import annotations

import sys

import numpy as np

from microbench_ray.data import Benchmark
from microbench_ray.metrics.closed_form import population_order
from microbench_ray.metrics.pair_moments import pair_moments
from microbench_ray.micro.sample_size import drawn_interval, population_interval

SPREAD = 1.2
"""Standard deviation of a model's ability between passages, in logits."""


def drawn_board(rng: np.random.Generator, n_clusters: int, size: int) -> Benchmark:
    """Two models, whose abilities vary between the passages that `size` questions each are about."""
    passage = np.repeat(np.arange(n_clusters), size)
    latent = SPREAD * rng.normal(size=(2, n_clusters))[:, passage] + rng.logistic(size=(2, passage.size))
    items, names = [f"q{k}" for k in range(passage.size)], [f"p{code}" for code in passage]
    return Benchmark.from_arrays("drawn", latent > 0, items, ["model-a", "model-b"], clusters=names)


def main(n_boards: int) -> None:
    """Print a table."""
    print("| clusters × items | ignored: intervals | sure | clusters: intervals | sure |")
    print("|---|---|---|---|---|")
    for n_clusters, size in ((10, 10), (25, 6), (50, 3), (150, 1)):
        rng, found = np.random.default_rng(0), []
        for _ in range(n_boards):
            board = drawn_board(rng, n_clusters, size)
            ignored, kept = pair_moments(board.scores), pair_moments(board.scores, clusters=board.cluster_codes)
            worse, better = int(kept.lower[0]), int(kept.higher[0])
            intervals = (population_interval(ignored), drawn_interval(board, worse=worse, better=better))
            held = [low <= 0 <= high for low, high in intervals]
            sure = [float(population_order(pair)[0]) > 0.95 for pair in (ignored, kept)]
            found.append([held[0], sure[0], held[1], sure[1]])
        print(f"| {n_clusters} × {size} | " + " | ".join(f"{share:.3f}" for share in np.mean(found, axis=0)) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
